//! What watches the lab from outside: alert rules for Prometheus and a dashboard for Grafana, made of the one table of metrics.

mod alerts;
mod dashboard;
mod rules;

pub use alerts::{ALERTS, Alert, Severity};
pub use dashboard::{dashboard, panels, queries};
pub use rules::{Pace, rules};

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The page, and where in it the table of alerts begins and ends.
const PAGE: &str = "docs/monitoring.md";
const BEGIN: &str = "<!-- made by operations-lab dev monitoring --write -->\n";
const END: &str = "<!-- made until here -->\n";

/// The files that are made, or made in part, by their places in the checkout.
#[must_use]
pub fn files() -> [(PathBuf, String); 3] {
    let folder = Path::new("docker/monitoring");
    [
        (folder.join("rules.yml"), rules(Pace::Usual)),
        (folder.join("grafana/dashboards/operations.json"), dashboard()),
        (PAGE.into(), with_table(&std::fs::read_to_string(crate::checkout().join(PAGE)).unwrap_or_default())),
    ]
}

/// The page with the table of alerts as it is now.
fn with_table(page: &str) -> String {
    let (before, rest) = page.split_once(BEGIN).unwrap_or((page, ""));
    let after = rest.split_once(END).map_or("", |(_, after)| after);
    let mut table = "| alert | after | severity | what is so | what to do |\n|---|---|---|---|---|\n".to_owned();
    for alert in ALERTS {
        let summary = alert.summary.replace("{{ $labels.", "*").replace(" }}", "*");
        let (hold, severity) = (alert.hold, alert.severity.word());
        let _ = writeln!(table, "| `{}` | {hold} s | {severity} | {summary} | {} |", alert.name, alert.action);
    }
    format!("{before}{BEGIN}{table}{END}{after}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::metrics::{METRICS, PREFIX};

    #[test]
    fn the_files_are_those_of_the_table() {
        for (path, text) in files() {
            let found = std::fs::read_to_string(crate::checkout().join(&path)).unwrap_or_default();
            assert!(
                found == text,
                "{} is not as the table has it: operations-lab dev monitoring --write",
                path.display()
            );
        }
    }

    /// The names of ours in an expression.
    fn names(expression: &str) -> BTreeSet<String> {
        let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        expression
            .split(|letter| !is_letter(letter))
            .filter_map(|word| word.strip_prefix(PREFIX))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn each_expression_asks_for_metrics_that_are_there() {
        let known: BTreeSet<_> = METRICS.iter().map(|metric| metric.name.to_owned()).collect();
        let mut asked = BTreeSet::new();
        for expression in queries().into_iter().chain(ALERTS.iter().map(|alert| alert.expression.to_owned())) {
            let names = names(&expression);
            assert!(!names.is_empty(), "{expression}");
            let unknown: Vec<_> = names.difference(&known).collect();
            assert!(unknown.is_empty(), "{expression}: no metric {unknown:?}");
            asked.extend(names);
        }
        // What the page draws the dashboard does, too.
        let drawn = METRICS.iter().filter(|metric| !metric.plots.is_empty());
        let missing: Vec<_> = drawn.map(|metric| metric.name).filter(|name| !asked.contains(*name)).collect();
        assert!(missing.is_empty(), "no panel shows {missing:?}");
    }

    #[test]
    fn each_alert_has_a_name_of_its_own_and_says_what_to_do() {
        let mut seen = BTreeSet::new();
        for alert in ALERTS {
            assert!(alert.name.starts_with("Operations") && seen.insert(alert.name), "{}", alert.name);
            assert!(alert.summary.ends_with('.') && alert.action.ends_with('.'), "{}", alert.name);
        }
    }
}
