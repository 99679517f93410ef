//! What the page gets, as JSON.

use serde::Serialize;

use crate::marks::Mark;

/// The answer to `/api/state`, and the event `state`.
#[derive(Clone, Debug, Serialize)]
pub struct State {
    /// Now; all times are milliseconds since 1970.
    pub now: u64,
    /// Of this program.
    pub version: &'static str,
    /// The doctor's.
    pub verdict: &'static str,
    /// Since when it is so.
    pub since: u64,
    /// When the doctor's last look ended; 0 before the first.
    pub looked: u64,
    /// What was found, the worst first.
    pub findings: Vec<FindingLine>,
    /// The servers.
    pub servers: Vec<ServerLine>,
    /// What the page draws.
    pub panels: Vec<PanelLine>,
}

/// A finding.
#[derive(Clone, Debug, Serialize)]
pub struct FindingLine {
    /// As docs/doctor.md explains it.
    pub code: String,
    /// How bad it is.
    pub severity: &'static str,
    /// The server's name; `all` for what concerns no single one.
    pub server: String,
    /// What was seen.
    pub evidence: String,
    /// What to type.
    pub next: String,
    /// Since when.
    pub since: u64,
}

/// A server.
#[derive(Clone, Debug, Serialize)]
pub struct ServerLine {
    /// Its name, which stays; /metrics has it, too.
    pub name: String,
    /// As people are told of it: what it is now, and where.
    pub called: String,
    /// Host and port.
    pub address: String,
    /// `primary` or `replica`, as it was seen last.
    pub role: Option<&'static str>,
    /// Whether it answers; null while that is not known.
    pub up: Option<bool>,
    /// Of a replica: the name of the server that it follows.
    pub follows: Option<String>,
    /// Since when it answers, or does not.
    pub since: u64,
    /// Why it does not answer, or which collector fails.
    pub error: Option<String>,
}

/// A panel.
#[derive(Clone, Debug, Serialize)]
pub struct PanelLine {
    /// Its id.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// The unit of its series.
    pub unit: &'static str,
    /// How it is drawn.
    pub kind: &'static str,
    /// What is drawn.
    pub series: Vec<SeriesLine>,
}

/// A series.
#[derive(Clone, Debug, Serialize)]
pub struct SeriesLine {
    /// Its key in samples and in the history.
    pub key: String,
    /// What the line is called where it is told alone.
    pub label: String,
    /// What is measured: the lines of one measure are drawn alike.
    pub measure: String,
    /// Where that was seen, if the line is about another server.
    pub on: Option<String>,
    /// What tells this line from others of its measure.
    pub row: String,
    /// The name of the server that it is about: the page draws a server alike everywhere.
    pub server: Option<String>,
}

/// A run of a job.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// The job.
    pub job: String,
    /// When it began.
    pub start: u64,
    /// When it ended.
    pub end: Option<u64>,
    /// Whether it succeeded.
    pub ok: Option<bool>,
    /// Its error.
    pub message: String,
    /// Where it ran.
    pub server: String,
}

/// A load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Load {
    /// Which one.
    pub id: String,
    /// Where it runs.
    pub server: String,
    /// When it began.
    pub started: u64,
    /// How many rows it has written.
    pub rows: i64,
    /// How many it was asked for.
    pub total: i64,
    /// What it does.
    pub text: String,
    /// When it was seen no more.
    pub ended: Option<u64>,
}

/// The operations of a month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Month {
    /// `2026-11`.
    pub month: String,
    /// How many are new.
    pub new: u64,
    /// How many are done.
    pub done: u64,
}

/// What the history has besides its series.
#[derive(Debug, Serialize)]
pub struct Beside<'a> {
    /// What happened.
    pub marks: Vec<&'a Mark>,
    /// The jobs' runs.
    pub runs: Vec<&'a Run>,
    /// The loads.
    pub loads: Vec<&'a Load>,
    /// The months.
    pub months: &'a [Month],
}
