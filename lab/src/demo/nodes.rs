//! The servers of a demo, found by their data: the one that is the primary first, then its replicas. In containers each has the
//! volumes of all of them.
//!
//! What a server is, its data tell. So nobody has to be asked, and a server that is away is known, too. Each container writes
//! beside its data where it can be reached; natively the ports tell.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::demo::roles::{DataState, FENCED, is_noted};
use crate::role::Role;
use crate::server::{Owner, open_to_read};

/// Where the lab keeps what is its own.
pub const LAB_FOLDER: &str = "/var/lib/operations";

/// The service of the primary, and the name of its server and its slot.
pub const FIRST: &str = "postgres_primary";

/// What the names of the others begin with; a number follows.
pub const OTHERS: &str = "postgres_replica_";

/// The name of a native demo's first replica. Those of the others end with their number, from 2.
const REPLICA: &str = "replica";

/// So many replicas a demo may have: the primary has ten slots, and senders for as many, one of them for a clone.
pub const MOST: u8 = 9;

/// The port of each server in its container.
pub const PORT: u16 = 5432;

/// How long ago a container that runs may have noted it.
const ATTENDED: Duration = Duration::from_secs(5);

/// One of the servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name: in containers that of its slot, too, natively that of its folder.
    pub name: String,
    /// What it was made as: 0 is the primary, others are replicas. A failover does not change it.
    pub number: u8,
    /// Where it is reached.
    pub host: String,
    /// Its data.
    pub data: PathBuf,
}

impl Node {
    /// The file beside the data that ends with this.
    #[must_use]
    pub fn beside(&self, ending: &str) -> PathBuf {
        beside(&self.data, ending)
    }

    /// Whether a server is at work on the data, in whatever container.
    #[must_use]
    pub fn has_server(&self, owner: &Owner) -> bool {
        let path = self.beside("server");
        let held = |file: File| matches!(file.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock));
        owner.files(|| open_to_read(&path)).is_ok_and(held)
    }

    /// Whether it was fenced off.
    #[must_use]
    pub fn is_fenced(&self, owner: &Owner) -> bool {
        is_noted(&self.data, FENCED, owner)
    }

    /// Whether its container runs, which notes every second that it does.
    #[must_use]
    pub fn is_attended(&self, owner: &Owner) -> bool {
        let noted = owner.files(|| std::fs::metadata(self.beside("host"))?.modified());
        noted.is_ok_and(|noted| noted.elapsed().is_ok_and(|age| age < ATTENDED))
    }

    /// Whether its server takes connections from other machines, as its files say. One that only starts would note an attempt as an
    /// error.
    #[must_use]
    pub fn takes_connections(&self, owner: &Owner) -> bool {
        let text = owner.read(&self.data.join("postmaster.pid")).unwrap_or_default();
        let line = |number: usize| text.lines().nth(number).unwrap_or_default().trim();
        !self.beside("initialising").exists() && !line(5).is_empty() && ["ready", "standby"].contains(&line(7))
    }
}

/// The name of a file beside data.
#[must_use]
pub fn beside(data: &Path, ending: &str) -> PathBuf {
    let mut name = data.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

/// All that there are, the one that is the primary first, then those that follow. The service's first server is always one of
/// them, whether it has data or not.
#[must_use]
pub fn find(folder: &Path, owner: &Owner) -> Vec<Node> {
    let mut nodes =
        vec![Node { name: FIRST.to_owned(), number: 0, host: FIRST.to_owned(), data: folder.join("primary/primary") }];
    let volume = folder.join("replica");
    let names =
        owner.files(|| Ok(std::fs::read_dir(&volume)?.flatten().map(|entry| entry.file_name()).collect::<Vec<_>>()));
    let number = |name: &std::ffi::OsString| name.to_str()?.strip_prefix("replica_")?.parse::<u8>().ok();
    let mut numbers: Vec<_> =
        names.unwrap_or_default().iter().filter_map(number).filter(|number| *number > 0).collect();
    numbers.sort_unstable();
    nodes.extend(numbers.into_iter().map(|number| {
        let data = volume.join(format!("replica_{number}"));
        let host = owner.read(&beside(&data, "host")).unwrap_or_default();
        let host = host.lines().next().filter(|host| is_name(host)).unwrap_or("postgres_replica").to_owned();
        Node { name: format!("{OTHERS}{number}"), number, host, data }
    }));
    sort(nodes, owner)
}

/// Those of a native demo: the primary, so many replicas, and others whose data are there.
#[must_use]
pub fn find_native(folder: &Path, owner: &Owner, replicas: u8) -> Vec<Node> {
    let is_there = |number: u8| owner.files(|| std::fs::symlink_metadata(folder.join(native_name(number)))).is_ok();
    let numbers = (0..=MOST).filter(|number| *number <= replicas.max(1) || is_there(*number));
    sort(numbers.map(|number| native(folder, number)).collect(), owner)
}

/// A server of a native demo.
pub(crate) fn native(folder: &Path, number: u8) -> Node {
    let name = native_name(number);
    Node { data: folder.join(&name), name, number, host: "127.0.0.1".to_owned() }
}

fn native_name(number: u8) -> String {
    match number {
        0 => Role::Primary.to_string(),
        1 => REPLICA.to_owned(),
        more => format!("{REPLICA}_{more}"),
    }
}

/// Whether a name is that of a replica beyond the first, or of a file beside its data.
pub(crate) fn is_of_a_further_replica(name: &str) -> bool {
    let digits = name.strip_prefix("replica_").map(|rest| rest.split_once('.').map_or(rest, |(digits, _)| digits));
    digits
        .is_some_and(|digits| digits.len() == 1 && digits.parse().is_ok_and(|number: u8| (2..=MOST).contains(&number)))
}

/// Any server's user writes the file.
fn is_name(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// The primary first: of those that do not start as a replica the one that knows the newest timeline.
fn sort(mut nodes: Vec<Node>, owner: &Owner) -> Vec<Node> {
    let states: Vec<_> = nodes.iter().map(|node| DataState::read(&node.data, owner)).collect();
    let first = nodes.remove(first_of(&states));
    nodes.insert(0, first);
    nodes
}

/// Which of the servers has the primary's part. Half-rewound data are nobody's, so another one has it.
pub(crate) fn first_of(states: &[Option<DataState>]) -> usize {
    let is_half_rewound = |state: &Option<DataState>| state.is_some_and(|state| state.is_rewinding);
    let other = || {
        let whole = states.iter().position(|state| state.is_some() && !is_half_rewound(state));
        whole.filter(|_| states.first().is_some_and(is_half_rewound))
    };
    primary_of(states).or_else(|| last_primary_of(states)).or_else(other).unwrap_or(0)
}

/// Which of the servers is the primary by what their data say.
pub(crate) fn primary_of(states: &[Option<DataState>]) -> Option<usize> {
    let open = |state: &&(usize, &DataState)| state.1.opens_for_writes();
    let all = || states.iter().enumerate().filter_map(|(index, state)| Some((index, state.as_ref()?)));
    let first = all().find(|state| open(&state))?;
    let same = all().filter(|state| open(&state) && state.1.system_identifier == first.1.system_identifier);
    // The first of those on the same timeline.
    same.max_by_key(|(index, state)| (state.timeline, std::cmp::Reverse(*index))).map(|(index, _)| index)
}

/// Which of servers that a failover has left which broke off was the primary: the last that was fenced off. Half-rewound data
/// were an old primary's before.
fn last_primary_of(states: &[Option<DataState>]) -> Option<usize> {
    let all = states.iter().enumerate().filter_map(|(index, state)| Some((index, state.as_ref()?)));
    let fenced = all.filter(|(_, state)| state.may_be_opened_again());
    let last = fenced.max_by_key(|(index, state)| (state.timeline, !state.is_replica, std::cmp::Reverse(*index)));
    last.map(|(index, _)| index)
}

/// Why a server with these data may not be opened for writes: another one of its cluster is on a newer timeline.
pub(crate) fn newer_than(own: &DataState, others: &[(String, Option<DataState>)]) -> Option<(String, u32)> {
    let newer = others.iter().filter_map(|(name, state)| Some((name, state.as_ref()?)));
    let newer =
        newer.filter(|(_, state)| state.system_identifier == own.system_identifier && state.timeline > own.timeline);
    newer
        .max_by_key(|(_, state)| (state.opens_for_writes(), state.timeline))
        .map(|(name, state)| (name.clone(), state.timeline))
}

/// What `synchronous_standby_names` is with SYNC=on: any one of the servers that can follow. A clone has another name.
#[must_use]
pub fn synchronous_names() -> String {
    let others = (1..=MOST).map(|number| format!("{OTHERS}{number}"));
    let names: Vec<_> = std::iter::once(FIRST.to_owned()).chain(others).collect();
    format!("ANY 1 ({})", names.join(", "))
}

impl super::Layout {
    /// The server that has a part.
    #[must_use]
    pub fn node(&self, role: Role) -> Option<&Node> {
        match role {
            Role::Primary => self.nodes.first(),
            Role::Replica => self.nodes.get(1),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    fn state(system_identifier: u64, timeline: u32, is_replica: bool) -> Option<DataState> {
        Some(DataState { system_identifier, timeline, is_replica, ..DataState::default() })
    }

    #[test]
    fn data_with_a_note_beside_them_are_not_the_primary() {
        let noted = |is_fenced, is_rewinding, timeline, is_replica| {
            Some(DataState { system_identifier: 7, timeline, is_replica, is_fenced, is_rewinding, is_promoting: false })
        };
        let half_rewound = noted(true, true, 2, false);
        for (states, primary, last) in [
            (vec![half_rewound, state(7, 2, false)], Some(1), None),
            (vec![noted(false, true, 2, false), state(7, 2, false)], Some(1), None),
            (vec![noted(true, false, 2, false), state(7, 2, false)], Some(1), Some(0)),
            (vec![half_rewound, state(7, 2, true)], None, None),
            // The first was the primary, then the second, and the third is to be promoted.
            (vec![noted(true, false, 1, true), noted(true, false, 2, false), state(7, 2, true)], None, Some(1)),
        ] {
            assert_eq!((primary_of(&states), last_primary_of(&states)), (primary, last), "{states:?}");
        }
    }

    #[test]
    fn the_newest_that_is_no_replica_is_the_primary() {
        for (states, expected) in [
            (vec![], None),
            (vec![None, state(7, 1, true)], None),
            (vec![state(7, 1, false), state(7, 1, true)], Some(0)),
            (vec![state(7, 1, false), state(7, 2, false)], Some(1)),
            (vec![state(7, 1, true), state(7, 2, false), state(7, 2, true)], Some(1)),
            (vec![state(7, 2, false), state(7, 2, false)], Some(0)),
            (vec![state(7, 1, false), state(8, 5, false)], Some(0)),
            (vec![None, state(8, 5, false)], Some(1)),
        ] {
            assert_eq!(primary_of(&states), expected, "{states:?}");
        }
    }

    #[test]
    fn an_old_primary_sees_the_newer_timeline() {
        let own = state(7, 1, false).unwrap();
        let named = |states: &[Option<DataState>]| {
            states.iter().enumerate().map(|(index, state)| (index.to_string(), *state)).collect::<Vec<_>>()
        };
        assert_eq!(newer_than(&own, &named(&[None, state(7, 1, true), state(8, 9, false)])), None);
        assert_eq!(newer_than(&own, &named(&[state(7, 1, true), state(7, 2, false)])), Some(("1".to_owned(), 2)));
        // A replica of one that is gone knows it, too.
        assert_eq!(newer_than(&own, &named(&[state(7, 3, true), state(7, 2, false)])), Some(("1".to_owned(), 2)));
        assert_eq!(newer_than(&own, &named(&[state(7, 3, true)])), Some(("0".to_owned(), 3)));
    }

    #[test]
    fn servers_are_found_by_their_folders() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner::current();
        for name in
            ["primary/primary", "replica/replica_2", "replica/replica_10", "replica/replica_1.clone", "replica/x"]
        {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("replica/replica_2.host"), "1a2b3c\n").unwrap();
        std::fs::write(folder.path().join("replica/replica_10.host"), "a b\n").unwrap();
        let found = find(folder.path(), &owner);
        let named: Vec<_> = found.iter().map(|node| (node.name.as_str(), node.host.as_str())).collect();
        let expected = [
            ("postgres_primary", "postgres_primary"),
            ("postgres_replica_2", "1a2b3c"),
            ("postgres_replica_10", "postgres_replica"),
        ];
        assert_eq!(named, expected);
    }

    #[test]
    fn those_of_a_native_demo_are_the_wanted_and_the_found() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner::current();
        let names = |replicas| {
            let found = find_native(folder.path(), &owner, replicas);
            found.into_iter().map(|node| node.name).collect::<Vec<_>>()
        };
        assert_eq!(names(1), ["primary", "replica"]);
        assert_eq!(names(3), ["primary", "replica", "replica_2", "replica_3"]);
        for name in ["replica_2.clone", "replica_5", "replica_x", "replica_05"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        assert_eq!(names(1), ["primary", "replica", "replica_5"]);
        // A failover has made the primary of it.
        super::super::make_up(&folder.path().join("primary"), 7, 1, true);
        super::super::make_up(&folder.path().join("replica_5"), 7, 2, false);
        assert_eq!(names(2), ["replica_5", "primary", "replica", "replica_2"]);

        assert!(["replica_2", "replica_9.log", "replica_3.clone"].into_iter().all(is_of_a_further_replica));
        for name in ["replica", "replica_1", "replica_10", "replica_0", "replica_+2", "replica_2x", "my_replica_2"] {
            assert!(!is_of_a_further_replica(name), "{name}");
        }
    }

    #[test]
    fn a_server_that_only_starts_is_not_asked() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner::current();
        let node = Node { name: String::new(), number: 1, host: String::new(), data: folder.path().join("data") };
        std::fs::create_dir(&node.data).unwrap();
        let pid_file =
            |listen: &str, state: &str| format!("7\n/data\n1700000000\n5432\n/run\n{listen}\n  1 2\n{state}\n");
        for (text, expected) in [
            (pid_file("*", "ready   "), true),
            (pid_file("*", "standby "), true),
            (pid_file("*", "starting"), false),
            (pid_file("", "ready   "), false),
            (String::new(), false),
        ] {
            std::fs::write(node.data.join("postmaster.pid"), text).unwrap();
            assert_eq!(node.takes_connections(&owner), expected);
        }
        let lock = File::create(node.beside("server")).unwrap();
        assert!(!node.has_server(&owner) && !node.is_attended(&owner));
        lock.lock().unwrap();
        std::fs::write(node.beside("host"), "me\n").unwrap();
        assert!(node.has_server(&owner) && node.is_attended(&owner));
    }
}
