//! Which of the two servers is the primary. Their data tell, not a note beside them: a promotion by hand, a command that was
//! killed and a restart of the machine leave the data right.

use std::path::Path;

use crate::demo::layout::Layout;
use crate::role::Role;
use crate::server::Owner;

/// What a data directory says of its server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DataState {
    /// Which cluster it is of.
    pub system_identifier: u64,
    /// The newest timeline that it knows.
    pub timeline: u32,
    /// Whether it starts as a replica.
    pub is_replica: bool,
}

impl DataState {
    /// Reads it; nothing if there is no whole data directory.
    pub fn read(data: &Path, owner: &Owner) -> Option<Self> {
        let control = owner.read_bytes(&data.join("global/pg_control")).ok()?;
        let (system_identifier, timeline) = parse_control(&control)?;
        let signal = owner.files(|| std::fs::symlink_metadata(data.join("standby.signal")));
        // After a promotion the control file has the new timeline only from the next checkpoint on, its history is there at once.
        let histories = owner.files(|| {
            let names = std::fs::read_dir(data.join("pg_wal"))?.flatten().map(|entry| entry.file_name());
            Ok(names.filter_map(|name| history_of(&name.to_string_lossy())).max())
        });
        let newest = histories.ok().flatten().unwrap_or(0);
        Some(Self { system_identifier, timeline: timeline.max(newest), is_replica: signal.is_ok() })
    }
}

/// The system identifier and the timeline of the last checkpoint. Their places are the same from PostgreSQL 13 to 18.
fn parse_control(bytes: &[u8]) -> Option<(u64, u32)> {
    let identifier = bytes.get(..8)?.try_into().ok()?;
    let timeline = bytes.get(48..52)?.try_into().ok()?;
    Some((u64::from_ne_bytes(identifier), u32::from_ne_bytes(timeline)))
}

/// The newest timeline of which a server has WAL: the one it was on. It may know newer ones, whose history a receiver has
/// fetched, and not have followed them.
pub(crate) fn timeline_of_wal(data: &Path, owner: &Owner) -> Option<u32> {
    let (_, timeline) = parse_control(&owner.read_bytes(&data.join("global/pg_control")).ok()?)?;
    let newest = owner.files(|| {
        let names = std::fs::read_dir(data.join("pg_wal"))?.flatten().map(|entry| entry.file_name());
        Ok(names.filter_map(|name| segment_of(&name.to_string_lossy())).max())
    });
    Some(newest.ok()?.unwrap_or(0).max(timeline))
}

/// The timeline of a segment of the WAL.
fn segment_of(name: &str) -> Option<u32> {
    let is_segment = name.len() == 24 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(name.get(..8).filter(|_| is_segment)?, 16).ok()
}

fn history_of(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".history").filter(|digits| digits.len() == 8 && !digits.starts_with('+'))?;
    u32::from_str_radix(digits, 16).ok()
}

/// Whether the server that was made as the replica is the primary now.
pub(crate) fn swapped(first: Option<DataState>, second: Option<DataState>) -> bool {
    match (first, second) {
        (_, None) => false,
        (None, Some(second)) => !second.is_replica,
        (Some(first), Some(second)) => match (first.is_replica, second.is_replica) {
            (true, second_is_replica) => !second_is_replica,
            (false, true) => false,
            (false, false) => first.system_identifier == second.system_identifier && second.timeline > first.timeline,
        },
    }
}

impl Layout {
    /// Looks which of the two servers is the primary.
    pub(crate) fn find_roles(&mut self) {
        self.swapped = false;
        let [first, second] = [Role::Primary, Role::Replica].map(|role| self.state_of(role));
        // Of two replicas that a failover has left which broke off, the one that was fenced off was the primary.
        let half = [first, second].iter().all(|state| state.is_some_and(|state| state.is_replica));
        let fenced = |role| self.owner.files(|| std::fs::symlink_metadata(self.fenced(role))).is_ok();
        self.swapped = match half {
            true => fenced(Role::Replica) && !fenced(Role::Primary),
            false => swapped(first, second),
        };
    }

    /// What the data of a server say.
    pub(crate) fn state_of(&self, role: Role) -> Option<DataState> {
        DataState::read(self.data(role).path(), &self.owner)
    }

    /// Whether the replica's data are those of an old primary, which must not be opened for writes.
    pub(crate) fn has_old_primary(&self) -> bool {
        let (Some(primary), Some(replica)) = (self.state_of(Role::Primary), self.state_of(Role::Replica)) else {
            return false;
        };
        let is_older = !replica.is_replica
            && replica.system_identifier == primary.system_identifier
            && replica.timeline < primary.timeline;
        is_older || self.fenced(Role::Replica).exists()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn a_history_that_was_only_fetched_is_not_the_timeline_of_the_wal() {
        let data = tempfile::tempdir().unwrap();
        let mut control = [0_u8; 64];
        control[48..52].copy_from_slice(&2_u32.to_ne_bytes());
        std::fs::create_dir(data.path().join("global")).unwrap();
        std::fs::create_dir(data.path().join("pg_wal")).unwrap();
        std::fs::write(data.path().join("global/pg_control"), control).unwrap();
        std::fs::write(data.path().join("pg_wal/00000004.history"), "").unwrap();
        let owner = Owner::current();
        assert_eq!(DataState::read(data.path(), &owner).unwrap().timeline, 4);
        assert_eq!(timeline_of_wal(data.path(), &owner), Some(2));
        std::fs::write(data.path().join("pg_wal/000000030000000000000001"), "").unwrap();
        assert_eq!(timeline_of_wal(data.path(), &owner), Some(3));
    }

    fn state(system_identifier: u64, timeline: u32, is_replica: bool) -> Option<DataState> {
        Some(DataState { system_identifier, timeline, is_replica })
    }

    #[test]
    fn the_data_tell_who_is_the_primary() {
        let (old, new, replica) = (state(7, 1, false), state(7, 2, false), state(7, 1, true));
        for (first, second, expected) in [
            (None, None, false),
            (old, None, false),
            (old, replica, false),
            (replica, new, true),
            (old, new, true),
            (new, old, false),
            (old, state(8, 2, false), false),
            (None, replica, false),
            (None, new, true),
            (replica, replica, false),
        ] {
            assert_eq!(swapped(first, second), expected, "{first:?} {second:?}");
        }
    }

    #[test]
    fn reads_histories_and_no_other_files() {
        assert_eq!(history_of("0000000A.history"), Some(10));
        for name in ["000000010000000000000001", "0000000A.history.tmp", "A.history", "+000000A.history"] {
            assert_eq!(history_of(name), None, "{name}");
        }
        assert_eq!(parse_control(&[0; 51]), None);
        assert_eq!(segment_of("0000000A0000000000000001"), Some(10));
        for name in ["0000000A.history", "0000000A0000000000000001.partial", "+000000A0000000000000001"] {
            assert_eq!(segment_of(name), None, "{name}");
        }
    }
}
