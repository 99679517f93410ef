//! The report for people.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use super::report::{Gap, Report, Row};

/// So many rows are listed; `--json` has all.
const LISTED: usize = 20;

impl Report {
    /// In one line.
    #[must_use]
    pub fn line(&self) -> String {
        let gap = seconds(self.longest_gap_ms);
        let acknowledged = count(self.acknowledged);
        format!("{acknowledged} rows acknowledged, {} lost; at most {gap} without a writer", count(self.lost))
    }

    /// The verdict in the first line, then the numbers, then the rows. `kept` says where those are that only an old primary had.
    #[must_use]
    pub fn text(&self, client_runs: bool, kept: &str) -> String {
        let mut text = match self.lost {
            0 if self.acknowledged == 0 => {
                "It is not known whether anything is lost: nothing was acknowledged\n".to_owned()
            }
            0 if !client_runs => {
                "Nothing that was acknowledged is lost, until the client ended; what came after is not known\n"
                    .to_owned()
            }
            0 => "Nothing that was acknowledged is lost\n".to_owned(),
            1 => "1 row that was acknowledged is lost\n".to_owned(),
            lost => format!("{} rows that were acknowledged are lost\n", count(lost)),
        };
        let mut line = |name: &str, number: u64, remark: &str| {
            let _ = writeln!(text, "{}", format!("{name:<14}{:>9}  {remark}", count(number)).trim_end());
        };
        let there =
            if self.in_doubt == 0 { String::new() } else { format!("{} of them are there", self.in_doubt_there) };
        line("written", self.written, "");
        line("acknowledged", self.acknowledged, "");
        line("in doubt", self.in_doubt, &there);
        line("refused", self.refused, "");
        line("lost", self.lost, "");
        line("unexpected", self.unexpected, "");
        line("forked", self.forked.len() as u64, "");
        let _ = writeln!(text, "compared with {}, on timeline {}", self.server, self.timeline);
        for gap in &self.gaps {
            let _ = writeln!(text, "nobody could write for {}", gap.text());
        }
        rows(&mut text, "lost", &self.lost_rows);
        let is_listed = |row: &Row| self.lost_rows.iter().any(|lost| lost.sequence == row.sequence);
        match self.forked.iter().all(is_listed) {
            true if self.forked.is_empty() => {}
            true if self.forked.len() == self.lost_rows.len() => text.push_str("\nforked: the same rows\n"),
            _ => rows(&mut text, "forked", &self.forked),
        }
        if !self.forked.is_empty() {
            let _ = writeln!(text, "what only an old primary had {kept}");
        }
        if !self.unexpected_rows.is_empty() {
            let numbers: Vec<_> = self.unexpected_rows.iter().take(LISTED).map(u64::to_string).collect();
            let _ = writeln!(text, "\nunexpected: {}", numbers.join(", "));
        }
        if !client_runs {
            text.push_str("the client does not run: make demo starts it\n");
        }
        text
    }
}

impl Gap {
    /// How long, from when, and why.
    #[must_use]
    pub fn text(&self) -> String {
        let length = seconds(self.length_ms);
        let still = if self.is_over { "" } else { " and more" };
        let why = if self.why.is_empty() { String::new() } else { format!(": {}", self.why) };
        format!("{length}{still}, from {}{why}", time(self.from_ms))
    }
}

fn rows(text: &mut String, what: &str, rows: &[Row]) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{what}: row, timeline, acknowledged at");
    for row in rows.iter().take(LISTED) {
        let there = if row.is_there { "  (it is there)" } else { "" };
        let _ = writeln!(text, "{:>10} {:>5}  {}{there}", row.sequence, row.timeline, time(row.at_ms));
    }
    if rows.len() > LISTED {
        let _ = writeln!(text, "    and {} more (--json has all)", rows.len() - LISTED);
    }
}

/// Milliseconds as seconds, cut off after the first digit.
#[must_use]
pub fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

/// With a comma between the thousands.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A moment of today by its hour, another with its day; both in UTC.
fn time(ms: u64) -> String {
    let today = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400;
    let (day, rest) = (ms / 86_400_000, ms % 86_400_000);
    let hour = format!("{:02}:{:02}:{:02}.{:03}", rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60, rest % 1000);
    if day == today { format!("{hour} UTC") } else { format!("{} {hour} UTC", date(day)) }
}

/// The date of a day since 1970, by the rule that the days of 400 years are always as many.
fn date(day: u64) -> String {
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    format!("{:04}-{month:02}-{of_month:02}", era * 400 + year + u64::from(month <= 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_numbers_and_times() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0, 59, 11_016, 19_782, 20_417].map(date),
            ["1970-01-01", "1970-03-01", "2000-02-29", "2024-02-29", "2025-11-25"]
        );
        assert_eq!(time(951_782_400_000 + 3_723_004), "2000-02-29 01:02:03.004 UTC");
    }

    #[test]
    fn lists_what_is_lost_and_no_more_than_a_screen_of_it() {
        let row = |sequence| Row { sequence, timeline: 1, at_ms: 0, is_there: false };
        let lost_rows: Vec<_> = (1..=1500).map(row).collect();
        let gaps = vec![Gap { from_ms: 0, length_ms: 3210, is_over: true, why: "refused".to_owned() }];
        let report = Report { lost: 1500, lost_rows, gaps, ..Report::default() };
        let text = report.text(true, "");
        assert!(text.starts_with("1,500 rows that were acknowledged are lost\n"), "{text}");
        assert!(text.contains("nobody could write for 3.2 s, from 1970-01-01 00:00:00.000 UTC: refused\n"), "{text}");
        assert!(text.contains("and 1480 more") && text.lines().count() < 40, "{text}");
        let nothing = Report::default().text(true, "");
        assert!(
            nothing.starts_with("It is not known whether anything is lost: nothing was acknowledged\n"),
            "{nothing}"
        );
        let well = Report { acknowledged: 1, ..Report::default() };
        assert!(well.text(true, "").starts_with("Nothing that was acknowledged is lost\n"));
        assert!(well.text(false, "").contains("what came after is not known\n"));
        let row = Row { sequence: 1, timeline: 1, at_ms: 0, is_there: true };
        let forked = Report { forked: vec![row], ..Report::default() };
        assert!(forked.text(true, "is kept in F").ends_with("what only an old primary had is kept in F\n"));
    }
}
