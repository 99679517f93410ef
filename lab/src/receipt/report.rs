//! Compares what was acknowledged with what is there. Pure: notes and rows in, report out.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::lsn::Lsn;
use crate::moment::Moment;
use crate::receipt::record::{Ack, Record};

/// A longer time without a success is listed.
const LISTED: u64 = 1000;

/// What the server that takes writes has.
#[derive(Clone, Debug, Default)]
pub struct WriterRows {
    /// Sequence numbers and timelines of the rows.
    pub rows: BTreeMap<u64, u32>,
    /// The timeline that the server writes on.
    pub timeline: u32,
    /// Where each of its earlier timelines ended.
    pub history: Vec<(u32, Lsn)>,
}

/// What became of the writes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The server that was compared with: the one that takes writes.
    pub server: String,
    /// Its timeline.
    pub timeline: u32,
    /// Rows that were sent: all of the next three.
    pub written: u64,
    /// Those of them that a server acknowledged.
    pub acknowledged: u64,
    /// Those whose outcome is not known: the connection broke or hung after they were sent.
    pub in_doubt: u64,
    /// Those that a server refused.
    pub refused: u64,
    /// How many of those in doubt are there.
    pub in_doubt_there: u64,
    /// Acknowledged, and not there.
    pub lost: u64,
    /// WriterRows, though never sent or refused, or on another timeline than acknowledged.
    pub unexpected: u64,
    /// Acknowledged on a timeline after it was left: by a server that did not survive, or that is not the primary any more.
    pub forked: Vec<Row>,
    /// The rows that are lost; those of `forked` that are not there are among them.
    pub lost_rows: Vec<Row>,
    /// The sequence numbers of the unexpected rows.
    pub unexpected_rows: Vec<u64>,
    /// For how long nobody could write: each time of a second or more.
    pub gaps: Vec<Gap>,
    /// The longest time between two successes, in milliseconds, listed or not.
    pub longest_gap_ms: u64,
}

/// A row that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its sequence number.
    pub sequence: u64,
    /// The timeline of the server that acknowledged it.
    pub timeline: u32,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Whether it is there all the same, for example because it was loaded again.
    pub is_there: bool,
}

/// A time in which nobody could write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The last success before, in milliseconds since 1970.
    pub from_ms: u64,
    /// How long it took until the first success after, or until now.
    pub length_ms: u64,
    /// Whether there was a success after.
    pub is_over: bool,
    /// Why nobody could, as the client was told first.
    pub why: String,
}

/// Judges all writes after a number, and all gaps that ended after a moment.
///
/// `reserved` was read after the rows, `records` before them; `now` is given when the client runs.
#[must_use]
pub fn compare(
    records: &[Record],
    reserved: &[Record],
    there: &WriterRows,
    after: (u64, Moment),
    now: Option<Moment>,
) -> Report {
    let sent = Sent::of(records, after.0);
    let mut report = Report { timeline: there.timeline, ..Report::default() };
    let is_there = |sequence: &u64| there.rows.contains_key(sequence);
    report.acknowledged = sent.acks.len() as u64;
    report.refused = sent.refused.len() as u64;
    report.in_doubt = sent.in_doubt.len() as u64;
    report.in_doubt_there = sent.in_doubt.iter().filter(|sequence| is_there(sequence)).count() as u64;

    let last_there = last_there(there);
    for ack in sent.acks.values() {
        let row = Row {
            sequence: ack.sequence,
            timeline: ack.timeline,
            at_ms: ack.at.clock,
            is_there: is_there(&ack.sequence),
        };
        if !row.is_there {
            report.lost_rows.push(row);
        }
        if is_forked(ack, row.is_there, there, &last_there) {
            report.forked.push(row);
        }
    }
    report.lost = report.lost_rows.len() as u64;

    let ranges: Vec<_> = reserved
        .iter()
        .filter_map(|record| match record {
            Record::Reserve(from, to) => Some(*from..=*to),
            _ => None,
        })
        .collect();
    // What was written before the file began is not known.
    let first = ranges.iter().map(|range| *range.start()).min().unwrap_or(u64::MAX);
    for (sequence, timeline) in there.rows.range(first.max(after.0.saturating_add(1))..) {
        let was_reserved = ranges.iter().any(|range| range.contains(sequence));
        let other_timeline = sent.acks.get(sequence).is_some_and(|ack| ack.timeline != *timeline);
        if !was_reserved || other_timeline || sent.refused.contains(sequence) {
            report.unexpected_rows.push(*sequence);
        } else if *sequence <= sent.last && !sent.knows(*sequence) {
            // The client died before it noted what became of it.
            report.in_doubt += 1;
            report.in_doubt_there += 1;
        }
    }
    report.unexpected = report.unexpected_rows.len() as u64;
    report.written = report.acknowledged + report.in_doubt + report.refused;
    gaps(records, after.1, now, &mut report);
    report
}

/// What was sent after a number, by what became of it.
#[derive(Default)]
struct Sent {
    acks: BTreeMap<u64, Ack>,
    in_doubt: BTreeSet<u64>,
    refused: BTreeSet<u64>,
    last: u64,
}

impl Sent {
    fn of(records: &[Record], after: u64) -> Self {
        let mut sent = Self::default();
        for record in records {
            match record {
                Record::Ack(ack) if ack.sequence > after => {
                    sent.acks.insert(ack.sequence, *ack);
                }
                Record::Doubt(sequence, _) if *sequence > after => {
                    sent.in_doubt.insert(*sequence);
                }
                Record::Refused(sequence, _) if *sequence > after => {
                    sent.refused.insert(*sequence);
                }
                _ => {}
            }
        }
        // An acknowledgement may come late, as from a server that was stopped and goes on.
        sent.in_doubt.retain(|sequence| !sent.acks.contains_key(sequence));
        let last = |numbers: &BTreeSet<u64>| numbers.last().copied().unwrap_or(0);
        let last_ack = sent.acks.keys().next_back().copied().unwrap_or(0);
        sent.last = last_ack.max(last(&sent.in_doubt)).max(last(&sent.refused));
        sent
    }

    fn knows(&self, sequence: u64) -> bool {
        self.acks.contains_key(&sequence) || self.in_doubt.contains(&sequence) || self.refused.contains(&sequence)
    }
}

/// The highest number that is there of each timeline.
fn last_there(there: &WriterRows) -> BTreeMap<u32, u64> {
    let mut last = BTreeMap::new();
    for (sequence, timeline) in &there.rows {
        last.insert(*timeline, *sequence);
    }
    last
}

/// Whether a row was written after the point where its timeline was left. The position is that before the commit, so the row
/// next to that point is judged by whether anything later of its timeline is there.
fn is_forked(ack: &Ack, is_there: bool, there: &WriterRows, last_there: &BTreeMap<u32, u64>) -> bool {
    if ack.timeline == there.timeline {
        return false;
    }
    let Some((_, end)) = there.history.iter().find(|(timeline, _)| *timeline == ack.timeline) else {
        return true;
    };
    let nothing_later = last_there.get(&ack.timeline).is_none_or(|last| *last < ack.sequence);
    ack.position >= *end || (!is_there && nothing_later)
}

/// The times between two successes; one that no success has ended lasts until now.
fn gaps(records: &[Record], after: Moment, now: Option<Moment>, report: &mut Report) {
    let (mut last, mut why) = (None::<Moment>, String::new());
    let mut add = |from: Moment, to: Moment, is_over: bool, why: &mut String| {
        let (length_ms, why) = (to.since(from), std::mem::take(why));
        if to.clock < after.clock && to.uptime < after.uptime {
            return;
        }
        report.longest_gap_ms = report.longest_gap_ms.max(length_ms);
        if length_ms >= LISTED {
            report.gaps.push(Gap { from_ms: from.clock, length_ms, is_over, why });
        }
    };
    for record in records {
        match record {
            Record::Ack(ack) => {
                if let Some(before) = last.filter(|before| ack.at.uptime >= before.uptime) {
                    add(before, ack.at, true, &mut why);
                }
                last = Some(ack.at);
            }
            Record::Down(_, reason) if why.is_empty() => why.clone_from(reason),
            // A client that was told to stop in a gap knows no more of it.
            Record::Stop(at) => {
                if let Some(before) = last.take().filter(|_| !why.is_empty()) {
                    add(before, *at, false, &mut why);
                }
            }
            Record::Start(_) => {
                last = None;
                why.clear();
            }
            _ => {}
        }
    }
    if let (Some(before), Some(now)) = (last, now) {
        add(before, now, false, &mut why);
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
