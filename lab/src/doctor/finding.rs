//! What was found, and what it comes to.

use serde::Serialize;

/// How bad a finding is. The order is that of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something does not do its duty now.
    Broken,
    /// It could not be seen whether all is well.
    Unknown,
    /// All do their duty, but something gets worse or will be needed and is missing.
    Degraded,
    /// Good to know. Does not change the verdict.
    Info,
}

impl Severity {
    /// As `operations_doctor()` writes it. What is not known is not good.
    #[must_use]
    pub fn from_sql(text: &str) -> Self {
        match text {
            "broken" => Self::Broken,
            "degraded" => Self::Degraded,
            "info" => Self::Info,
            _ => Self::Unknown,
        }
    }

    /// As people read it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Unknown => "unknown",
            Self::Degraded => "degraded",
            Self::Info => "info",
        }
    }
}

/// The one word that all findings come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing worse than info was found, and everybody answered.
    Ok,
    /// See [`Severity::Degraded`].
    Degraded,
    /// See [`Severity::Broken`].
    Broken,
    /// See [`Severity::Unknown`].
    Unknown,
}

impl Verdict {
    /// The worst wins; what could not be seen is worse than what gets worse.
    #[must_use]
    pub fn of(findings: &[Finding]) -> Self {
        match findings.iter().map(|finding| finding.severity).min() {
            Some(Severity::Broken) => Self::Broken,
            Some(Severity::Unknown) => Self::Unknown,
            Some(Severity::Degraded) => Self::Degraded,
            Some(Severity::Info) | None => Self::Ok,
        }
    }

    /// The program's exit code.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Degraded => 1,
            Self::Broken => 2,
            Self::Unknown => 3,
        }
    }

    /// As people read it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Broken => "broken",
            Self::Unknown => "unknown",
        }
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its name, as docs/doctor.md explains it.
    pub code: String,
    /// How bad it is.
    pub severity: Severity,
    /// The server it is about.
    pub server: String,
    /// What was seen: numbers and names.
    pub evidence: String,
    /// What to type next.
    pub next_command: String,
}

impl Finding {
    /// A finding of the program.
    pub fn new(
        code: &str,
        severity: Severity,
        server: &str,
        evidence: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            code: code.to_owned(),
            severity,
            server: server.to_owned(),
            evidence: evidence.into(),
            next_command: next.into(),
        }
    }

    /// Whether both are of the same thing, whatever the numbers in the evidence.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.code == other.code && self.server == other.server
    }

    /// Whether it came of comparing the sums, or of not being able to.
    #[must_use]
    pub fn is_of_sums(&self) -> bool {
        ["view_stale", "sums_differ", "citus_node_away"].contains(&self.code.as_str())
            || self.evidence.starts_with("sums: ")
    }
}

/// How a line for psql begins, and one for a shell.
const SQL: [&str; 8] = ["alter", "call", "create", "grant", "rollback", "select", "show", "vacuum"];
const SHELL: [&str; 11] = [
    "df",
    "docker",
    "export",
    "kill",
    "make",
    "operations-lab",
    "pg_checksums",
    "pg_ctl",
    "ps",
    "psql",
    "timedatectl;",
];

/// Whether a next command can be typed as it stands. What is said besides is a remark of psql (`--`) or of a shell (`#`).
#[must_use]
pub fn can_be_typed(command: &str) -> bool {
    let first = command.split(' ').next().unwrap_or_default();
    let is_whole = command.split(" -- ").next().is_some_and(|statements| statements.ends_with(';'));
    (SQL.contains(&first) && is_whole) || SHELL.contains(&first)
}

/// A statement with a remark that says where it is typed. One that says already where keeps its remark, but for the place itself.
#[must_use]
pub(crate) fn say_where(command: &str, place: &str) -> String {
    let first = command.split(' ').next().unwrap_or_default();
    if !SQL.contains(&first) || !can_be_typed(command) {
        return command.to_owned();
    }
    let Some((statements, remark)) = command.split_once(" -- ") else {
        return format!("{command} -- {place}");
    };
    match remark.strip_prefix(ON_THE_REPLICA) {
        Some(rest) if rest.is_empty() || rest.starts_with([',', ';']) => format!("{statements} -- {place}{rest}"),
        _ if remark.starts_with("on ") => command.to_owned(),
        _ => format!("{statements} -- {place}; {remark}"),
    }
}

/// Where a replica's statement is typed, unless there is a shorter way.
pub(crate) const ON_THE_REPLICA: &str = "on the replica";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_says_where_it_is_typed() {
        let place = "in make psql-replica";
        for (command, wanted) in [
            ("select 1;", "select 1; -- in make psql-replica"),
            ("select 1; -- then look", "select 1; -- in make psql-replica; then look"),
            ("select 1; -- on the replica, or wait", "select 1; -- in make psql-replica, or wait"),
            ("select 1; -- on the replica that is to take over", "select 1; -- on the replica that is to take over"),
            ("select 1; -- on the primary", "select 1; -- on the primary"),
            ("make demo", "make demo"),
            ("select the right one", "select the right one"),
        ] {
            assert_eq!(say_where(command, place), wanted);
            assert_eq!(say_where(&say_where(command, ON_THE_REPLICA), place), wanted);
            assert_eq!(can_be_typed(wanted), can_be_typed(command));
        }
    }

    #[test]
    fn a_command_is_told_from_advice() {
        for command in [
            "select 1;",
            "select 1; -- then look",
            "kill -CONT 1 # wakes it",
            "make demo",
            "timedatectl; chronyc tracking",
        ] {
            assert!(can_be_typed(command), "{command}");
        }
        for advice in ["start a replica; its log says why", "select the right one", "look at the network", ""] {
            assert!(!can_be_typed(advice), "{advice}");
        }
    }

    #[test]
    fn the_worst_finding_gives_the_verdict() {
        let of = |severities: &[Severity]| {
            let findings: Vec<_> =
                severities.iter().map(|severity| Finding::new("x", *severity, "s", "", "")).collect();
            Verdict::of(&findings)
        };
        use Severity::{Broken, Degraded, Info, Unknown};
        assert_eq!(of(&[]), Verdict::Ok);
        assert_eq!(of(&[Info]), Verdict::Ok);
        assert_eq!(of(&[Info, Degraded]), Verdict::Degraded);
        assert_eq!(of(&[Degraded, Unknown]), Verdict::Unknown);
        assert_eq!(of(&[Unknown, Broken, Info]), Verdict::Broken);
        assert_eq!(Severity::from_sql("dreadful"), Unknown);
        assert_eq!(
            [0, 1, 2, 3],
            [Verdict::Ok, Verdict::Degraded, Verdict::Broken, Verdict::Unknown].map(Verdict::exit_code)
        );
    }
}
