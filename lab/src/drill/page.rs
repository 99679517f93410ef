//! The page docs/drills.md, of what drills have really shown.

use std::fmt::Write as _;

use crate::drill::probe::{LAG, REPLAY_LAG};
use crate::drill::report::{HEADS, Report, Verdict};

const TOP: &str = include_str!("page.md");

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
        if cells[4] != "itself" && cells[4] != "-" {
            cells[4] = format!("`{}`", cells[4]);
        }
        text.push_str(&row(&cells.each_ref().map(String::as_str)));
    }
    text.push_str("\n## Side by side\n");
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
            row("evidence", &format!("{}: {}", finding.server, finding.evidence));
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

fn first_upper(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
