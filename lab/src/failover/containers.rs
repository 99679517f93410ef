//! The old primary becomes a replica in its own container, which is told so by a file beside its data. This waits for it.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use crate::demo::nodes::Node;
use crate::demo::{DataState, Demo, FENCED, Layout, REWINDING, is_noted};
use crate::error::{Context, Error, FailoverError};
use crate::role::Role;
use crate::say::say;
use crate::server::try_wait;

/// How long it may take until the old primary streams: a new clone is part of it.
const LIMIT: Duration = Duration::from_secs(600);

const STREAMS: &str = "select status from pg_stat_wal_receiver where status = 'streaming'";

/// Its own slots would keep WAL for nobody.
const DROP_SLOTS: &str = "\
    select pg_drop_replication_slot(slot_name) from pg_replication_slots \
    where slot_type = 'physical' and not active and slot_name like 'postgres\\_%' and pg_is_in_recovery()";

/// Makes each old primary of the demo a replica.
pub fn rejoin(demo: &Demo) -> Result<(), Error> {
    let old = old_primaries(&demo.layout);
    let Some((first, _)) = old.split_first() else {
        say("There is no old primary to be made a replica (docker compose ps shows all servers)");
        return Ok(());
    };
    if demo.layout.nodes.first() == Some(first) {
        return open_again(demo, first);
    }
    old.iter().try_for_each(|node| rejoin_one(demo, node))?;
    demo.set_synchronous()
}

/// Those that were fenced off, and those that are open on a timeline that the primary has left. The primary is one of them only if
/// nobody was promoted.
fn old_primaries(layout: &Layout) -> Vec<Node> {
    let state = |node: &Node| DataState::read(&node.data, &layout.owner);
    let primary = layout.nodes.first().and_then(state);
    let is_old = |node: &&Node| {
        let is_open = |state: DataState| {
            state.opens_for_writes()
                && primary.is_some_and(|primary| {
                    primary.system_identifier == state.system_identifier && primary.timeline > state.timeline
                })
        };
        let noted = [FENCED, REWINDING].iter().any(|note| is_noted(&node.data, note, &layout.owner));
        noted || state(node).is_some_and(is_open)
    };
    layout.nodes.iter().filter(is_old).cloned().collect()
}

/// Nobody was promoted, so it is the primary still.
fn open_again(demo: &Demo, node: &Node) -> Result<(), Error> {
    require_nobody_else(&demo.layout, node)?;
    say(&format!("No other server was promoted: opening {} again", node.name));
    let opened = demo.layout.owner.files(|| {
        for path in [node.data.join("standby.signal"), node.beside(FENCED)] {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    });
    opened.context(|| format!("open {} again", node.data.display()))
}

/// A replica that runs may be promoted at any moment, by a promotion that did not end in time; one that was told so, as soon as it
/// starts. And what pg_rewind has begun on follows another server, or nobody.
fn require_nobody_else(layout: &Layout, node: &Node) -> Result<(), Error> {
    if is_noted(&node.data, REWINDING, &layout.owner) {
        return Err(FailoverError::HalfRewound { server: node.name.clone() }.into());
    }
    let there = |path: &std::path::Path| !matches!(layout.owner.files(|| std::fs::symlink_metadata(path)), Err(error) if error.kind() == ErrorKind::NotFound);
    for other in layout.nodes.iter().filter(|other| *other != node) {
        let why = match other.data.join("promote") {
            _ if other.has_server(&layout.owner) => "it runs".to_owned(),
            promote if there(&promote) => format!("there is {}", promote.display()),
            _ => continue,
        };
        return Err(FailoverError::MayBePromoted { other: other.name.clone(), why, server: node.name.clone() }.into());
    }
    Ok(())
}

fn rejoin_one(demo: &Demo, node: &Node) -> Result<(), Error> {
    let (owner, name) = (&demo.layout.owner, &node.name);
    if !node.is_attended(owner) {
        return Err(FailoverError::NotAttended { server: name.clone() }.into());
    }
    say(&format!("Making the old primary, {name}, a replica"));
    // The part of the replica is that of whoever is to follow.
    let mut own = demo.clone();
    own.layout.nodes.retain(|other| other != node);
    own.layout.nodes.insert(1.min(own.layout.nodes.len()), node.clone());
    if node.has_server(owner) {
        drop(own.fence(Role::Replica)?);
    }
    own.keep_fenced(Role::Replica)?;
    let (state, request) = (node.beside("state"), node.beside("rejoin"));
    let removed = owner.files(|| match std::fs::remove_file(&state) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    });
    removed.context(|| format!("remove {}", state.display()))?;
    owner.write(&request, b"", false).context(|| format!("write {}", request.display()))?;
    let began = Instant::now();
    let mut told = false;
    try_wait(&format!("{name} to stream"), LIMIT, || {
        let said = owner.read(&state).unwrap_or_default();
        if !told && !said.is_empty() && !node.is_fenced(owner) {
            told = true;
            say(said.trim_end());
        }
        if let Some(why) = said.strip_prefix("failed: ") {
            return Ok(Err(why.trim_end().to_owned()));
        }
        match own.ask(Role::Replica, STREAMS) {
            Ok(status) if told && status == "streaming" => Ok(Ok(())),
            Ok(_) => Err("it does not stream yet".to_owned()),
            Err(refusal) => Err(refusal.to_string()),
        }
    })?
    .map_err(|why| Error::Failover(FailoverError::NotRejoined { server: name.clone(), why }))?;
    // What cannot be asked now is found by the doctor.
    let _ = own.ask(Role::Replica, DROP_SLOTS);
    say(&format!("{name} follows {} now, after {:.1} s", own.called(Role::Primary), began.elapsed().as_secs_f32()));
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;
    use crate::demo::make_up;

    #[test]
    fn the_old_primary_stays_closed_while_another_may_be_promoted() {
        let folder = tempfile::tempdir().unwrap();
        let (old, other) = (folder.path().join("primary/primary"), folder.path().join("replica/replica_1"));
        make_up(&old, 7, 1, true);
        make_up(&other, 7, 1, true);
        let layout = Layout::of_containers(folder.path(), folder.path()).unwrap();
        let [first, second] = &layout.nodes[..] else { unreachable!("there are two") };
        let fenced = first.beside(FENCED);
        std::fs::write(&fenced, "").unwrap();
        assert_eq!(old_primaries(&layout), std::slice::from_ref(first));
        require_nobody_else(&layout, first).unwrap();

        let refused = || require_nobody_else(&layout, first).unwrap_err().to_string();
        std::fs::write(other.join("promote"), "").unwrap();
        assert!(refused().contains("/replica_1/promote)"), "{}", refused());
        std::fs::remove_file(other.join("promote")).unwrap();
        let lock = std::fs::File::create(second.beside("server")).unwrap();
        lock.lock().unwrap();
        assert!(refused().contains("postgres_replica_1 may still be promoted (it runs)"), "{}", refused());
        drop(lock);
        require_nobody_else(&layout, first).unwrap();
        std::fs::write(first.beside(REWINDING), "").unwrap();
        assert!(refused().contains("pg_rewind was at work on the data of postgres_primary"), "{}", refused());
    }
}
