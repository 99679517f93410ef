//! What only those know who asked both ends. Pure: facts in, findings out.

use super::codes::{
    CLOCK_SKEW, FOLLOWS_ANOTHER, NO_WRITABLE_SERVER, OTHER_CLUSTER, ROLES_SWAPPED, SENDER_SILENT,
    STANDBY_SETTING_LOWER, TIMELINE_DIFFERS, TWO_WRITABLE_SERVERS, WRITES_WAIT,
};
use super::facts::{Facts, NO_LOWER, Receiver, Sender};
use super::finding::Finding;
use super::finding::Severity::{Broken, Degraded};
use crate::role::Role;

/// A server that answered.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// As findings name it.
    pub name: &'a str,
    /// What it was named as.
    pub role: Role,
    /// What it told.
    pub facts: &'a Facts,
}

/// Clocks that differ by more make ages wrong that are taken across servers.
const CLOCKS_MAY_DIFFER: f64 = 2.0;

/// Compares all that answered. `everybody`: no server that was to be asked is missing.
#[must_use]
pub fn compare(servers: &[Answered<'_>], everybody: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let writers: Vec<_> = servers.iter().filter(|server| !server.facts.in_recovery).collect();
    findings.extend(writers_of_one_cluster(&writers));
    findings.extend(writers.iter().filter_map(|writer| writes_wait(writer)));
    if writers.is_empty() && everybody {
        let names: Vec<_> = servers.iter().map(|server| server.name).collect();
        findings.push(Finding::new(
            NO_WRITABLE_SERVER,
            Broken,
            names.first().copied().unwrap_or("all"),
            format!("{} answered, all in recovery: nobody takes writes", names.join(", ")),
            "select pg_promote(); -- on the replica that is to take over, once the old primary is surely gone",
        ));
    }
    if let [writer] = writers.as_slice()
        && writer.role == Role::Replica
    {
        findings.push(Finding::new(
            ROLES_SWAPPED,
            Degraded,
            writer.name,
            format!("it takes the writes, on timeline {}, though it was named as a replica", writer.facts.timeline),
            "operations-lab doctor # name this one with --primary; then make the old primary its replica, or clone one anew",
        ));
    }
    let Some(primary) = writers.iter().find(|writer| writer.role == Role::Primary).or(writers.first()) else {
        return findings;
    };
    for other in servers.iter().filter(|server| server.name != primary.name) {
        if other.facts.system_identifier != primary.facts.system_identifier {
            findings.push(stranger(primary, other));
        } else if other.facts.in_recovery {
            findings.extend(pair(primary, sending_to(other, Some(primary), servers).unwrap_or(primary), other));
        }
    }
    findings
}

fn writers_of_one_cluster(writers: &[&Answered<'_>]) -> Option<Finding> {
    let (first, others) = writers.split_first()?;
    let others: Vec<_> =
        others.iter().filter(|other| other.facts.system_identifier == first.facts.system_identifier).collect();
    let last = others.last()?;
    let texts: Vec<_> = std::iter::once(first)
        .chain(others.iter().copied())
        .map(|writer| {
            let position = writer.facts.position.map_or_else(|| "?".to_owned(), |position| position.to_string());
            format!("{} (timeline {}, at {position})", writer.name, writer.facts.timeline)
        })
        .collect();
    Some(Finding::new(
        TWO_WRITABLE_SERVERS,
        Broken,
        last.name,
        format!("{} take writes, and are copies of one cluster: their rows drift apart", texts.join(" and ")),
        "alter system set default_transaction_read_only = on; select pg_reload_conf(); -- on the one whose writes are to be given up; then \
         make it a replica again",
    ))
}

/// A commit waits for a replica that does not follow, for ever.
fn writes_wait(writer: &Answered<'_>) -> Option<Finding> {
    let synchronous = &writer.facts.synchronous;
    (!synchronous.names.is_empty() && synchronous.replicas == 0).then(|| {
        Finding::new(
            WRITES_WAIT,
            Broken,
            writer.name,
            format!(
                "synchronous_standby_names is {}, and no such replica streams: each commit waits for it; {} wait, the oldest \
                 for {:.1} s",
                synchronous.names, synchronous.waiting, synchronous.oldest
            ),
            "alter system reset synchronous_standby_names; select pg_reload_conf(); -- to go on without a replica; or start it",
        )
    })
}

fn stranger(primary: &Answered<'_>, other: &Answered<'_>) -> Finding {
    Finding::new(
        OTHER_CLUSTER,
        Broken,
        other.name,
        format!(
            "its system identifier is {}, that of {} is {}: it is a copy of another cluster",
            other.facts.system_identifier, primary.name, primary.facts.system_identifier
        ),
        "select system_identifier from pg_control_system(); -- name the right server, or clone this replica anew",
    )
}

/// Whom each replica follows: who has a sender for it, else whom it is set to follow, of all that were to be asked. By their names.
pub fn followed<'a>(servers: &[Answered<'a>], all: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    let primary = servers.iter().find(|server| !server.facts.in_recovery);
    let upstream = |replica: &Answered<'a>| {
        let set = || all.iter().copied().find(|name| name.rsplit(' ').next() == replica.facts.upstream.as_deref());
        sending_to(replica, primary, servers).map(|server| server.name).or_else(set)
    };
    let replicas = servers.iter().filter(|server| server.facts.in_recovery);
    replicas.filter_map(|replica| Some((replica.name, upstream(replica)?))).collect()
}

/// Who has a sender for a replica: its primary, or another replica.
fn sending_to<'s, 'a>(
    replica: &Answered<'_>,
    primary: Option<&'s Answered<'a>>,
    servers: &'s [Answered<'a>],
) -> Option<&'s Answered<'a>> {
    let receiver = replica.facts.receiver.as_ref()?;
    let sends = |server: &&Answered<'_>| {
        let slot = receiver.slot.as_ref();
        let is_other = server.name != replica.name && server.facts.in_recovery;
        let is_copy = server.facts.system_identifier == replica.facts.system_identifier;
        slot.is_some() && is_other && is_copy && server.facts.senders.iter().any(|sender| sender.slot.as_ref() == slot)
    };
    primary.filter(|primary| sender_for(primary, receiver).is_some()).or_else(|| servers.iter().find(sends))
}

fn sender_for<'a>(upstream: &'a Answered<'_>, receiver: &Receiver) -> Option<&'a Sender> {
    let senders = &upstream.facts.senders;
    match &receiver.slot {
        Some(slot) => senders.iter().find(|sender| sender.slot.as_ref() == Some(slot)),
        // Without a slot there is no name that both ends are sure to know.
        None => senders.iter().find(|sender| sender.slot.is_none()),
    }
}

fn pair(primary: &Answered<'_>, upstream: &Answered<'_>, replica: &Answered<'_>) -> Vec<Finding> {
    let (here, there) = (primary.facts, replica.facts);
    let mut findings = Vec::new();
    findings.extend(timelines(primary, replica));
    findings.extend(stream(upstream, replica));
    let skew = there.clock_ahead - here.clock_ahead;
    if skew.abs() > CLOCKS_MAY_DIFFER {
        findings.push(Finding::new(
            CLOCK_SKEW,
            Degraded,
            replica.name,
            format!("its clock is {skew:+.1} s from that of {}", primary.name),
            "timedatectl; chronyc tracking",
        ));
    }
    let lower: Vec<_> = NO_LOWER
        .iter()
        .zip(here.no_lower.iter().zip(&there.no_lower))
        .filter(|(_, (here, there))| there < here)
        .map(|(name, (here, there))| (name, format!("{name} is {there}, on the primary {here}"), *here))
        .collect();
    if let Some((name, _, value)) = lower.first() {
        let texts: Vec<_> = lower.iter().map(|(_, text, _)| text.as_str()).collect();
        findings.push(Finding::new(
            STANDBY_SETTING_LOWER,
            Degraded,
            replica.name,
            format!("{}: its replay will pause or its start be refused", texts.join("; ")),
            format!("alter system set {name} = {value}; -- on the replica, then restart it"),
        ));
    }
    findings
}

/// A replica may be on the primary's timeline, or on an earlier one not past the point where the primary left it.
fn timelines(primary: &Answered<'_>, replica: &Answered<'_>) -> Option<Finding> {
    let (here, there) = (primary.facts, replica.facts);
    let ended = here.history.iter().find(|(timeline, _)| *timeline == there.timeline).map(|(_, end)| *end);
    let why = match (there.timeline.cmp(&here.timeline), ended, there.position) {
        (std::cmp::Ordering::Greater, ..) => "which the primary never knew".to_owned(),
        (std::cmp::Ordering::Less, Some(end), Some(position)) if position > end => {
            format!("which the primary left at {end}, and the replica is at {position}")
        }
        _ => return None,
    };
    Some(Finding::new(
        TIMELINE_DIFFERS,
        Broken,
        replica.name,
        format!("it is on timeline {}, {why}; the primary is on timeline {}", there.timeline, here.timeline),
        "pg_ctl stop --pgdata \"$PGDATA\" # of the replica; then pg_rewind it against the primary, or clone it anew",
    ))
}

/// The receiver's word against the sender's.
fn stream(upstream: &Answered<'_>, replica: &Answered<'_>) -> Option<Finding> {
    let receiver = replica.facts.receiver.as_ref().filter(|receiver| receiver.status == "streaming")?;
    let Some(sender) = sender_for(upstream, receiver) else {
        let slot = receiver.slot.as_deref().map_or_else(|| "no slot".to_owned(), |slot| format!("slot {slot}"));
        return Some(Finding::new(
            FOLLOWS_ANOTHER,
            Broken,
            replica.name,
            format!(
                "its receiver ({slot}, last message {:.1} s old) says streaming, but {} has no sender for it",
                receiver.silence, upstream.name
            ),
            "select status, sender_host, sender_port, slot_name from pg_stat_wal_receiver; -- on the replica",
        ));
    };
    // The reply bears the replica's time.
    let silence = sender.silence? + replica.facts.clock_ahead - upstream.facts.clock_ahead;
    let patience = 0.7 * upstream.facts.sender_timeout;
    (patience > 0.0 && silence > patience).then(|| {
        Finding::new(
            SENDER_SILENT,
            Broken,
            replica.name,
            format!(
                "{} has not heard from it ({}, {}) for {silence:.1} s and gives up after {} s",
                upstream.name, sender.name, sender.state, upstream.facts.sender_timeout
            ),
            "ps -eo pid,stat,args | grep '[w]alreceiver' # on the replica: T is stopped (kill -CONT); else look at the network",
        )
    })
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
