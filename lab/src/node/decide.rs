//! Whether a server may be started, and as what: its own data and those of the others tell.

use std::time::{Duration, Instant};

use super::{Keeper, Start};
use crate::demo::nodes::{FIRST, Node, newer_than};
use crate::demo::{DataState, FENCED, REWINDING, is_noted, may_lose_what_only_it_has};

/// How long a first clone waits for a primary that is being made.
const MADE: Duration = Duration::from_secs(600);

/// What is to be done with the data.
pub(super) enum Part {
    /// They are started as they are.
    Starts(Start),
    /// They are those of an old primary, and this server may take writes.
    Old(Node),
    /// Somebody must do something, and what.
    Waits(String),
}

impl Keeper {
    /// Looks what is to be done. `began`: since when the server waits for it.
    pub(super) fn part(&self, began: Instant) -> Part {
        // Somebody's own primary: nothing is known of it.
        if let Some(primary) = std::env::var("PRIMARY_HOST").ok().filter(|primary| !primary.is_empty()) {
            return Part::Starts(Start { primary: Some(primary), ..Start::default() });
        }
        let (others, is_first) = self.nodes();
        let primary = others.first().filter(|_| !is_first);
        let fenced = is_noted(&self.data, FENCED, &self.owner);
        if is_noted(&self.data, REWINDING, &self.owner) && self.data.exists() {
            return self.half_rewound(&others);
        }
        let Some(own) = self.own().filter(|_| !self.beside("initialising").exists()) else {
            return self.without_data(&others, began);
        };
        let states: Vec<_> =
            others.iter().map(|node| (node.name.clone(), DataState::read(&node.data, &self.owner))).collect();
        // Then the one that was promoted is to be thrown away, not this one.
        let keeps = self.name == FIRST && may_lose_what_only_it_has();
        let newer = newer_than(&own, &states).filter(|_| !keeps || fenced);
        let is_back = |state: &DataState| {
            state.opens_for_writes()
                && !state.is_promoting
                && state.system_identifier == own.system_identifier
                && state.timeline == own.timeline
        };
        // Its data were brought back, and it was ended before it could say so.
        let is_back =
            own.is_replica && newer.is_none() && states.iter().any(|(_, state)| state.as_ref().is_some_and(is_back));
        if fenced && is_back && std::fs::remove_file(self.beside(FENCED)).is_err() {
            return Part::Waits("fenced off, and the note of it cannot be removed".to_owned());
        }
        if (fenced && !is_back) || !own.is_replica {
            let writes = |name: &str| {
                states.iter().any(|(other, state)| other == name && state.is_some_and(|state| state.opens_for_writes()))
            };
            return match newer {
                Some((name, timeline)) => match others.iter().find(|node| node.name == name) {
                    Some(writer) if writes(&name) => Part::Old(writer.clone()),
                    _ => Part::Waits(format!(
                        "{name} is on timeline {timeline}, newer than {} here, and nobody takes writes there: not opened for writes",
                        own.timeline
                    )),
                },
                None if fenced => Part::Waits(
                    "fenced off, and no other server was promoted: docker compose exec lab operations-lab failover goes on; once the \
                     replicas are stopped, operations-lab rejoin opens this one again"
                        .to_owned(),
                ),
                None => match self.not_read(&others).filter(|_| !keeps) {
                    Some(name) => Part::Waits(format!(
                        "it is not known whether {name} was promoted, for its data cannot be read: not opened for writes; \
                         REPLICA_RECLONE=promoted docker compose up opens it all the same, and throws those away"
                    )),
                    None => Part::Starts(Start { primary: Some(self.anybody(&others)), ..Start::default() }),
                },
            };
        }
        let primary = primary.map_or_else(|| self.anybody(&others), |primary| primary.host.clone());
        Part::Starts(Start { primary: Some(primary), ..Start::default() })
    }

    /// What pg_rewind has begun on is cloned anew, from whoever takes the writes.
    fn half_rewound(&self, others: &[Node]) -> Part {
        let own = self.own();
        let writes = |node: &&Node| {
            let state = DataState::read(&node.data, &self.owner).filter(DataState::opens_for_writes);
            let is_ours = |state: DataState| own.is_none_or(|own| own.system_identifier == state.system_identifier);
            state.is_some_and(is_ours) && !node.beside("initialising").exists()
        };
        match others.iter().find(writes) {
            Some(writer) => Part::Old(writer.clone()),
            None => Part::Waits(
                "pg_rewind was at work on its data and was ended: they are to be cloned anew, and no other server takes writes".to_owned(),
            ),
        }
    }

    /// Another server that has data, and does not tell whether it was promoted.
    fn not_read(&self, others: &[Node]) -> Option<String> {
        let has_data = |node: &&Node| {
            let version = node.data.join("PG_VERSION");
            let there = self.owner.files(|| std::fs::symlink_metadata(&version));
            !matches!(there, Err(error) if error.kind() == std::io::ErrorKind::NotFound)
        };
        let mut all = others.iter().filter(has_data).filter(|node| !node.beside("initialising").exists());
        all.find(|node| DataState::read(&node.data, &self.owner).is_none()).map(|node| node.name.clone())
    }

    /// Whom to ask where nobody is to be followed.
    fn anybody(&self, others: &[Node]) -> String {
        let other = others.iter().find(|node| node.name != FIRST).filter(|_| self.name == FIRST);
        other.map_or(FIRST, |node| &node.host).to_owned()
    }

    fn without_data(&self, others: &[Node], began: Instant) -> Part {
        let promoted = others.iter().find(|node| {
            let state = DataState::read(&node.data, &self.owner);
            state.is_some_and(|state| state.opens_for_writes()) && !node.beside("initialising").exists()
        });
        match (promoted, self.name == FIRST) {
            // A new primary beside one that was promoted would be another cluster.
            (Some(node), true) => Part::Starts(Start { primary: Some(node.host.clone()), follows: true }),
            (None, true) => Part::Starts(Start { primary: Some(self.anybody(others)), ..Start::default() }),
            // Asking one that is being made would leave errors in its log.
            (Some(node), false) if node.takes_connections(&self.owner) || began.elapsed() > MADE => {
                Part::Starts(Start { primary: Some(node.host.clone()), ..Start::default() })
            }
            (None, false) if began.elapsed() > MADE => {
                Part::Starts(Start { primary: Some(FIRST.to_owned()), ..Start::default() })
            }
            (_, false) => Part::Waits("waiting for the primary, to clone it".to_owned()),
        }
    }

    /// The primary that this replica is to follow, if it is not the one that it follows.
    pub(super) fn follows_another(&self, start: &Start) -> Option<String> {
        if std::env::var("PRIMARY_HOST").is_ok_and(|primary| !primary.is_empty()) {
            return None;
        }
        let own = self.own().filter(|own| own.is_replica)?;
        let (others, is_first) = self.nodes();
        let primary = others.first().filter(|_| !is_first)?;
        let state = DataState::read(&primary.data, &self.owner)?;
        let is_one = state.opens_for_writes()
            && state.system_identifier == own.system_identifier
            && primary.takes_connections(&self.owner);
        (is_one && Some(&primary.host) != start.primary.as_ref()).then(|| primary.name.clone())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;
    use crate::demo::{IN_ARCHIVE_RECOVERY, make_up, set_state};
    use crate::server::Owner;

    /// The primary's container, beside a replica's data.
    fn keeper(folder: &std::path::Path) -> Keeper {
        std::fs::create_dir_all(folder.join("replica/replica_1")).unwrap();
        Keeper {
            name: FIRST.to_owned(),
            data: folder.join("primary/primary"),
            servers: folder.to_owned(),
            owner: Owner::current(),
            command: Vec::new(),
            noted: None,
            said: String::new(),
            fenced_here: false,
            tried: None,
        }
    }

    /// The same, and the replica's data.
    fn pair(folder: &std::path::Path) -> (Keeper, std::path::PathBuf) {
        (keeper(folder), folder.join("replica/replica_1"))
    }

    fn what(keeper: &Keeper) -> &'static str {
        match keeper.part(Instant::now()) {
            Part::Starts(_) => "starts",
            Part::Old(_) => "old",
            Part::Waits(_) => "waits",
        }
    }

    #[test]
    fn half_rewound_data_are_cloned_and_never_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (keeper, other) = pair(folder.path());
        let decided = || what(&keeper);
        make_up(&keeper.data, 7, 2, false);
        make_up(&other, 7, 2, false);
        for notes in [&[REWINDING][..], &[REWINDING, FENCED], &[FENCED]] {
            notes.iter().for_each(|note| std::fs::write(keeper.beside(note), "").unwrap());
            assert_eq!(decided(), if notes.contains(&REWINDING) { "old" } else { "waits" }, "{notes:?}");
            notes.iter().for_each(|note| std::fs::remove_file(keeper.beside(note)).unwrap());
        }
        assert_eq!(decided(), "starts");
        // Nobody to be cloned: of another cluster, or a replica.
        std::fs::write(keeper.beside(REWINDING), "").unwrap();
        make_up(&other, 8, 2, false);
        assert_eq!(decided(), "waits");
        make_up(&other, 7, 2, false);
        assert_eq!(decided(), "old");
        std::fs::write(other.join("standby.signal"), "").unwrap();
        assert_eq!(decided(), "waits");
    }

    /// A server that is promoted removes standby.signal first, and writes the history of its new timeline then.
    #[test]
    fn data_are_not_taken_for_brought_back_by_a_promotion_that_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let (keeper, other) = pair(folder.path());
        let decided = || what(&keeper);
        make_up(&keeper.data, 7, 1, true);
        std::fs::write(keeper.beside(FENCED), "").unwrap();
        make_up(&other, 7, 1, false);
        set_state(&other, IN_ARCHIVE_RECOVERY);
        assert_eq!(decided(), "waits");
        assert!(keeper.beside(FENCED).exists());
        std::fs::write(other.join("pg_wal/00000002.history"), "").unwrap();
        assert_eq!(decided(), "old");
        set_state(&other, 6);
        assert_eq!(decided(), "old");
        // As pg_rewind leaves its data.
        std::fs::write(keeper.data.join("pg_wal/00000002.history"), "").unwrap();
        assert_eq!(decided(), "starts");
        assert!(!keeper.beside(FENCED).exists());
    }

    #[test]
    fn what_cannot_be_read_may_have_been_promoted() {
        let folder = tempfile::tempdir().unwrap();
        let (keeper, other) = pair(folder.path());
        let decided = || what(&keeper);
        make_up(&keeper.data, 7, 1, false);
        assert_eq!(decided(), "starts", "there is nothing of another one yet");
        make_up(&other, 7, 1, true);
        assert_eq!(decided(), "starts");
        std::fs::write(other.join("global/pg_control"), "").unwrap();
        assert_eq!(decided(), "waits");
        std::fs::remove_dir_all(other.join("global")).unwrap();
        assert_eq!(decided(), "waits");
        // As a replica it takes no writes.
        std::fs::write(keeper.data.join("standby.signal"), "").unwrap();
        assert_eq!(decided(), "starts");
    }
}
