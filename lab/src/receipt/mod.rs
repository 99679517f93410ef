//! The receipt: a client that always writes and keeps what the servers acknowledge, and the comparison of both.
//!
//! ```no_run
//! # fn main() -> Result<(), operations_lab::Error> {
//! use operations_lab::{demo::Demo, receipt};
//! let demo = Demo::as_started(None)?;
//! let mark = receipt::mark(&demo)?;
//! // Something happens here.
//! let report = receipt::since(&demo, &mark)?;
//! println!("{} lost, nobody could write for {} ms", report.lost, report.longest_gap_ms);
//! # Ok(())
//! # }
//! ```

mod client;
mod journal;
mod process;
mod record;
mod report;
mod text;
mod worker;
mod writer_rows;

use std::path::PathBuf;

pub use crate::moment::Moment;
pub use client::run;
pub use process::{is_running, start, stop};
pub use report::{Gap, Report, Row};
pub use text::{count, seconds};

use crate::demo::{Demo, Layout};
use crate::error::{Context, Error};
use record::Record;

/// So many of the last writes are compared, almost three hours; older rows are removed.
pub const KEPT: u64 = 100_000;

/// The file with the process id of the client.
const PID: &str = "pid";

/// Where the client keeps its files.
#[must_use]
pub fn folder(layout: &Layout) -> PathBuf {
    layout.folder.join("receipt")
}

/// A point among the writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The last number before.
    pub sequence: u64,
    /// When it was set.
    pub at: Moment,
}

/// Marks this moment.
pub fn mark(demo: &Demo) -> Result<Mark, Error> {
    let at = Moment::now();
    Ok(Mark { sequence: last(&notes(demo)?), at })
}

/// What became of all that was written since a mark, compared with the server that takes writes now.
/// [`FailoverError::NoWriter`](crate::error::FailoverError::NoWriter) if none does.
pub fn since(demo: &Demo, mark: &Mark) -> Result<Report, Error> {
    let records = notes(demo)?;
    let oldest = last(&records).saturating_sub(KEPT);
    let (server, there) = writer_rows::look(demo, mark.sequence.max(oldest))?;
    let reserved = notes(demo)?;
    let now = is_running(demo).then(Moment::now);
    let after = (mark.sequence.max(oldest), mark.at);
    let mut report = report::compare(&records, &reserved, &there, after, now);
    report.server = server;
    Ok(report)
}

/// The same for all that is kept.
pub fn whole(demo: &Demo) -> Result<Report, Error> {
    since(demo, &Mark::default())
}

/// The mark of so many milliseconds ago.
pub fn mark_of_age(demo: &Demo, age_ms: u64) -> Result<Mark, Error> {
    let now = Moment::now();
    let at = Moment { clock: now.clock.saturating_sub(age_ms), uptime: now.uptime.saturating_sub(age_ms) };
    let before = |moment: &Moment| now.since(*moment) >= age_ms;
    let numbers = notes(demo)?.into_iter().filter_map(|record| match record {
        Record::Ack(ack) if before(&ack.at) => Some(ack.sequence),
        Record::Doubt(sequence, at) | Record::Refused(sequence, at) if before(&at) => Some(sequence),
        _ => None,
    });
    Ok(Mark { sequence: numbers.max().unwrap_or(0), at })
}

/// The mark of a row.
pub fn mark_of_sequence(demo: &Demo, sequence: u64) -> Result<Mark, Error> {
    let at = notes(demo)?.into_iter().find_map(|record| match record {
        Record::Ack(ack) if ack.sequence >= sequence => Some(ack.at),
        _ => None,
    });
    Ok(Mark { sequence, at: at.unwrap_or_else(Moment::now) })
}

/// The timeline of the last row that was acknowledged after a mark.
pub(crate) fn last_timeline(demo: &Demo, mark: &Mark) -> Result<Option<u32>, Error> {
    let records = notes(demo)?;
    Ok(records.iter().rev().find_map(|record| match record {
        Record::Ack(ack) if ack.sequence > mark.sequence => Some(ack.timeline),
        _ => None,
    }))
}

/// Whether the client was at work until a timeline ended: it has had rows acknowledged there, and noted more since, without an end
/// of its own in between.
pub(crate) fn watched(demo: &Demo, timeline: u32) -> Result<bool, Error> {
    Ok(was_watched(&notes(demo)?, timeline))
}

fn was_watched(records: &[Record], timeline: u32) -> bool {
    let last = records.iter().rposition(|record| matches!(record, Record::Ack(ack) if ack.timeline == timeline));
    let mut after = records.iter().skip(last.map_or(records.len(), |last| last + 1));
    let next = after.find(|record| !matches!(record, Record::Reserve(..)));
    matches!(next, Some(Record::Ack(_) | Record::Doubt(..) | Record::Refused(..) | Record::Down(..)))
}

fn notes(demo: &Demo) -> Result<Vec<Record>, Error> {
    let folder = folder(&demo.layout);
    journal::read(&folder, &demo.layout.owner).context(|| format!("read the receipt's file in {}", folder.display()))
}

/// The last number that was sent.
fn last(records: &[Record]) -> u64 {
    let numbers = records.iter().map(|record| match record {
        Record::Ack(ack) => ack.sequence,
        Record::Doubt(sequence, _) | Record::Refused(sequence, _) => *sequence,
        _ => 0,
    });
    numbers.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::Ack;

    #[test]
    fn a_fault_that_no_client_saw_was_not_watched() {
        let at = Moment::default();
        let ack = |sequence, timeline| Record::Ack(Ack { sequence, timeline, position: crate::lsn::Lsn(0), at });
        let (start, stop, doubt) = (Record::Start(at), Record::Stop(at), Record::Doubt(2, at));
        assert!(was_watched(&[start.clone(), ack(1, 1), doubt.clone(), ack(3, 2)], 1));
        assert!(was_watched(&[ack(1, 1), Record::Reserve(2, 9), ack(2, 2), stop.clone()], 1));
        assert!(!was_watched(&[ack(1, 1), stop, start.clone(), ack(3, 2)], 1));
        assert!(!was_watched(&[ack(1, 1), start, doubt], 1));
        assert!(!was_watched(&[ack(1, 1)], 1));
        assert!(!was_watched(&[ack(1, 2)], 1));
        assert!(!was_watched(&[], 1));
    }
}
