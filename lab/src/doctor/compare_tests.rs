//! Cases that no pair of real servers of one machine can be brought to, and those in between.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use super::super::facts::{Receiver, Sender};
use super::*;

fn primary() -> Facts {
    Facts {
        system_identifier: "1".to_owned(),
        timeline: 2,
        position: "0/9000000".parse().ok(),
        sender_timeout: 10.0,
        no_lower: vec![100, 16, 10, 0, 64],
        senders: vec![Sender {
            name: "walreceiver".to_owned(),
            state: "streaming".to_owned(),
            slot: Some("s".to_owned()),
            silence: Some(0.4),
        }],
        history: vec![(1, "0/5000000".parse().unwrap())],
        ..Facts::default()
    }
}

fn replica() -> Facts {
    Facts {
        in_recovery: true,
        senders: Vec::new(),
        history: Vec::new(),
        receiver: Some(Receiver { status: "streaming".to_owned(), slot: Some("s".to_owned()), silence: 0.3 }),
        ..primary()
    }
}

fn codes(primary: &Facts, replica: &Facts) -> Vec<String> {
    let servers = [
        Answered { name: "p", role: Role::Primary, facts: primary },
        Answered { name: "r", role: Role::Replica, facts: replica },
    ];
    compare(&servers, true).into_iter().map(|finding| finding.code).collect()
}

#[test]
fn a_good_pair_raises_nothing() {
    assert_eq!(codes(&primary(), &replica()), [""; 0]);
}

#[test]
fn clocks_are_compared_and_do_not_make_a_replica_silent() {
    for ahead in [30.0, -30.0] {
        let mut primary = primary();
        let replica = Facts { clock_ahead: ahead, ..replica() };
        primary.senders[0].silence = Some(0.4 - ahead);
        assert_eq!(codes(&primary, &replica), [CLOCK_SKEW]);
    }
    let mut primary = primary();
    primary.senders[0].silence = Some(7.5);
    assert_eq!(codes(&primary, &replica()), [SENDER_SILENT]);
    primary.sender_timeout = 0.0;
    assert_eq!(codes(&primary, &replica()), [""; 0]);
}

#[test]
fn a_timeline_is_judged_by_where_the_primary_left_it() {
    let on = |timeline, position: &str| Facts { timeline, position: position.parse().ok(), ..replica() };
    assert_eq!(codes(&primary(), &on(1, "0/5000000")), [""; 0]);
    assert_eq!(codes(&primary(), &on(1, "0/5000001")), [TIMELINE_DIFFERS]);
    assert_eq!(codes(&primary(), &on(3, "0/1")), [TIMELINE_DIFFERS]);
}

#[test]
fn a_sender_is_found_by_its_slot() {
    let mut other = primary();
    other.senders[0].slot = Some("t".to_owned());
    assert_eq!(codes(&other, &replica()), [FOLLOWS_ANOTHER]);
    let mut without = replica();
    without.receiver.as_mut().unwrap().slot = None;
    assert_eq!(codes(&primary(), &without), [FOLLOWS_ANOTHER]);
    other.senders[0].slot = None;
    assert_eq!(codes(&other, &without), [""; 0]);
}

#[test]
fn writers_are_counted() {
    assert_eq!(codes(&primary(), &primary()), [TWO_WRITABLE_SERVERS]);
    let stranger = Facts { system_identifier: "2".to_owned(), ..primary() };
    assert_eq!(codes(&primary(), &stranger), [OTHER_CLUSTER]);
    assert_eq!(codes(&primary(), &Facts { in_recovery: true, ..stranger }), [OTHER_CLUSTER]);
    let swapped = Facts { senders: Vec::new(), ..primary() };
    assert_eq!(codes(&replica(), &swapped), [ROLES_SWAPPED, FOLLOWS_ANOTHER]);
    assert_eq!(codes(&replica(), &replica()), [NO_WRITABLE_SERVER]);
    let facts = replica();
    let alone = [Answered { name: "r", role: Role::Replica, facts: &facts }];
    assert!(compare(&alone, false).is_empty());
}

#[test]
fn a_commit_that_waits_for_nobody_is_seen() {
    let mut primary = primary();
    primary.synchronous.names = "r".to_owned();
    assert_eq!(codes(&primary, &replica()), [WRITES_WAIT]);
    primary.synchronous.replicas = 1;
    assert_eq!(codes(&primary, &replica()), [""; 0]);
}

#[test]
fn lower_settings_are_all_named() {
    let lower = Facts { no_lower: vec![50, 16, 5, 0, 64], ..replica() };
    let (primary, lower) = (primary(), lower);
    let servers = [
        Answered { name: "p", role: Role::Primary, facts: &primary },
        Answered { name: "r", role: Role::Replica, facts: &lower },
    ];
    let found = compare(&servers, true);
    assert_eq!(found.len(), 1);
    assert!(found[0].evidence.contains("max_connections is 50") && found[0].evidence.contains("max_wal_senders is 5"));
}

/// The second replica follows the first, which has a sender for it.
#[test]
fn a_replica_may_follow_another_one() {
    let sender = |slot: &str, silence| Sender {
        slot: Some(slot.to_owned()),
        silence: Some(silence),
        ..primary().senders[0].clone()
    };
    let receiver = |slot: &str| Some(Receiver { slot: Some(slot.to_owned()), ..replica().receiver.unwrap() });
    let judge = |middle: &Facts, last: &Facts| {
        let primary = primary();
        let servers = [
            Answered { name: "p", role: Role::Primary, facts: &primary },
            Answered { name: "m", role: Role::Replica, facts: middle },
            Answered { name: "l", role: Role::Replica, facts: last },
        ];
        let led: Vec<_> =
            followed(&servers, &["p", "m", "l"]).into_iter().map(|(one, by)| format!("{one} by {by}")).collect();
        let found = compare(&servers, true).into_iter().map(|finding| format!("{} {}", finding.server, finding.code));
        (led, found.collect::<Vec<_>>())
    };
    let middle = Facts { senders: vec![sender("t", 0.2)], ..replica() };
    let last = Facts { receiver: receiver("t"), ..replica() };
    assert_eq!(judge(&middle, &last), (["m by p", "l by m"].map(str::to_owned).to_vec(), vec![]));
    // That one has heard nothing from it.
    let deaf = Facts { senders: vec![sender("t", 9.0)], ..replica() };
    assert_eq!(judge(&deaf, &last).1, [format!("l {SENDER_SILENT}")]);
    // Nobody sends to it.
    assert_eq!(judge(&replica(), &last), (vec!["m by p".to_owned()], vec![format!("l {FOLLOWS_ANOTHER}")]));
    let stranger = Facts { system_identifier: "2".to_owned(), ..middle };
    assert_eq!(judge(&stranger, &last).1, [format!("m {OTHER_CLUSTER}"), format!("l {FOLLOWS_ANOTHER}")]);
}
