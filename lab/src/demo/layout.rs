//! Where the demo is kept, and who runs its servers.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::role::Role;
use crate::server::{DataDirectory, Owner};
use crate::tools::State;
use crate::tools::state::absolute;

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
}

impl Layout {
    /// The demo in `folder`, by default in `demo` of the state folder.
    pub fn find(folder: Option<&Path>) -> Result<Self, Error> {
        let state = State::find()?;
        let folder = folder.map_or_else(|| state.folder.join("demo"), absolute);
        Ok(Self::with(state, folder))
    }

    /// The demo in a folder, for who runs its servers and builds nothing: there is nothing for it in the state folder.
    pub(crate) fn of_its_owner(folder: &Path) -> Self {
        let folder = absolute(folder);
        Self::with(State { folder: folder.clone(), owner: Owner::current() }, folder)
    }

    fn with(state: State, folder: PathBuf) -> Self {
        let mut layout = Self { folder, owner: state.owner.clone(), state, swapped: false };
        layout.find_roles();
        layout
    }

    /// The data of one of the two servers.
    #[must_use]
    pub fn data(&self, role: Role) -> DataDirectory {
        DataDirectory::new(&self.folder.join(self.seat(role).to_string()), &self.owner)
    }

    /// What a server was made as; also, what the server that was made so is now.
    #[must_use]
    pub fn seat(&self, role: Role) -> Role {
        match (self.swapped, role) {
            (false, role) => role,
            (true, Role::Primary) => Role::Replica,
            (true, Role::Replica) => Role::Primary,
        }
    }

    /// Stands for a server that was fenced off and has not followed the new primary yet.
    #[must_use]
    pub fn fenced(&self, role: Role) -> PathBuf {
        self.folder.join(format!("{}.fenced", self.seat(role)))
    }

    /// The primary's data while they are made.
    #[must_use]
    pub fn half_made(&self) -> DataDirectory {
        DataDirectory::new(&self.folder.join("primary.new"), &self.owner)
    }

    /// The log of one of the two servers.
    #[must_use]
    pub fn log(&self, role: Role) -> PathBuf {
        self.folder.join(format!("{}.log", self.seat(role)))
    }

    /// The folder of the sockets.
    #[must_use]
    pub fn sockets(&self) -> PathBuf {
        self.folder.join("run")
    }

    /// The copies of `docker/` that the servers read.
    #[must_use]
    pub fn docker(&self) -> PathBuf {
        self.folder.join("docker")
    }

    /// Where the output of long steps goes.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.state.logs()
    }
}
