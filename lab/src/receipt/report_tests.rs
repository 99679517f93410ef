#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use super::*;

fn at(uptime: u64) -> Moment {
    Moment { clock: 1_000_000 + uptime, uptime }
}

fn ack(sequence: u64, timeline: u32, position: u64) -> Record {
    Record::Ack(Ack { sequence, timeline, position: Lsn(position), at: at(sequence * 100) })
}

fn there(rows: &[(u64, u32)]) -> WriterRows {
    WriterRows { rows: rows.iter().copied().collect(), timeline: 2, history: vec![(1, Lsn(35))] }
}

fn judged(records: &[Record], there: &WriterRows) -> Report {
    compare(records, records, there, (0, Moment::default()), None)
}

fn numbers(rows: &[Row]) -> Vec<u64> {
    rows.iter().map(|row| row.sequence).collect()
}

#[test]
fn nothing_is_lost_where_all_is_there() {
    let records = [Record::Reserve(1, 10), ack(1, 2, 10), ack(2, 2, 20)];
    let report = judged(&records, &there(&[(1, 2), (2, 2)]));
    assert_eq!((report.written, report.acknowledged, report.lost, report.unexpected), (2, 2, 0, 0));
    assert!(report.forked.is_empty() && report.gaps.is_empty());
    assert_eq!(report.longest_gap_ms, 100);
}

#[test]
fn what_was_acknowledged_and_is_not_there_is_lost() {
    let records = [Record::Reserve(1, 10), ack(1, 2, 10), ack(2, 2, 20), ack(3, 2, 30)];
    let report = judged(&records, &there(&[(1, 2), (3, 2)]));
    assert_eq!((report.lost, numbers(&report.lost_rows)), (1, vec![2]));
    assert!(report.forked.is_empty());
}

#[test]
fn what_was_written_after_its_timeline_was_left_is_forked() {
    // The timeline was left at 35: the commit of the third row, begun at 30, was behind it.
    let records = [
        Record::Reserve(1, 10),
        ack(1, 1, 10),
        ack(2, 1, 20),
        ack(3, 1, 30),
        ack(4, 1, 40),
        ack(5, 2, 40),
        ack(6, 1, 50),
    ];
    let report = judged(&records, &there(&[(1, 1), (2, 1), (5, 2)]));
    assert_eq!(numbers(&report.forked), [3, 4, 6]);
    assert_eq!((numbers(&report.lost_rows), report.unexpected), (vec![3, 4, 6], 0));
    // A row that was loaded again is forked, and not lost.
    let report = judged(&records, &there(&[(1, 1), (2, 1), (4, 1), (5, 2)]));
    assert!(report.forked.iter().any(|row| row.sequence == 4 && row.is_there));
    assert_eq!(numbers(&report.lost_rows), [3, 6]);
}

#[test]
fn a_timeline_that_the_writer_never_knew_did_not_survive() {
    let records = [Record::Reserve(1, 10), ack(1, 3, 10)];
    assert_eq!(numbers(&judged(&records, &there(&[])).forked), [1]);
}

#[test]
fn what_is_in_doubt_is_neither_lost_nor_unexpected() {
    let records = [
        Record::Reserve(1, 10),
        Record::Doubt(1, at(1)),
        Record::Doubt(2, at(2)),
        Record::Doubt(3, at(3)),
        ack(3, 2, 9),
        ack(5, 2, 9),
    ];
    // The fourth was sent by a client that died before it knew more.
    let report = judged(&records, &there(&[(2, 2), (3, 2), (4, 2), (5, 2)]));
    assert_eq!((report.written, report.acknowledged, report.in_doubt, report.in_doubt_there), (5, 2, 3, 2));
    assert_eq!((report.lost, report.unexpected), (0, 0));
}

#[test]
fn what_was_never_sent_or_was_refused_is_unexpected() {
    let records = [Record::Reserve(1, 10), ack(1, 2, 9), Record::Refused(2, at(2)), Record::Refused(3, at(3))];
    let rows = there(&[(1, 1), (2, 2), (11, 2)]);
    assert_eq!(judged(&records, &rows).unexpected_rows, [1, 2, 11]);
    // The client reserved more while the rows were read.
    let later = [Record::Reserve(1, 10), Record::Reserve(11, 20)];
    let report = compare(&records, &later, &there(&[(1, 2), (11, 2)]), (0, Moment::default()), None);
    assert_eq!((report.unexpected, report.in_doubt), (0, 0));
}

#[test]
fn what_was_written_before_the_file_began_is_not_judged() {
    let records = [Record::Reserve(101, 200), ack(101, 2, 9)];
    let report = judged(&records, &there(&[(1, 1), (100, 2), (101, 2), (201, 2)]));
    assert_eq!((report.unexpected_rows, report.in_doubt, report.lost), (vec![201], 0, 0));
    assert_eq!(judged(&[], &there(&[(1, 1)])).unexpected, 0);
}

#[test]
fn only_what_came_after_the_mark_counts() {
    let records = [Record::Reserve(1, 10), ack(1, 2, 9), ack(2, 2, 9), Record::Doubt(3, at(3))];
    let report = compare(&records, &records, &there(&[(2, 2)]), (1, at(150)), None);
    assert_eq!((report.written, report.lost, report.longest_gap_ms), (2, 0, 100));
    let report = compare(&records, &records, &there(&[]), (3, at(300)), None);
    assert_eq!(report, Report { timeline: 2, ..Report::default() });
    let report = compare(&records, &records, &there(&[(2, 2)]), (u64::MAX, at(300)), None);
    assert_eq!((report.written, report.unexpected), (0, 0));
}

#[test]
fn a_gap_lasts_from_the_last_success_to_the_first() {
    let down = |time| Record::Down(at(time), "refused".to_owned());
    let records = [ack(1, 2, 9), down(150), down(900), ack(42, 2, 9)];
    let gap = Gap { from_ms: 1_000_100, length_ms: 4100, is_over: true, why: "refused".to_owned() };
    assert_eq!(judged(&records, &there(&[])).gaps, std::slice::from_ref(&gap));
    // Not over yet.
    let report = compare(&records[..2], &[], &there(&[]), (0, Moment::default()), Some(at(2100)));
    assert_eq!(report.gaps, [Gap { length_ms: 2000, is_over: false, ..gap.clone() }]);
    // Ended by a client that was stopped; and what no client watched is none.
    let records = [ack(1, 2, 9), down(150), Record::Stop(at(3100)), Record::Start(at(9000)), ack(91, 2, 9)];
    assert_eq!(judged(&records, &there(&[])).gaps, [Gap { length_ms: 3000, is_over: false, ..gap }]);
    let records = [ack(1, 2, 9), Record::Stop(at(120)), Record::Start(at(9000)), ack(91, 2, 9)];
    assert!(judged(&records, &there(&[])).gaps.is_empty());
    // It ended before the mark.
    let records = [ack(1, 2, 9), ack(42, 2, 9), ack(43, 2, 9)];
    assert_eq!(compare(&records, &[], &there(&[]), (42, at(4250)), None).longest_gap_ms, 100);
}
