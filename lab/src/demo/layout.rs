//! Where the demo is kept, and who runs its servers.

use std::path::{Path, PathBuf};

use crate::checkout;
use crate::error::Error;
use crate::role::Role;
use crate::server::{DataDirectory, Owner};

/// Folders of the demo.
#[derive(Clone, Debug)]
pub struct Layout {
    /// What is unpacked, built for ourselves or logged. The server's user cannot change it.
    pub state: PathBuf,
    /// The demo's data and settings. Everything in it belongs to the server's user.
    pub folder: PathBuf,
    /// Who runs the servers.
    pub owner: Owner,
    /// Whether the server that was made as the replica is the primary now. Folders, logs and ports stay with the servers.
    pub swapped: bool,
}

impl Layout {
    /// The demo in `folder`, by default in `demo` of `STATE_DIR`, which is by default `.state` of the checkout. Root lends the
    /// servers to `SERVER_USER`, by default `postgres`.
    pub fn find(folder: Option<&Path>) -> Result<Self, Error> {
        let state = match std::env::var_os("STATE_DIR").filter(|state| !state.is_empty()) {
            Some(state) => absolute(Path::new(&state)),
            None => checkout().join(".state"),
        };
        let folder = folder.map_or_else(|| state.join("demo"), absolute);
        let mut layout = Self { state, folder, owner: server_user()?, swapped: false };
        layout.find_roles();
        Ok(layout)
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
        self.state.join("logs")
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn server_user() -> Result<Owner, Error> {
    if !rustix::process::geteuid().is_root() {
        return Ok(Owner::current());
    }
    let name =
        std::env::var("SERVER_USER").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "postgres".to_owned());
    match Owner::named(&name)? {
        Some(owner) if owner.uid() != 0 => Ok(owner),
        Some(_) => Err(Error::ServerUser { name, why: "is root, and PostgreSQL refuses to run as root" }),
        None => Err(Error::ServerUser { name, why: "does not exist" }),
    }
}
