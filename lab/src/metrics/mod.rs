//! The metrics: one table says what each is, in which unit, from which query, and where the page draws it. `/metrics`, the page,
//! docs/metrics.md, the dashboard and the alerts are made from it or compared with it.

mod collectors;
mod exposition;
mod page;
mod panels;
mod table;

pub use collectors::{COLLECTORS, Collector, OWNERS, Pace, Where};
pub use exposition::{CONTENT_TYPE, PREFIX, encode};
pub use page::page;
pub use panels::{Draw, PANELS, Panel};
pub use table::METRICS;

/// How a value behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, or begins anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Always 1; its labels tell.
    Info,
}

impl Kind {
    /// As OpenMetrics writes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Info => "info",
        }
    }
}

/// What a value counts, in base units only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things, or 0 and 1.
    None,
    /// Bytes.
    Bytes,
    /// Seconds; a timestamp is seconds since 1970.
    Seconds,
    /// Money.
    Euros,
}

impl Unit {
    /// The end of the names of metrics in this unit, before `_total`.
    #[must_use]
    pub fn suffix(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Bytes => Some("bytes"),
            Self::Seconds => Some("seconds"),
            Self::Euros => Some("euros"),
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The column of this name in the query of a collector.
    Query(&'static str),
    /// The sessions that are kept to each server, and what they see of both.
    Watch,
    /// The doctor.
    Doctor,
    /// The runs of the jobs, which are read one by one.
    Runs,
    /// The program itself.
    Program,
}

/// How the page draws a metric.
#[derive(Clone, Copy, Debug)]
pub struct Plot {
    /// The id of the panel.
    pub panel: &'static str,
    /// What is drawn of it.
    pub draw: Draw,
    /// What the line is called; labels follow it.
    pub label: &'static str,
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name without [`PREFIX`].
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Its unit.
    pub unit: Unit,
    /// What it says, in one sentence.
    pub help: &'static str,
    /// Its labels. They are the same on each sample.
    pub labels: &'static [&'static str],
    /// Where it comes from.
    pub source: Source,
    /// Where the page draws it.
    pub plots: &'static [Plot],
}

impl Metric {
    /// A metric by its name without [`PREFIX`].
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        METRICS.iter().find(|metric| metric.name == name)
    }

    /// The name without `_total` and `_info`, as OpenMetrics declares it.
    #[must_use]
    pub fn family(&self) -> &'static str {
        match self.kind {
            Kind::Counter => self.name.strip_suffix("_total").unwrap_or(self.name),
            Kind::Info => self.name.strip_suffix("_info").unwrap_or(self.name),
            Kind::Gauge => self.name,
        }
    }
}

/// A value of a metric.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Of what.
    pub metric: &'static Metric,
    /// The values of its labels, in their order.
    pub labels: Vec<String>,
    /// How much.
    pub value: f64,
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
