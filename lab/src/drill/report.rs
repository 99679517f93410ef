//! What a drill has shown, for people and for programs.

use std::time::Duration;

use serde::Serialize;

use crate::doctor::Finding;
use crate::drill::fault::Drill;
use crate::drill::probe::Probes;
use crate::drill::scene::Pace;

/// How a drill ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All that its criterion asks for was so.
    Passed,
    /// Something was not.
    Failed,
    /// It cannot be run on this machine; nothing was touched.
    Refused,
}

impl Verdict {
    /// As people read it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::Refused => "refused",
        }
    }
}

/// All that a drill gives. Times are in seconds.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The drill.
    pub name: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// What its list says of it.
    pub line: &'static str,
    /// What was done to the demo.
    pub happened: String,
    /// How long after the drill's mark the fault was there.
    pub began_after: f64,
    /// The codes of which one had to come.
    pub expected: Vec<&'static str>,
    /// The finding that came.
    pub finding: Option<Finding>,
    /// The first line of the doctor's report of that moment.
    pub doctor: String,
    /// How long after the cause it came.
    pub seen_after: Option<f64>,
    /// How long it might have taken.
    pub seen_within: f64,
    /// What others said at that moment.
    pub probes: Option<Probes>,
    /// What was typed; nothing if it healed by itself.
    pub healed_by: Option<String>,
    /// How long after that, or after the cause if nothing was typed, the verdict was ok.
    pub healed_after: Option<f64>,
    /// How long that might have taken.
    pub green_within: f64,
    /// The longest time in which no write was acknowledged.
    pub could_not_write_for: Option<f64>,
    /// How many writes were acknowledged.
    pub acknowledged: u64,
    /// How many of them are gone.
    pub lost: Option<u64>,
    /// Why it did not pass.
    pub reasons: Vec<String>,
}

impl Report {
    /// That of a drill which has not begun.
    #[must_use]
    pub fn of(drill: &Drill, pace: Pace) -> Self {
        let mut expected: Vec<_> = drill.expects.iter().map(|(code, _)| *code).collect();
        expected.dedup();
        Self {
            name: drill.name,
            verdict: Verdict::Failed,
            line: drill.line,
            happened: String::new(),
            began_after: 0.0,
            expected,
            finding: None,
            doctor: String::new(),
            seen_after: None,
            seen_within: pace.allows(drill.seen_within).as_secs_f64(),
            probes: None,
            healed_by: None,
            healed_after: None,
            green_within: pace.allows(drill.green_within).as_secs_f64(),
            could_not_write_for: None,
            acknowledged: 0,
            lost: None,
            reasons: Vec::new(),
        }
    }

    /// For people, at the end of one drill.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = vec![format!("{}: {}", self.verdict.word(), self.name)];
        let mut say = |what: &str, text: String| {
            if !text.is_empty() {
                lines.push(format!("    {what:<22} {text}"));
            }
        };
        say("what happened", self.happened.clone());
        if let Some(finding) = &self.finding {
            say("the doctor said", format!("{} of {}: {}", finding.code, finding.server, finding.evidence));
        }
        if self.verdict != Verdict::Refused {
            say("seen after", limited(self.seen_after, self.seen_within));
        }
        if self.seen_after.is_some() {
            say("healed by", self.healed_by.clone().unwrap_or_else(|| "itself".to_owned()));
            say("healed after", limited(self.healed_after, self.green_within));
        }
        if let Some(seconds) = self.could_not_write_for {
            say("could not write for", format!("{seconds:.1} s"));
        }
        if let Some(lost) = self.lost {
            say("lost", format!("{lost} of {} acknowledged writes", self.acknowledged));
        }
        for reason in &self.reasons {
            say("because", reason.replace('\n', "\n                           "));
        }
        lines.join("\n")
    }

    /// A line of the table, with the whole command.
    #[must_use]
    pub fn columns(&self) -> [String; 8] {
        let seconds = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1} s"));
        [
            self.name.to_owned(),
            self.verdict.word().to_owned(),
            self.finding.as_ref().map_or_else(|| "-".to_owned(), |finding| finding.code.clone()),
            seconds(self.seen_after),
            match (&self.healed_by, self.healed_after) {
                (_, None) => "-".to_owned(),
                (None, _) => "itself".to_owned(),
                (Some(typed), _) => command(typed).to_owned(),
            },
            seconds(self.healed_after),
            seconds(self.could_not_write_for),
            self.lost.map_or_else(|| "-".to_owned(), |lost| lost.to_string()),
        ]
    }
}

/// The heads of the table.
pub const HEADS: [&str; 8] =
    ["drill", "verdict", "the doctor said", "seen after", "healed by", "healed after", "no write for", "lost"];

/// The column that has the command.
pub const HEALED_BY: usize = 4;

/// The table of all drills, for a terminal: a long command would break its lines, and is shortened.
#[must_use]
pub fn table(reports: &[Report]) -> String {
    let mut rows: Vec<_> = reports.iter().map(Report::columns).collect();
    for row in &mut rows {
        row[HEALED_BY] = shortened(&row[HEALED_BY]);
    }
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([HEADS[column].len()]).max().unwrap_or_default()
    };
    let line = |cells: Vec<&str>| {
        let cells = cells.iter().enumerate().map(|(column, cell)| format!("{cell:<width$}", width = width(column)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(HEADS.to_vec())];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

fn limited(value: Option<f64>, limit: f64) -> String {
    value.map_or_else(|| format!("not within {limit} s"), |value| format!("{value:.1} s (at most {limit} s)"))
}

/// What comes before a remark.
fn command(typed: &str) -> &str {
    typed.split(" -- ").next().unwrap_or_default().split(" # ").next().unwrap_or_default().trim()
}

/// The beginning of a long command.
fn shortened(command: &str) -> String {
    match command.char_indices().nth(34) {
        Some((end, _)) => format!("{}..", &command[..end]),
        None => command.to_owned(),
    }
}

/// Seconds with a fraction.
#[must_use]
pub fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::{HEALED_BY, Report, command, shortened, table};
    use crate::drill::{DRILLS, Pace};

    #[test]
    fn a_remark_is_no_part_of_a_command() {
        assert_eq!(command("select pg_wal_replay_resume();"), "select pg_wal_replay_resume();");
        assert_eq!(command("kill -CONT 12 # wakes it"), "kill -CONT 12");
        assert_eq!(command("call a(); -- then look"), "call a();");
    }

    #[test]
    fn a_long_command_is_cut_in_the_terminal_only() {
        let long = "alter table public.operations drop constraint if exists drill;";
        let report = Report {
            healed_by: Some(long.to_owned()),
            healed_after: Some(1.0),
            ..Report::of(&DRILLS[0], Pace::default())
        };
        assert_eq!(report.columns()[HEALED_BY], long);
        let printed = table(&[report]);
        assert!(printed.contains(" alter table public.operations drop..  "), "{printed}");
        assert_eq!(shortened("make demo"), "make demo");
    }
}
