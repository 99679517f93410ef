//! The panels of the page.

/// What is drawn of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// Its value.
    Value,
    /// How much it grows in a second.
    Rate,
    /// How long ago a timestamp was.
    Age,
}

impl Draw {
    /// The end of the key of such a series.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Value => "",
            Self::Rate => ":rate",
            Self::Age => ":age",
        }
    }
}

/// A panel.
#[derive(Clone, Copy, Debug)]
pub struct Panel {
    /// Its id.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// One sentence below it.
    pub help: &'static str,
    /// The unit of all its series.
    pub unit: &'static str,
    /// `lines`, `bars`, `timeline` or `table`.
    pub kind: &'static str,
}

const fn lines(id: &'static str, title: &'static str, unit: &'static str, help: &'static str) -> Panel {
    Panel { id, title, help, unit, kind: "lines" }
}

/// All panels, in their order.
pub const PANELS: &[Panel] = &[
    lines(
        "throughput",
        "Operations a second",
        "ops/s",
        "How many operations are inserted and how many get done, on the server that takes writes.",
    ),
    lines("lag_bytes", "Lag in bytes", "bytes", "What the primary has written and a replica has not replayed yet."),
    lines(
        "lag_seconds",
        "Lag in seconds",
        "s",
        "How old the last commit is that a replica has replayed, and beside it the last message that it has received.",
    ),
    lines(
        "slot",
        "Replication slots",
        "bytes",
        "WAL that is kept for a replica, and what may still be written before its slot is lost.",
    ),
    Panel {
        id: "jobs",
        title: "Jobs",
        help: "Each run of each job, and whether it failed.",
        unit: "s",
        kind: "timeline",
    },
    lines(
        "staleness",
        "Sums that are not up to date",
        "count",
        "How many sums client_type_sum_mv holds otherwise than client_type_sum_live gives them.",
    ),
    Panel {
        id: "months",
        title: "Rows by month",
        help: "Operations of each month, new and done.",
        unit: "rows",
        kind: "bars",
    },
    lines("wal", "WAL", "bytes/s", "How much WAL is written, received and replayed in a second."),
    lines("checkpoints", "Checkpoints", "count/s", "How many checkpoints a second, by what began them."),
    lines("vacuum", "Dead rows", "rows", "Rows that vacuum has still to remove, by table."),
    lines("vacuums", "Vacuums", "count/s", "How many times a second a table is vacuumed."),
    lines(
        "locks",
        "Waiting sessions",
        "count",
        "Sessions that wait for a lock, or for a replica to confirm their commit.",
    ),
    lines("transactions", "Oldest transaction", "s", "How old the oldest transaction is that is open."),
    lines("loads", "Test data", "rows", "Rows that a running operations_test_data has written, of those asked for."),
];
