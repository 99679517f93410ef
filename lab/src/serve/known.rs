//! What is known, without what is made of it: the types that all parts share.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::model::{Load, Month, Run};
use super::ring::Ring;
use crate::connect::Refusal;
use crate::doctor::Report;
use crate::marks::Mark;
use crate::metrics::Sample;
use crate::moment::Moment;
use crate::role::Role;

/// Why a collector has no values whose server is away.
pub const NO_ANSWER: &str = "the server does not answer";

/// The earlier value of each series that shows how much something grows.
pub type Before = HashMap<String, Growth>;

/// An earlier value.
#[derive(Clone, Copy, Debug)]
pub struct Growth {
    /// When it was taken.
    pub at: u64,
    /// The value.
    pub value: f64,
    /// How much it had grown in a second.
    pub rate: Option<f64>,
}

/// What a collector gave last.
#[derive(Clone, Debug)]
pub struct Collected {
    /// When its last try ended.
    pub at: u64,
    /// How long that took.
    pub took: Duration,
    /// Why it failed.
    pub error: Option<String>,
    /// When it last worked.
    pub succeeded: Option<u64>,
    /// What it gave; nothing where it failed.
    pub samples: Vec<Sample>,
}

/// What is known of a server.
#[derive(Debug)]
pub struct Known {
    /// Its name, which stays.
    pub name: String,
    /// Host and port.
    pub address: String,
    /// Whether it answers.
    pub up: Option<bool>,
    /// Since when.
    pub since: u64,
    /// Why it does not.
    pub refusal: Option<Refusal>,
    /// What it is.
    pub role: Option<Role>,
    /// The timeline that it told last. It stays while the server does not answer.
    pub timeline: Option<f64>,
    /// Whom it follows, and the slot that keeps WAL for it there, as the doctor saw it last.
    pub stream: Option<Stream>,
    /// What was collected.
    pub collected: BTreeMap<&'static str, Collected>,
}

/// A replica's end of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The name of the server that it follows.
    pub from: String,
    /// Its slot there. It stays while the receiver is away.
    pub slot: Option<String>,
}

/// What the doctor said last.
#[derive(Debug)]
pub struct Looked {
    /// What it said.
    pub report: Report,
    /// When.
    pub at: u64,
    /// Since when the verdict is so.
    pub since: u64,
    /// Since when each finding is there, by server and code.
    pub found: HashMap<(String, String), u64>,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Inner {
    /// The servers, in the order in which they were named.
    pub servers: Vec<Known>,
    /// The doctor's last look.
    pub looked: Option<Looked>,
    /// The last hour.
    pub ring: Ring,
    /// What drawn series were made of.
    pub drawn: Before,
    /// What happened.
    pub marks: VecDeque<Mark>,
    /// The jobs' runs.
    pub runs: VecDeque<Run>,
    /// How many runs were seen, by server, job and status.
    pub run_counts: BTreeMap<(String, String, &'static str), u64>,
    /// The loads.
    pub loads: VecDeque<Load>,
    /// The months.
    pub months: Vec<Month>,
    /// The history as JSON, until the next sample.
    pub history: Option<Bytes>,
    /// The state as JSON after the time in it, and when it was made.
    pub state: Option<(u64, Bytes)>,
}

impl Inner {
    /// The primary, of the servers that count as there: of two the one on the newer timeline, and on the same the one that answers.
    pub fn writer(&self, counts: impl Fn(&Known) -> bool) -> Option<usize> {
        let all = self.servers.iter().enumerate();
        let writers = all.filter(|(_, known)| known.role == Some(Role::Primary) && counts(known));
        let rank = |known: &Known| (known.timeline.unwrap_or(0.0), known.up == Some(true));
        let newest = writers.max_by(|(_, one), (_, other)| {
            let ((one, one_answers), (other, other_answers)) = (rank(one), rank(other));
            one.total_cmp(&other).then(one_answers.cmp(&other_answers))
        });
        newest.map(|(index, _)| index)
    }
}

/// Now, in milliseconds since 1970.
pub fn now() -> u64 {
    Moment::now().clock
}
