//! docs/metrics.md.

use std::fmt::Write;

use super::{COLLECTORS, METRICS, PANELS, PREFIX, Pace, Source, Where};

/// What stands before the tables.
const INTRODUCTION: &str = include_str!("page.md");

/// The page; `operations-lab dev metrics` writes it.
#[must_use]
pub fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str(
        "\n## Metrics\n\n| metric | kind | labels | what it says | from | panel |\n|---|---|---|---|---|---|\n",
    );
    for metric in METRICS {
        let source = match metric.source {
            Source::Query(collector) => format!("[{collector}](#collectors)"),
            Source::Watch => "watch".to_owned(),
            Source::Doctor => "doctor".to_owned(),
            Source::Runs => "runs".to_owned(),
            Source::Program => "program".to_owned(),
        };
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let mut panels: Vec<_> = metric.plots.iter().map(|plot| plot.panel).collect();
        panels.dedup();
        let _ = writeln!(
            page,
            "| `{PREFIX}{}` | {} | {} | {} | {source} | {} |",
            metric.name,
            metric.kind.word(),
            labels.join(", "),
            metric.help,
            panels.join(", ")
        );
    }
    page.push_str("\n## Collectors\n\nEach is a file in `lab/src/metrics/sql/`. Its columns are the metrics and labels of the same names.\n\n");
    page.push_str("| collector | asked | every |\n|---|---|---|\n");
    for collector in COLLECTORS {
        let of = match collector.of {
            Where::Everywhere => "each server",
            Where::Writer => "the one that takes writes",
        };
        let pace = match collector.pace {
            Pace::Quick => "2 s".to_owned(),
            Pace::After(pause) => format!("{} s; at least 50 times what the last one took", pause.as_secs()),
        };
        let _ = writeln!(page, "| {} | {of} | {pace} |", collector.name);
    }
    page.push_str(
        "\n## Panels\n\nThe page draws `jobs` from the runs themselves and `months` from the rows by month; in Grafana they are `job_last_run_succeeded` \
         and\n`month_operations`. All others are drawn from the metrics that name them above.\n\n",
    );
    page.push_str("| panel | heading | unit | what it shows |\n|---|---|---|---|\n");
    for panel in PANELS {
        let _ = writeln!(page, "| {} | {} | {} | {} |", panel.id, panel.title, panel.unit, panel.help);
    }
    page
}
