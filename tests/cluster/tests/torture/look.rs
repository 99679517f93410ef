//! What is seen of a database, and how two of them compare.

use operations_cluster::expect::{AGGREGATE_DIFFERENCE, LIVE_DIFFERENCE};
use operations_cluster::{Error, text};
use postgres::Client;

/// Why something could not be seen.
pub enum Blind {
    /// The transaction has failed before.
    Aborted,
    /// Somebody has locked it.
    Locked,
    /// This should not be.
    Failed(String),
}

impl std::fmt::Display for Blind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Aborted => formatter.write_str("the transaction has failed"),
            Self::Locked => formatter.write_str("it is locked"),
            Self::Failed(why) => formatter.write_str(why),
        }
    }
}

/// How closely one looks.
#[derive(Clone, Copy, PartialEq)]
pub enum Depth {
    /// Number of rows and sums of ids.
    Counts,
    /// All columns of all rows, and by the indexes.
    Rows,
    /// And what the tables are.
    Everything,
}

/// What a session sees; equal for equal databases.
pub fn look(session: &mut Client, depth: Depth) -> Result<String, Blind> {
    let query = match depth {
        Depth::Counts => "SELECT torture.look(false)",
        Depth::Rows => "SELECT torture.look(true), torture.look_by_index()",
        Depth::Everything => "SELECT torture.look(true), torture.look_by_index(), torture.structure()",
    };
    ask(session, query)
}

/// What is wrong with `client_type_sum_live`.
pub fn live_difference(session: &mut Client) -> Result<String, Blind> {
    ask(session, LIVE_DIFFERENCE)
}

/// What is wrong with `client_type_sum_mv`, right after `change_status()`.
pub fn stored_difference(session: &mut Client) -> Result<String, Blind> {
    ask(session, AGGREGATE_DIFFERENCE)
}

fn ask(session: &mut Client, query: &str) -> Result<String, Blind> {
    text(session, query).map_err(|error| {
        let code = match &error {
            Error::Statement { source, .. } => source.code().map(|code| code.code().to_owned()),
            _ => None,
        };
        match code.as_deref() {
            Some("25P02") => Blind::Aborted,
            Some("55P03") => Blind::Locked,
            _ => Blind::Failed(error.to_string()),
        }
    })
}

/// The lines that only one of two looks has; `None` if they are equal.
pub fn difference(ours: &str, reference: &str) -> Option<String> {
    if ours == reference {
        return None;
    }
    let only = |one: &str, other: &str, label: &str| -> Vec<String> {
        let other: std::collections::HashSet<&str> = other.lines().collect();
        one.lines().filter(|line| !other.contains(line)).map(|line| format!("    {label}: {line}")).collect()
    };
    let mut lines = only(ours, reference, "extension");
    lines.extend(only(reference, ours, "reference"));
    Some(lines.join("\n"))
}

/// What came of a look, for people to read.
pub fn told(look: &Result<String, Blind>) -> String {
    look.as_ref().map_or_else(ToString::to_string, |_| "can be seen".to_owned())
}
