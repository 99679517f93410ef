//! Which servers take part in a failover, and what becomes of the replicas that are not promoted.

use std::cmp::Reverse;
use std::time::Duration;

use crate::connect::session;
use crate::demo::nodes::Node;
use crate::demo::{Demo, Layout, Programs, timeline_of_wal};
use crate::error::{Error, FailoverError};
use crate::lsn::Lsn;
use crate::role::Role;
use crate::say::{say, warn};
use crate::server::{text, try_wait};

/// How long a replica may take to say how far it is, which with SYNC=on all of several must.
const ANSWER: Duration = Duration::from_secs(15);

/// The timeline of a replica's WAL, and that of the primary's.
fn timelines(node: &Node, layout: &Layout) -> (Option<u32>, Option<u32>) {
    let of = |node: &Node| timeline_of_wal(&node.data, &layout.owner);
    let (primary, replicas) = (layout.nodes.first().and_then(of), layout.nodes.iter().skip(1).filter_map(of).max());
    // Where the primary's files are gone, the newest that a replica has followed is its own.
    (of(node), primary.or(replicas))
}

/// A position on another timeline says nothing of what a replica has.
fn require_timeline(node: &Node, layout: &Layout, called: impl Fn() -> String) -> Result<(), Error> {
    match timelines(node, layout) {
        (Some(timeline), Some(wanted)) if timeline == wanted => Ok(()),
        (found, wanted) => {
            let text = |timeline: Option<u32>| timeline.map_or("unknown".to_owned(), |timeline| timeline.to_string());
            let (timeline, wanted) = (text(found), text(wanted));
            Err(FailoverError::OtherTimeline { server: called(), timeline, wanted }.into())
        }
    }
}

/// Those that may be promoted first; of them, those that have received most.
fn sort(replicas: &mut [Node], candidates: &[String], received: impl Fn(&str) -> Option<Lsn>) {
    replicas.sort_by_cached_key(|node| {
        let is_one = candidates.contains(&node.name);
        Reverse((is_one, if is_one { received(&node.name) } else { None }))
    });
}

/// The positions of all, or the name of one that did not tell its own.
fn all_told(positions: Vec<(String, Option<Lsn>)>) -> Result<Vec<(String, Lsn)>, String> {
    positions.into_iter().map(|(name, position)| position.map(|told| (name.clone(), told)).ok_or(name)).collect()
}

/// One that has more than any that may be promoted.
fn has_more<'a>(positions: &'a [(String, Lsn)], candidates: &[String]) -> Option<&'a str> {
    let best = positions.iter().filter(|(name, _)| candidates.contains(name)).map(|(_, position)| *position).max();
    let more = positions.iter().find(|(_, position)| best.is_none_or(|best| *position > best));
    more.map(|(name, _)| name.as_str())
}

/// With this in its environment the command does without what SYNC=on promises.
fn may_lose_what_is_acknowledged() -> bool {
    std::env::var("SYNC").is_ok_and(|value| value == "off")
}

/// What a replica has once all WAL that it had when it was started is read: before, it cannot tell.
const ALL_POSITION: &str = "\
    select greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) where pg_last_wal_receive_lsn() is not null";

const POSITION: &str = "select greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())";

impl Demo {
    /// The replicas that may be promoted, before anything is changed; why the first may not, if none may.
    pub(super) fn candidates(&self) -> Result<Vec<String>, Error> {
        if self.layout.replicas() < 2 {
            self.require_fit()?;
            return Ok(self.layout.nodes.iter().skip(1).map(|node| node.name.clone()).collect());
        }
        let (mut fit, mut refused) = (Vec::new(), None);
        for (place, node) in self.layout.nodes.iter().enumerate().skip(1) {
            let one = self.replica(place);
            let called = || if self.layout.in_containers { node.name.clone() } else { one.the_replica() };
            match require_timeline(node, &self.layout, called).and_then(|()| one.require_fit()) {
                Ok(()) => fit.push(node.name.clone()),
                Err(error) => {
                    let why = match &one.layout.upstream {
                        // It has no more than that one.
                        Some(_) => "it follows another replica".to_owned(),
                        None => error.to_string(),
                    };
                    let why = why.split([',', ':', ';']).next().unwrap_or_default();
                    say(&format!("    {} is not one to be promoted: {why}", one.called(Role::Replica)));
                    refused.get_or_insert(error);
                }
            }
        }
        match refused {
            Some(error) if fit.is_empty() => Err(error),
            // Asked before the primary is stopped, too: then nothing has changed yet.
            _ => self.positions().map(|_| fit),
        }
    }

    /// With SYNC=on, the replicas that may have acknowledged a commit: those whose names the primary had. One on an earlier timeline
    /// has missed a failover, and acknowledged nothing since.
    fn may_have_acknowledged(&self) -> Vec<(Self, String)> {
        if !self.settings.synchronous || self.layout.replicas() < 2 {
            return Vec::new();
        }
        let replicas = self.replicas().into_iter().zip(self.layout.nodes.iter().skip(1));
        let current = replicas.filter(|(one, node)| {
            let (own, primary) = timelines(node, &self.layout);
            let is_listed = self.layout.in_containers || node.number <= self.settings.replicas;
            is_listed && one.layout.upstream.is_none() && own.zip(primary).is_none_or(|(own, primary)| own >= primary)
        });
        current.map(|(one, node)| (one, node.name.clone())).collect()
    }

    /// How far each of them is, which all must tell.
    fn positions(&self) -> Result<Vec<(String, Lsn)>, Error> {
        if may_lose_what_is_acknowledged() {
            return Ok(Vec::new());
        }
        let position = |one: &Self| {
            let asked = try_wait("a replica to say how far it is", ANSWER, || {
                let answer = one.ask(Role::Replica, ALL_POSITION).map_err(|refusal| refusal.to_string())?;
                answer.parse::<Lsn>().map_err(|error| error.to_string())
            });
            asked.ok()
        };
        let asked = self.may_have_acknowledged();
        all_told(asked.iter().map(|(one, name)| (name.clone(), position(one))).collect())
            .map_err(|name| self.acknowledged_elsewhere(&name, "it does not say how far it is"))
    }

    fn acknowledged_elsewhere(&self, name: &str, why: &str) -> Error {
        let place = self.layout.nodes.iter().position(|node| node.name == name);
        let server = place.map_or_else(|| name.to_owned(), |place| self.replica(place).called(Role::Replica));
        FailoverError::AcknowledgedElsewhere { server, why: why.to_owned() }.into()
    }

    /// Of several replicas that may be promoted, the one that has received most is. The primary is gone, so that stays. With SYNC=on
    /// nothing is promoted unless no other one can have more that was acknowledged.
    pub(super) fn with_most_advanced(&self, candidates: &[String]) -> Result<Self, Error> {
        let positions = self.positions()?;
        if let Some(name) = has_more(&positions, candidates) {
            return Err(self.acknowledged_elsewhere(name, "it is not one to be promoted"));
        }
        let mut demo = self.clone();
        let targets: Vec<_> = self.layout.nodes.iter().map(|node| node.name.as_str()).zip(self.targets()).collect();
        let Some((_, replicas)) = demo.layout.nodes.split_first_mut().filter(|(_, replicas)| replicas.len() > 1) else {
            return Ok(demo);
        };
        let received = |name: &str| {
            if let Some((_, position)) = positions.iter().find(|(other, _)| other == name) {
                return Some(*position);
            }
            let (_, target) = targets.iter().find(|(other, _)| *other == name)?;
            let mut client = session(target, Duration::from_secs(5), Duration::from_secs(5)).ok()?;
            text(&mut client, POSITION).ok()?.parse::<Lsn>().ok()
        };
        sort(replicas, candidates, received);
        Ok(demo)
    }

    /// The slots of the replicas, which they use as their names, too.
    pub(super) fn replica_slots(&self) -> Vec<String> {
        self.layout.nodes.iter().skip(1).map(|node| self.slot_of(node)).collect()
    }

    /// The slots of all that are to follow the replica once it is the primary.
    pub(super) fn old_slots(&self) -> Vec<String> {
        let mut after = self.clone();
        if after.layout.nodes.len() > 1 {
            after.layout.nodes.swap(0, 1);
        }
        after.replica_slots()
    }

    /// Has the replicas that were not promoted follow the new primary, natively: in containers each does so by itself. What one of
    /// them cannot do does not take the failover back.
    pub(super) fn lead_the_others(&self) {
        if self.layout.in_containers || self.layout.replicas() < 2 {
            return;
        }
        let led = Programs::make(&self.layout, false).and_then(|programs| {
            let scheduler = programs.scheduler(&self.settings.database)?;
            self.settle_replicas(&programs, &scheduler)
        });
        // The new primary waits for nobody until somebody follows.
        let waits = match self.settings.synchronous && self.any_streams_within(Duration::from_secs(15)) {
            true => self.set_synchronous(),
            false => Ok(()),
        };
        if let Err(error) = led.and(waits) {
            warn(&format!("Not all replicas follow the new primary (make demo mends that): {error}"));
        }
    }

    /// The replicas that follow the new primary, as what a failover has cost says them.
    pub(super) fn who_follows(&self) -> Option<String> {
        if self.layout.in_containers || self.layout.replicas() < 2 {
            return None;
        }
        let running = self.replicas().into_iter().filter(|one| one.is_running(Role::Replica) && !one.is_promoted());
        let ports: Vec<_> = running.map(|one| one.port(Role::Replica).to_string()).collect();
        Some(match ports.as_slice() {
            [] => "no replica: none runs".to_owned(),
            ports => format!("the replicas on port {}", ports.join(", ")),
        })
    }

    /// What the server that was fenced off is called.
    pub(super) fn old_primary(&self) -> String {
        let nodes = &self.layout.nodes;
        match nodes.iter().find(|node| node.is_fenced(&self.layout.owner)) {
            Some(node) if self.layout.in_containers => node.name.clone(),
            Some(node) => format!("port {}", self.settings.port(node.number)),
            None => format!("port {}", self.port(Role::Replica)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;
    use crate::demo::make_up;

    fn names(nodes: &[Node]) -> Vec<&str> {
        nodes.iter().map(|node| node.name.as_str()).collect()
    }

    #[test]
    fn the_most_advanced_of_those_that_may_be_promoted_is_first() {
        let node = |name: &str| Node { name: name.to_owned(), number: 1, host: String::new(), data: name.into() };
        let mut nodes = ["late", "silent", "second", "first"].map(node);
        let candidates = ["silent", "second", "first"].map(str::to_owned);
        sort(&mut nodes, &candidates, |name| match name {
            "late" => Some(Lsn(9)),
            "first" => Some(Lsn(8)),
            "second" => Some(Lsn(7)),
            _ => None,
        });
        assert_eq!(names(&nodes), ["first", "second", "silent", "late"]);
    }

    #[test]
    fn with_a_synchronous_primary_all_are_asked_and_none_has_more() {
        let name = |name: &str| name.to_owned();
        assert_eq!(all_told(vec![(name("a"), Some(Lsn(7))), (name("b"), None)]), Err(name("b")));
        let told = all_told(vec![(name("a"), Some(Lsn(7))), (name("b"), Some(Lsn(8)))]).unwrap();
        assert_eq!(has_more(&told, &[name("a"), name("b")]), None);
        assert_eq!(has_more(&told, &[name("b")]), None);
        // The one that has most may not be promoted.
        assert_eq!(has_more(&told, &[name("a")]), Some("b"));
        assert_eq!(has_more(&[], &[name("a")]), None);
    }

    #[test]
    fn who_may_have_acknowledged_is_who_the_names_list() {
        let folder = tempfile::tempdir().unwrap();
        for (number, timeline) in [(0, 2), (1, 2), (2, 1), (3, 2)] {
            make_up(&crate::demo::nodes::native(folder.path(), number).data, 7, timeline, number > 0);
        }
        std::fs::write(folder.path().join("settings"), "SYNC=on\nREPLICAS=3\n").unwrap();
        let mut demo = Demo::of_its_owner(folder.path()).unwrap();
        let listed = |demo: &Demo| {
            let listed = demo.may_have_acknowledged();
            listed.into_iter().map(|(one, _)| one.port(Role::Replica)).collect::<Vec<_>>()
        };
        // That of an earlier timeline has acknowledged nothing since.
        assert_eq!(listed(&demo), [5433, 5435]);
        // That of an earlier demo is not listed.
        demo.settings.replicas = 2;
        assert_eq!(listed(&demo), [5433]);
        (demo.settings.replicas, demo.settings.cascades) = (3, true);
        assert_eq!(listed(&demo), [5433]);
        demo.settings.synchronous = false;
        assert_eq!(listed(&demo), Vec::<u16>::new());
    }

    #[test]
    fn a_replica_of_another_timeline_does_not_compete() {
        let folder = tempfile::tempdir().unwrap();
        let data = ["primary/primary", "replica/replica_1", "replica/replica_2"].map(|name| folder.path().join(name));
        for (index, timeline) in [2, 2, 1].into_iter().enumerate() {
            make_up(&data[index], 7, timeline, index > 0);
        }
        let layout = Layout::of_containers(folder.path(), folder.path()).unwrap();
        let refused = |layout: &Layout| {
            let refused =
                layout.nodes.iter().skip(1).filter(|node| require_timeline(node, layout, String::new).is_err());
            refused.map(|node| node.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(refused(&layout), ["postgres_replica_2"]);
        // A history that it was sent is none that it has followed.
        std::fs::write(data[2].join("pg_wal/00000002.history"), "").unwrap();
        assert_eq!(refused(&layout), ["postgres_replica_2"]);
        std::fs::remove_dir_all(&data[0]).unwrap();
        assert_eq!(refused(&layout), ["postgres_replica_2"]);
        std::fs::write(data[2].join("pg_wal/000000020000000000000001"), "").unwrap();
        assert_eq!(refused(&layout), Vec::<String>::new());
    }
}
