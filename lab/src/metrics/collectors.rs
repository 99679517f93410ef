//! The queries that give the values of most metrics.

use std::time::Duration;

/// Which servers are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// All of them.
    Everywhere,
    /// The one that takes writes.
    Writer,
}

/// How often a query is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Every 2 seconds: it reads a few rows.
    Quick,
    /// After so long, and after fifty times of what it took: it must cost little, however much there is to read.
    After(Duration),
}

/// A query whose columns are metrics and labels, by their names.
#[derive(Clone, Copy, Debug)]
pub struct Collector {
    /// Its name.
    pub name: &'static str,
    /// What is asked, by the first major version that it is right for; the newest first.
    pub queries: &'static [(i32, &'static str)],
    /// Which servers are asked.
    pub of: Where,
    /// How often.
    pub pace: Pace,
    /// Whether it reads rows of `operations`. Then it is planned only while [`OWNERS`] finds nothing against it.
    pub reads_operations: bool,
}

/// Why no row of `operations` is read: asked before a collector that would, in the same transaction.
pub const OWNERS: &str = include_str!("sql/owners.sql");

impl Collector {
    /// A collector by its name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        COLLECTORS.iter().find(|collector| collector.name == name)
    }

    /// The query for a version, as `server_version_num` has it.
    #[must_use]
    pub fn query(&self, version: i32) -> &'static str {
        let of_version = |(first, _): &&(i32, &str)| version / 10_000 >= *first;
        self.queries.iter().find(of_version).or(self.queries.last()).map_or("", |(_, query)| *query)
    }

    /// Whether it reads what the extension made.
    #[must_use]
    pub fn needs_extension(&self) -> bool {
        self.queries.iter().any(|(_, query)| query.contains("@schema@"))
    }

    const fn of_operations(mut self) -> Self {
        self.reads_operations = true;
        self
    }
}

const fn quick(name: &'static str, of: Where, queries: &'static [(i32, &'static str)]) -> Collector {
    Collector { name, queries, of, pace: Pace::Quick, reads_operations: false }
}

const fn after(seconds: u64, name: &'static str, of: Where, queries: &'static [(i32, &'static str)]) -> Collector {
    Collector { name, queries, of, pace: Pace::After(Duration::from_secs(seconds)), reads_operations: false }
}

/// All collectors.
pub static COLLECTORS: &[Collector] = &[
    quick("position", Where::Everywhere, &[(0, include_str!("sql/position.sql"))]),
    quick("slots", Where::Everywhere, &[(0, include_str!("sql/slots.sql"))]),
    quick("sessions", Where::Everywhere, &[(0, include_str!("sql/sessions.sql"))]),
    quick("activity", Where::Everywhere, &[(0, include_str!("sql/activity.sql"))]),
    quick("operations", Where::Writer, &[(0, include_str!("sql/operations.sql"))]).of_operations(),
    quick("loads", Where::Writer, &[(0, include_str!("sql/loads.sql"))]),
    after(5, "jobs", Where::Writer, &[(0, include_str!("sql/jobs.sql"))]),
    after(
        5,
        "checkpoints",
        Where::Everywhere,
        &[(17, include_str!("sql/checkpoints_17.sql")), (0, include_str!("sql/checkpoints_16.sql"))],
    ),
    after(15, "sums", Where::Writer, &[(0, include_str!("sql/sums.sql"))]),
    after(10, "tables", Where::Writer, &[(0, include_str!("sql/tables.sql"))]),
    after(10, "months", Where::Writer, &[(0, include_str!("sql/months.sql"))]).of_operations(),
    after(30, "partitions", Where::Writer, &[(0, include_str!("sql/partitions.sql"))]),
];
