//! Where the demo is kept, and who runs its servers.

use std::path::{Path, PathBuf};

use crate::compose::SERVERS_FOLDER;
use crate::demo::nodes::{LAB_FOLDER, Node, beside};
use crate::demo::roles::{DataState, FENCED, REWINDING, swapped};
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
    /// Whether the server that was made as the replica is the primary now. Folders, logs and ports stay with the servers.
    pub swapped: bool,
    /// The servers where they are in containers, the primary first; none natively.
    pub nodes: Vec<Node>,
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
        if !self.nodes.is_empty() || is_named("STATE_DIR") || is_named("DEMO_DIR") {
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
        Ok(Self { state, folder: folder.to_owned(), owner, swapped: false, nodes })
    }

    fn with(state: State, folder: PathBuf) -> Self {
        let mut layout = Self { folder, owner: state.owner.clone(), state, swapped: false, nodes: Vec::new() };
        layout.find_roles();
        layout
    }

    /// The data of one of the two servers.
    #[must_use]
    pub fn data(&self, role: Role) -> DataDirectory {
        if let Some(node) = self.node(role) {
            return DataDirectory::new(&node.data, &self.owner);
        }
        DataDirectory::new(&self.folder.join(self.initial_role(role).to_string()), &self.owner)
    }

    /// What a server was made as; also, what the server that was made so is now.
    #[must_use]
    pub fn initial_role(&self, role: Role) -> Role {
        match (self.swapped, role) {
            (false, role) => role,
            (true, Role::Primary) => Role::Replica,
            (true, Role::Replica) => Role::Primary,
        }
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
        self.nodes.is_empty().then_some(self.folder.as_path())
    }

    /// The file of a server beside its data that ends with this.
    pub(crate) fn beside(&self, role: Role, ending: &str) -> PathBuf {
        match self.node(role) {
            Some(node) => beside(&node.data, ending),
            None => self.folder.join(format!("{}.{ending}", self.initial_role(role))),
        }
    }

    /// A file in a volume, as the other containers name it.
    pub(crate) fn for_others(&self, file: &Path) -> PathBuf {
        let own = self.nodes.iter().find_map(|node| {
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

    /// The log of one of the two servers.
    #[must_use]
    pub fn log(&self, role: Role) -> PathBuf {
        self.beside(role, "log")
    }

    /// The folder of the sockets.
    #[must_use]
    pub fn sockets(&self) -> PathBuf {
        if !self.nodes.is_empty() {
            return PathBuf::from("/var/run/postgresql");
        }
        self.folder.join("run")
    }

    /// The copies of `docker/` that the servers read.
    #[must_use]
    pub fn docker(&self) -> PathBuf {
        if !self.nodes.is_empty() {
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
    /// Looks which of the two servers is the primary.
    pub(crate) fn find_roles(&mut self) {
        self.swapped = false;
        let [first, second] = [Role::Primary, Role::Replica].map(|role| self.state_of(role));
        self.swapped = swapped(first, second);
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
