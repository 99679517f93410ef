//! Where the demo is kept, and who runs its servers.

use std::path::{Path, PathBuf};

use crate::compose::SERVERS_FOLDER;
use crate::demo::nodes::{LAB_FOLDER, Node, beside, find_native};
use crate::demo::roles::{DataState, FENCED, REWINDING};
use crate::demo::settings::{Named, REPLICAS, replicas};
use crate::error::{DemoError, Error};
use crate::role::Role;
use crate::server::{DataDirectory, Owner};
use crate::tools::state::absolute;
use crate::tools::{Major, State};

/// Folders of the demo.
#[derive(Clone, Debug)]
pub struct Layout {
    /// What is unpacked, built for ourselves or logged.
    pub state: State,
    /// The demo's data and settings. Everything in it belongs to the server's user.
    pub folder: PathBuf,
    /// Who runs the servers.
    pub owner: Owner,
    /// Whether each server is in a container of its own.
    pub in_containers: bool,
    /// The servers, the primary first; the second has the part of the replica where there is talk of one. Folders, logs and ports
    /// stay with the servers, whatever a failover makes of them.
    pub nodes: Vec<Node>,
    /// Whom the replica follows, if that is another replica: of a native demo that cascades.
    pub upstream: Option<Node>,
}

impl Layout {
    /// The demo in `folder`, by default in `demo` of the state folder.
    pub fn find(folder: Option<&Path>) -> Result<Self, Error> {
        if folder.is_none()
            && let Some(servers) = std::env::var_os(SERVERS_FOLDER).filter(|servers| !servers.is_empty())
        {
            return Self::of_containers(Path::new(&servers), Path::new(LAB_FOLDER));
        }
        let state = State::find()?;
        let folder = folder.map_or_else(|| state.of_major().join("demo"), absolute);
        Ok(Self::with(state, folder))
    }

    /// That this user has no demo, and that of the checkout is another user's, where it is so. Each who may not write to the
    /// checkout has a state folder elsewhere.
    pub(crate) fn another_users_demo(&self) -> Option<DemoError> {
        let is_named = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if self.in_containers || is_named("STATE_DIR") || is_named("DEMO_DIR") {
            return None;
        }
        let own = State::at(crate::checkout().join(".state"), self.owner.clone());
        self.other_demo(&State { major: self.state.major, ..own }.of_major().join("demo"))
    }

    fn other_demo(&self, other: &Path) -> Option<DemoError> {
        let is_made = |folder: &Path| folder.join("settings").exists();
        (self.folder != other && !is_made(&self.folder) && is_made(other)).then(|| DemoError::AnotherUsers {
            user: Owner::current().name,
            folder: self.folder.clone(),
            other: other.to_owned(),
        })
    }

    /// The demo in a folder, for who runs its servers and builds nothing: there is nothing for it in the state folder.
    pub(crate) fn of_its_owner(folder: &Path) -> Self {
        let folder = absolute(folder);
        // Asked for by who has started the owner's program.
        let major = Major::chosen().unwrap_or(Major::DEFAULT);
        Self::with(State { major, ..State::at(folder.clone(), Owner::current()) }, folder)
    }

    /// The demo in containers, by the folder with their volumes.
    pub(crate) fn of_containers(servers: &Path, folder: &Path) -> Result<Self, Error> {
        let owner = match rustix::process::geteuid().is_root() {
            true => Owner::named(crate::SUPERUSER)?.unwrap_or_else(Owner::current),
            false => Owner::current(),
        };
        let state = State::at(folder.to_owned(), owner.clone());
        let nodes = crate::demo::nodes::find(servers, &owner);
        Ok(Self { state, folder: folder.to_owned(), owner, in_containers: true, nodes, upstream: None })
    }

    fn with(state: State, folder: PathBuf) -> Self {
        let owner = state.owner.clone();
        let mut layout = Self { folder, owner, state, in_containers: false, nodes: Vec::new(), upstream: None };
        let wanted = Named::saved(&layout).ok().and_then(|saved| replicas(saved.get(REPLICAS)?).ok());
        layout.find_roles(wanted.unwrap_or(1));
        layout
    }

    /// The data of a server.
    #[must_use]
    pub fn data(&self, role: Role) -> DataDirectory {
        let data = self.node(role).map_or_else(|| self.folder.join(role.to_string()), |node| node.data.clone());
        DataDirectory::new(&data, &self.owner)
    }

    /// What a server was made as: 0 is the primary.
    #[must_use]
    pub fn number(&self, role: Role) -> u8 {
        self.node(role).map_or(u8::from(role == Role::Replica), |node| node.number)
    }

    /// Whether a failover has made another server the primary than the one that was made as it.
    #[must_use]
    pub fn is_swapped(&self) -> bool {
        self.number(Role::Primary) != 0
    }

    /// How many replicas there are.
    #[must_use]
    pub fn replicas(&self) -> usize {
        self.nodes.len().saturating_sub(1)
    }

    /// Stands for a server that was fenced off and has not followed the new primary yet.
    #[must_use]
    pub fn fenced(&self, role: Role) -> PathBuf {
        self.beside(role, FENCED)
    }

    /// Stands for data that pg_rewind has begun to change.
    pub(crate) fn rewinding(&self, role: Role) -> PathBuf {
        self.beside(role, REWINDING)
    }

    /// The folder by which another process of this program finds a native demo.
    pub(crate) fn native_folder(&self) -> Option<&Path> {
        (!self.in_containers).then_some(self.folder.as_path())
    }

    /// The file of a server beside its data that ends with this.
    pub(crate) fn beside(&self, role: Role, ending: &str) -> PathBuf {
        beside(self.data(role).path(), ending)
    }

    /// A file in a volume, as the other containers name it.
    pub(crate) fn for_others(&self, file: &Path) -> PathBuf {
        let own = self.nodes.iter().filter(|_| self.in_containers).find_map(|node| {
            let inside = file.strip_prefix(node.data.parent()?).ok()?;
            let volume = if node.name == crate::demo::nodes::FIRST { "primary" } else { "replica" };
            Some(Path::new(&std::env::var_os(SERVERS_FOLDER)?).join(volume).join(inside))
        });
        own.unwrap_or_else(|| file.to_owned())
    }

    /// The primary's data while they are made.
    #[must_use]
    pub fn half_made(&self) -> DataDirectory {
        DataDirectory::new(&self.folder.join("primary.new"), &self.owner)
    }

    /// The log of a server.
    #[must_use]
    pub fn log(&self, role: Role) -> PathBuf {
        self.beside(role, "log")
    }

    /// The folder of the sockets.
    #[must_use]
    pub fn sockets(&self) -> PathBuf {
        if self.in_containers {
            return PathBuf::from("/var/run/postgresql");
        }
        self.folder.join("run")
    }

    /// The copies of `docker/` that the servers read.
    #[must_use]
    pub fn docker(&self) -> PathBuf {
        if self.in_containers {
            return PathBuf::from("/etc/operations");
        }
        self.folder.join("docker")
    }

    /// Where the output of long steps goes.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.state.logs()
    }
}

impl Layout {
    /// Looks which servers of a native demo there are, of which so many replicas are wanted, and which of them is the primary.
    pub(crate) fn find_roles(&mut self, replicas: u8) {
        self.nodes = find_native(&self.folder, &self.owner, replicas);
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
        is_older || replica.is_fenced || replica.is_rewinding
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn a_demo_of_another_user_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (own, other) = (folder.path().join("own"), folder.path().join("other"));
        let layout = Layout::of_its_owner(&own);
        assert!(layout.other_demo(&other).is_none());
        std::fs::create_dir(&other).unwrap();
        std::fs::write(other.join("settings"), "").unwrap();
        let said = layout.other_demo(&other).unwrap().to_string();
        let (own_text, other_text) = (own.display(), other.display());
        assert!(said.contains(&format!(" in {own_text}; the one in {other_text} is another user's: ")), "{said}");
        std::fs::create_dir(&own).unwrap();
        std::fs::write(own.join("settings"), "").unwrap();
        assert!(layout.other_demo(&other).is_none());
        assert!(layout.other_demo(&own).is_none());
    }
}
