//! The rules as Prometheus reads them.

use std::fmt::Write;

use super::ALERTS;

/// How long alerts are held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As the table says.
    Usual,
    /// A second each, for tests that wait for them.
    AtOnce,
}

/// The file with all alerts.
#[must_use]
pub fn rules(pace: Pace) -> String {
    let mut text = "\
# The alerts of the operations lab. Made of lab/src/monitoring/alerts.rs by operations-lab dev monitoring --write; docs/monitoring.md
# says how to use them.
groups:
  - name: operations_lab
    rules:
"
    .to_owned();
    for alert in ALERTS {
        let hold = if pace == Pace::AtOnce { 1 } else { alert.hold };
        let _ = write!(
            text,
            "      - alert: {}\n        expr: {}\n        for: {hold}s\n        labels:\n          severity: {}\n        annotations:\n          \
             summary: {}\n          description: {}\n",
            alert.name,
            quoted(alert.expression),
            alert.severity.word(),
            quoted(alert.summary),
            quoted(alert.action)
        );
    }
    text
}

/// As YAML has it within apostrophes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
