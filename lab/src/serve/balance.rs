//! Which part a server has now, for a load balancer that asks about each before it sends somebody there.

use super::draw::server_of;
use super::known::{Inner, Known, now};
use crate::connect::Refusal;
use crate::doctor::Severity;
use crate::role::Role;

/// For how long a primary that gives no answer still counts, in milliseconds: several looks. One slow look is no reason to end all
/// sessions with it.
const HELD: u64 = 15_000;

/// After how long a look of the doctor's says nothing any more, in milliseconds: three of his longest pauses.
const OLD: u64 = 30_000;

/// Whether a server has a part.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// It has.
    Has,
    /// It has not, and why.
    HasNot(String),
    /// No server has this name; those that there are.
    NoSuchServer(String),
}

/// Whether a server is the one that takes writes. Of two it is the one on the newer timeline. One that gives no answer still is it for
/// a while, unless another one has taken over.
pub fn primary(inner: &Inner, name: &str) -> Part {
    let (index, known) = match find(inner, name) {
        Ok(found) => found,
        Err(none) => return none,
    };
    match (counts(known), inner.writer(counts) == Some(index)) {
        (false, _) => away(known),
        (true, true) => Part::Has,
        (true, false) => Part::HasNot("it is not the server that takes writes".to_owned()),
    }
}

/// Whether a server answers, or may do so again. Where nothing listens, and while one starts or stops, nobody takes writes.
fn counts(known: &Known) -> bool {
    let is_away = matches!(known.refusal, None | Some(Refusal::Down(_) | Refusal::NotReady(_)));
    match known.up {
        Some(true) => true,
        Some(false) => known.role == Some(Role::Primary) && !is_away && now().saturating_sub(known.since) < HELD,
        None => false,
    }
}

/// Whether a server is a replica that readers may be sent to: it answers, and the doctor finds nothing broken there, such as a replay
/// that stands. Where he has not looked lately, nobody knows that.
pub fn replica(inner: &Inner, name: &str) -> Part {
    let known = match find(inner, name) {
        Ok((_, known)) => known,
        Err(none) => return none,
    };
    if known.up != Some(true) {
        return away(known);
    }
    if known.role != Some(Role::Replica) {
        return Part::HasNot("it is no replica".to_owned());
    }
    let Some(looked) = &inner.looked else {
        return Part::HasNot("the doctor has not looked yet".to_owned());
    };
    let age = now().saturating_sub(looked.at);
    if age > OLD {
        return Part::HasNot(format!("the doctor has not looked for {} s", age / 1000));
    }
    let of_it = |finding: &&crate::doctor::Finding| server_of(inner, &finding.server) == known.name;
    match looked.report.findings.iter().filter(of_it).find(|finding| finding.severity == Severity::Broken) {
        Some(finding) => Part::HasNot(format!("the doctor found {}", finding.code)),
        None => Part::Has,
    }
}

fn find<'a>(inner: &'a Inner, name: &str) -> Result<(usize, &'a Known), Part> {
    let found = inner.servers.iter().enumerate().find(|(_, known)| known.name == name);
    found.ok_or_else(|| {
        let names: Vec<_> = inner.servers.iter().map(|known| known.name.as_str()).collect();
        Part::NoSuchServer(names.join(", "))
    })
}

fn away(known: &Known) -> Part {
    let why = known.refusal.as_ref().map_or_else(|| "it was not asked yet".to_owned(), ToString::to_string);
    Part::HasNot(format!("it does not answer: {}", crate::marks::plain(&why)))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::super::known::Looked;
    use super::*;
    use crate::doctor::{Finding, Report};

    fn known(name: &str, port: u16, role: Role, up: bool) -> Known {
        Known {
            name: name.to_owned(),
            address: format!("127.0.0.1:{port}"),
            up: Some(up),
            since: 0,
            refusal: None,
            role: Some(role),
            timeline: None,
            stream: None,
            collected: BTreeMap::new(),
        }
    }

    fn looked(findings: Vec<Finding>, at: u64) -> Looked {
        Looked { report: Report::new(Vec::new(), findings), at, since: 0, found: HashMap::new() }
    }

    #[test]
    fn a_replica_is_none_to_be_read_from_where_the_doctor_has_not_looked() {
        let mut inner = Inner { servers: vec![known("replica", 1, Role::Replica, true)], ..Inner::default() };
        assert_eq!(replica(&inner, "replica"), Part::HasNot("the doctor has not looked yet".to_owned()));
        inner.looked = Some(looked(Vec::new(), now() - OLD - 5000));
        assert_eq!(replica(&inner, "replica"), Part::HasNot("the doctor has not looked for 35 s".to_owned()));
        inner.looked = Some(looked(Vec::new(), now() - OLD / 2));
        assert_eq!(replica(&inner, "replica"), Part::Has);
    }

    #[test]
    fn one_slow_look_does_not_take_the_primary_away() {
        let silent = |since| {
            let refusal = Some(Refusal::Silent("a statement got no answer".to_owned()));
            Known { refusal, since, timeline: Some(2.0), ..known("primary", 1, Role::Primary, false) }
        };
        let other = |role, timeline| Known { timeline: Some(timeline), ..known("other", 2, role, true) };
        let has = |primary_: Known, other: Known| {
            let inner = Inner { servers: vec![primary_, other], ..Inner::default() };
            ["primary", "other"].map(|name| primary(&inner, name) == Part::Has)
        };
        assert_eq!(has(silent(now()), other(Role::Replica, 2.0)), [true, false]);
        // For too long.
        assert_eq!(has(silent(now() - HELD - 1), other(Role::Replica, 2.0)), [false, false]);
        // Another one has taken over; what that told of its timeline may be from before.
        assert_eq!(has(silent(now()), other(Role::Primary, 3.0)), [false, true]);
        assert_eq!(has(silent(now()), other(Role::Primary, 2.0)), [false, true]);
        // An old primary has not.
        assert_eq!(has(silent(now()), other(Role::Primary, 1.0)), [true, false]);
        for gone in [Refusal::Down("refused".to_owned()), Refusal::NotReady("it stops".to_owned())] {
            let gone = Known { refusal: Some(gone), ..silent(now()) };
            assert_eq!(has(gone, other(Role::Replica, 2.0)), [false, false]);
        }
    }

    #[test]
    fn who_takes_writes_is_the_primary_and_who_follows_well_a_replica() {
        let mut inner = Inner {
            servers: vec![
                known("primary", 1, Role::Replica, true),
                known("replica", 2, Role::Primary, true),
                known("replica_2", 3, Role::Replica, true),
                known("replica_3", 4, Role::Replica, false),
            ],
            looked: Some(looked(Vec::new(), now())),
            ..Inner::default()
        };
        let all = ["primary", "replica", "replica_2", "replica_3"];
        let those = |inner: &Inner, part: fn(&Inner, &str) -> Part| {
            all.into_iter().filter(|name| part(inner, name) == Part::Has).collect::<Vec<_>>()
        };
        assert_eq!(those(&inner, primary), ["replica"]);
        assert_eq!(those(&inner, replica), ["primary", "replica_2"]);
        assert_eq!(replica(&inner, "x"), Part::NoSuchServer(all.join(", ")));
        let finding = Finding::new("replay_paused", Severity::Broken, "replica 127.0.0.1:3", "", "");
        inner.looked = Some(looked(vec![finding], now()));
        assert_eq!(those(&inner, replica), ["primary"]);
        assert_eq!(replica(&inner, "replica_2"), Part::HasNot("the doctor found replay_paused".to_owned()));
        assert_eq!(those(&inner, primary), ["replica"]);
    }
}
