//! Which of the servers is the primary. Their data tell, not a note beside them: a promotion by hand, a command that was
//! killed and a restart of the machine leave the data right.

use std::io::ErrorKind;
use std::path::Path;

use crate::demo::nodes::beside;
use crate::server::Owner;

/// Ends the name of the note beside data that were fenced off.
pub(crate) const FENCED: &str = "fenced";

/// Ends the name of the note beside data that pg_rewind has begun to change. For as long as it is there they are no server's:
/// pg_rewind takes away `standby.signal` and brings the history of the new primary, so they would look like its own.
pub(crate) const REWINDING: &str = "rewinding";

/// What a data directory says of its server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DataState {
    /// Which cluster it is of.
    pub system_identifier: u64,
    /// The newest timeline that it knows.
    pub timeline: u32,
    /// Whether it starts as a replica.
    pub is_replica: bool,
    /// Whether it starts as a primary, and its promotion has not ended: PostgreSQL removes `standby.signal` before it writes the history of
    /// the new timeline, so that need not be known here yet.
    pub is_promoting: bool,
    /// Whether a note beside it says that it was fenced off.
    pub is_fenced: bool,
    /// Whether a note beside it says that pg_rewind has begun to change it, and nobody has ended that.
    pub is_rewinding: bool,
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
        let newest = match histories {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            // They might tell of a newer one.
            histories => histories.ok()?,
        };
        Some(Self {
            system_identifier,
            timeline: timeline.max(newest.unwrap_or(0)),
            is_replica: signal.is_ok(),
            is_promoting: signal.is_err() && is_in_recovery(&control),
            is_fenced: is_noted(data, FENCED, owner),
            is_rewinding: is_noted(data, REWINDING, owner),
        })
    }

    /// Whether its server takes writes when it is started.
    pub fn opens_for_writes(&self) -> bool {
        !self.is_replica && !self.is_fenced && !self.is_rewinding
    }

    /// Whether they are a replica's, and no former primary's.
    pub fn follows(self) -> bool {
        self.is_replica && !self.is_fenced && !self.is_rewinding
    }

    /// Whether it was the primary when it was fenced off, and may be opened again if nobody was promoted.
    pub fn may_be_opened_again(&self) -> bool {
        self.is_fenced && !self.is_rewinding
    }
}

/// Whether there is a note beside data. Where that cannot be seen, there is one.
pub(crate) fn is_noted(data: &Path, ending: &str, owner: &Owner) -> bool {
    let note = beside(data, ending);
    match owner.files(|| std::fs::symlink_metadata(&note)) {
        Err(error) => error.kind() != ErrorKind::NotFound,
        Ok(_) => true,
    }
}

/// The system identifier and the timeline of the last checkpoint. Their places are the same from PostgreSQL 13 to 18.
fn parse_control(bytes: &[u8]) -> Option<(u64, u32)> {
    let identifier = bytes.get(..8)?.try_into().ok()?;
    let timeline = bytes.get(48..52)?.try_into().ok()?;
    Some((u64::from_ne_bytes(identifier), u32::from_ne_bytes(timeline)))
}

/// Where the control file says what the server is at, a DBState. The place and the values are the same from PostgreSQL 13 to 18.
const STATE: std::ops::Range<usize> = 16..20;
const SHUT_DOWN_IN_RECOVERY: u32 = 2;
pub(crate) const IN_ARCHIVE_RECOVERY: u32 = 5;

fn is_in_recovery(control: &[u8]) -> bool {
    let state = control.get(STATE).and_then(|bytes| bytes.try_into().ok()).map(u32::from_ne_bytes);
    matches!(state, Some(SHUT_DOWN_IN_RECOVERY | IN_ARCHIVE_RECOVERY))
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

/// Makes up as much of a data directory as tells what its server is.
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
pub(crate) fn make_up(data: &Path, system_identifier: u64, timeline: u32, is_replica: bool) {
    let mut control = [0_u8; 64];
    control[..8].copy_from_slice(&system_identifier.to_ne_bytes());
    control[48..52].copy_from_slice(&timeline.to_ne_bytes());
    for folder in ["global", "pg_wal"] {
        std::fs::create_dir_all(data.join(folder)).unwrap();
    }
    std::fs::write(data.join("global/pg_control"), control).unwrap();
    std::fs::write(data.join("PG_VERSION"), "16\n").unwrap();
    if is_replica {
        std::fs::write(data.join("standby.signal"), "").unwrap();
    }
}

/// Has such a data directory say what its server is at.
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
pub(crate) fn set_state(data: &Path, state: u32) {
    let path = data.join("global/pg_control");
    let mut control = std::fs::read(&path).unwrap();
    control[STATE].copy_from_slice(&state.to_ne_bytes());
    std::fs::write(&path, control).unwrap();
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;
    use crate::demo::nodes::first_of;

    /// Whether the second of two servers is the primary.
    fn swapped(first: Option<DataState>, second: Option<DataState>) -> bool {
        first_of(&[first, second]) == 1
    }

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
        Some(DataState { system_identifier, timeline, is_replica, ..DataState::default() })
    }

    /// As a killed pg_rewind leaves an old primary: it looks like the newest primary but for the notes beside it.
    #[test]
    fn half_rewound_data_are_never_those_of_the_primary() {
        let new = state(7, 2, false);
        let noted = |is_fenced, is_rewinding| Some(DataState { is_fenced, is_rewinding, ..new.unwrap() });
        let (rewinding, fenced, both) = (noted(false, true), noted(true, false), noted(true, true));
        let (replica, old) = (state(7, 2, true), Some(DataState { is_fenced: true, ..state(7, 1, true).unwrap() }));
        for (first, second, expected) in [
            (rewinding, new, true),
            (fenced, new, true),
            (both, new, true),
            (new, both, false),
            (None, both, false),
            (both, replica, true),
            (replica, both, false),
            (both, old, true),
            // A failover that broke off.
            (replica, old, true),
            (old, replica, false),
        ] {
            assert_eq!(swapped(first, second), expected, "{first:?} {second:?}");
        }
    }

    #[test]
    fn the_notes_beside_data_are_read_with_them() {
        let folder = tempfile::tempdir().unwrap();
        let (data, owner) = (folder.path().join("data"), Owner::current());
        make_up(&data, 7, 1, false);
        let read = || DataState::read(&data, &owner).unwrap();
        assert!(read().opens_for_writes());
        std::fs::write(beside(&data, FENCED), "").unwrap();
        assert!(!read().opens_for_writes() && read().may_be_opened_again());
        // A note that leads nowhere is one.
        std::os::unix::fs::symlink("nowhere", beside(&data, REWINDING)).unwrap();
        assert!(!read().opens_for_writes() && !read().may_be_opened_again());
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
