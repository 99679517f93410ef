//! The page docs/drills.md, of what drills have really shown.

use std::fmt::Write as _;

use crate::drill::probe::{LAG, REPLAY_LAG};
use crate::drill::report::{HEADS, HEALED_BY, Report, Verdict};

const TOP: &str = include_str!("page.md");

/// How to read what follows.
const SIDE_BY_SIDE: &str = "\
The bold line is the verdict and the findings that it rests on. Evidence and next command are of the finding that the drill waits for. The bold
line leaves out findings of severity `info`, such as `crash_recovered`, and those of the sums, which a drill compares when nothing else is wrong:
of `view-locked` `make doctor` also says `check_failed`. The doctor calls each server by its role at that moment: in
`two-primaries` the one that was promoted already is its primary. The rows below name the roles from before the fault.
";

/// The page of these drills.
#[must_use]
pub fn page(reports: &[Report]) -> String {
    let mut text = format!("{TOP}\n## What they showed\n\n");
    let row = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
    text.push_str(&row(&HEADS));
    text.push_str(&row(&["---"; HEADS.len()]));
    for report in reports {
        let mut cells = report.columns();
        cells[0] = format!("[{0}](#{0})", report.name);
        for cell in &mut cells {
            *cell = cell.replace('|', r"\|");
        }
        cells[HEALED_BY] = healed_by(&cells[HEALED_BY]);
        text.push_str(&row(&cells.each_ref().map(String::as_str)));
    }
    let _ = write!(text, "\n## Side by side\n\n{SIDE_BY_SIDE}");
    for report in reports.iter().filter(|report| report.verdict != Verdict::Refused) {
        side_by_side(&mut text, report);
    }
    text
}

fn side_by_side(text: &mut String, report: &Report) {
    let _ = write!(text, "\n### {}\n\n{}.\n\n", report.name, first_upper(&report.happened));
    text.push_str("| asked | answer |\n| --- | --- |\n");
    let mut row = |asked: &str, answer: &str| {
        let answer = answer.replace('|', r"\|").replace('\n', " ");
        let _ = writeln!(text, "| {asked} | {answer} |");
    };
    match (&report.finding, report.seen_after) {
        (Some(finding), Some(after)) => {
            row("`make doctor`", &format!("**{}**, after {after:.1} s", report.doctor));
            row(&format!("evidence of `{}`", finding.code), &format!("{}: {}", finding.server, finding.evidence));
            row("next command", &format!("`{}`", finding.next_command));
        }
        _ => row("`make doctor`", "ok, all the time"),
    }
    if let Some(probes) = &report.probes {
        row("`pg_isready`, primary", &probes.primary_ready);
        row("`pg_isready`, replica", &probes.replica_ready);
        row(&format!("`{LAG}`, replica"), &probes.lag);
        row(&format!("`{REPLAY_LAG}`, primary"), &probes.replay_lag);
    }
}

/// Commands are code; in parentheses stands what the drill has done by itself.
fn healed_by(cell: &str) -> String {
    match cell.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        Some((done, then)) => match then.strip_prefix("; ") {
            Some(command) => format!("({done}); `{command}`"),
            None => cell.to_owned(),
        },
        None if cell == "itself" || cell == "-" => cell.to_owned(),
        None => format!("`{cell}`"),
    }
}

fn first_upper(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::{healed_by, page};
    use crate::drill::report::{Report, Verdict};
    use crate::drill::{DRILLS, Pace, find};

    #[test]
    fn commands_are_code_and_nothing_else_is() {
        assert_eq!(healed_by("make demo"), "`make demo`");
        assert_eq!(healed_by("(room was made); make demo"), "(room was made); `make demo`");
        assert_eq!(healed_by("(the sessions were closed)"), "(the sessions were closed)");
        assert_eq!(healed_by("itself"), "itself");
        assert_eq!(healed_by("-"), "-");
    }

    #[test]
    fn a_command_of_the_table_can_be_copied() {
        let long = "alter table public.operations drop constraint if exists drill;";
        let drill = find("job-failing").unwrap();
        let report =
            Report { healed_by: Some(long.to_owned()), healed_after: Some(1.0), ..Report::of(drill, Pace::default()) };
        assert!(page(&[report]).contains(&format!(" | `{long}` | ")));
    }

    #[test]
    fn rows_of_a_table_have_its_columns() {
        let reports: Vec<_> = DRILLS
            .iter()
            .map(|drill| Report { verdict: Verdict::Passed, ..Report::of(drill, Pace::default()) })
            .collect();
        let text = page(&reports);
        let cells = |line: &str| line.replace(r"\|", "").matches('|').count();
        let mut columns = None;
        for line in text.lines() {
            let here = line.starts_with('|').then(|| cells(line));
            if let (Some(above), Some(here)) = (columns, here) {
                assert_eq!(above, here, "{line}");
            }
            columns = here;
        }
    }
}
