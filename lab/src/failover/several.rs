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
use crate::server::text;

/// A position on another timeline says nothing of what a replica has.
fn require_timeline(node: &Node, layout: &Layout) -> Result<(), Error> {
    let of = |node: &Node| timeline_of_wal(&node.data, &layout.owner);
    let (primary, replicas) = (layout.nodes.first().and_then(of), layout.nodes.iter().skip(1).filter_map(of).max());
    // Where the primary's files are gone, the newest that a replica has followed is its own.
    match (of(node), primary.or(replicas)) {
        (Some(timeline), Some(wanted)) if timeline == wanted => Ok(()),
        (found, wanted) => {
            let text = |timeline: Option<u32>| timeline.map_or("unknown".to_owned(), |timeline| timeline.to_string());
            let (timeline, wanted) = (text(found), text(wanted));
            Err(FailoverError::OtherTimeline { server: node.name.clone(), timeline, wanted }.into())
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
            match require_timeline(node, &self.layout).and_then(|()| one.require_fit()) {
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
            _ => Ok(fit),
        }
    }

    /// Of several replicas that may be promoted, the one that has received most is. The primary is gone, so that stays.
    pub(super) fn with_most_advanced(&self, candidates: &[String]) -> Self {
        let mut demo = self.clone();
        let targets: Vec<_> = self.layout.nodes.iter().map(|node| node.name.as_str()).zip(self.targets()).collect();
        let Some((_, replicas)) = demo.layout.nodes.split_first_mut().filter(|(_, replicas)| replicas.len() > 1) else {
            return demo;
        };
        let received = |name: &str| {
            let (_, target) = targets.iter().find(|(other, _)| *other == name)?;
            let mut client = session(target, Duration::from_secs(5), Duration::from_secs(5)).ok()?;
            text(&mut client, POSITION).ok()?.parse::<Lsn>().ok()
        };
        sort(replicas, candidates, received);
        demo
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
        let follows = |one: &Self| one.is_running(Role::Replica) && one.streams_within(Duration::from_secs(15));
        let led = led.and_then(|()| match self.settings.synchronous && self.replicas().iter().any(follows) {
            true => self.set_synchronous(),
            false => Ok(()),
        });
        if let Err(error) = led {
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
    fn a_replica_of_another_timeline_does_not_compete() {
        let folder = tempfile::tempdir().unwrap();
        let data = ["primary/primary", "replica/replica_1", "replica/replica_2"].map(|name| folder.path().join(name));
        for (index, timeline) in [2, 2, 1].into_iter().enumerate() {
            make_up(&data[index], 7, timeline, index > 0);
        }
        let layout = Layout::of_containers(folder.path(), folder.path()).unwrap();
        let refused = |layout: &Layout| {
            let refused = layout.nodes.iter().skip(1).filter(|node| require_timeline(node, layout).is_err());
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
