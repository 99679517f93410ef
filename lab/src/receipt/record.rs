//! What the client notes, a line each: `ack 17 1 0/3000060 1764071234567 83412345 .`
//!
//! A line counts only when its last word is the point: what a crash has torn does not.

use crate::lsn::Lsn;
use crate::moment::Moment;

/// A note of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The client has started: what was before was not watched by it.
    Start(Moment),
    /// The client was told to end.
    Stop(Moment),
    /// These sequence numbers may be sent from now on.
    Reserve(u64, u64),
    /// The server has acknowledged a row.
    Ack(Ack),
    /// A row was sent, and what became of it is not known.
    Doubt(u64, Moment),
    /// A row was sent, and the server refused it.
    Refused(u64, Moment),
    /// From now on nobody takes writes, and why.
    Down(Moment, String),
}

/// An acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Of which row.
    pub sequence: u64,
    /// The timeline of the server that took it.
    pub timeline: u32,
    /// Where that server was in the WAL after the row, and before its commit.
    pub position: Lsn,
    /// When it arrived.
    pub at: Moment,
}

impl Record {
    /// The line, with its end.
    #[must_use]
    pub fn line(&self) -> String {
        let moment = |at: &Moment| format!("{} {}", at.clock, at.uptime);
        let text = match self {
            Self::Start(at) => format!("start {}", moment(at)),
            Self::Stop(at) => format!("stop {}", moment(at)),
            Self::Reserve(from, to) => format!("reserve {from} {to}"),
            Self::Ack(ack) => format!("ack {} {} {} {}", ack.sequence, ack.timeline, ack.position, moment(&ack.at)),
            Self::Doubt(sequence, at) => format!("doubt {sequence} {}", moment(at)),
            Self::Refused(sequence, at) => format!("refused {sequence} {}", moment(at)),
            Self::Down(at, why) => {
                format!("down {} {}", moment(at), why.split_whitespace().collect::<Vec<_>>().join(" "))
            }
        };
        text + " .\n"
    }

    /// A line without its end.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (kind, rest) = line.strip_suffix(" .")?.split_once(' ')?;
        if kind == "down" {
            let mut words = rest.splitn(3, ' ');
            let at = Moment { clock: words.next()?.parse().ok()?, uptime: words.next()?.parse().ok()? };
            return Some(Self::Down(at, words.next()?.to_owned()));
        }
        let words: Vec<_> = rest.split(' ').collect();
        let number = |index: usize| words.get(index)?.parse::<u64>().ok();
        let moment = |index: usize| Some(Moment { clock: number(index)?, uptime: number(index + 1)? });
        let (record, length) = match kind {
            "start" => (Self::Start(moment(0)?), 2),
            "stop" => (Self::Stop(moment(0)?), 2),
            "reserve" => (Self::Reserve(number(0)?, number(1)?), 2),
            "doubt" => (Self::Doubt(number(0)?, moment(1)?), 3),
            "refused" => (Self::Refused(number(0)?, moment(1)?), 3),
            "ack" => {
                let (timeline, position) = (words.get(1)?.parse().ok()?, words.get(2)?.parse().ok()?);
                (Self::Ack(Ack { sequence: number(0)?, timeline, position, at: moment(3)? }), 5)
            }
            _ => return None,
        };
        (words.len() == length).then_some(record)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let at = Moment { clock: 1_764_071_234_567, uptime: 83_412_345 };
        let ack = Ack { sequence: 17, timeline: 2, position: "A/3000060".parse().unwrap(), at };
        let records = [
            Record::Start(at),
            Record::Stop(at),
            Record::Reserve(1, 1000),
            Record::Ack(ack),
            Record::Doubt(18, at),
            Record::Refused(19, at),
            Record::Down(at, "connection refused .".to_owned()),
        ];
        for record in records {
            let line = record.line();
            assert_eq!(Record::parse(line.strip_suffix('\n').unwrap()), Some(record));
        }
        assert_eq!(Record::Down(at, "a\nb".to_owned()).line().lines().count(), 1);
    }

    #[test]
    fn a_torn_line_does_not_count() {
        let line = "ack 17 2 0/3000060 1764071234567 83412345 .";
        assert!(Record::parse(line).is_some());
        for end in 0..line.len() {
            assert_eq!(Record::parse(&line[..end]), None, "{}", &line[..end]);
        }
        assert_eq!(Record::parse("ack 17 2 0/30ack 17 2 0/3000060 1764071234567 83412345 ."), None);
    }

    #[test]
    fn time_passes_by_the_clock_that_does_not_jump() {
        let at = |clock, uptime| Moment { clock, uptime };
        assert_eq!(at(5_000, 3_000).since(at(9_000, 2_000)), 1_000);
        assert_eq!(at(9_000, 10).since(at(5_000, 2_000)), 4_000);
    }
}
