//! `docker/init_replica/replica-entrypoint.sh`, which clones and starts replicas in every way of running them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::server::Owner;

/// Where the script is, from the top of the checkout.
pub const FILE: &str = "docker/init_replica/replica-entrypoint.sh";

/// What the script is told.
#[derive(Clone, Debug)]
pub struct Entrypoint {
    /// The script, where the server's user can read it.
    pub script: PathBuf,
    /// The port of the primary on 127.0.0.1.
    pub primary_port: u16,
    /// The role to log in as, and its password.
    pub user: String,
    /// The password of that role.
    pub password: String,
    /// The replica's slot on the primary.
    pub slot: String,
    /// How long to wait for the primary.
    pub wait_seconds: u32,
}

impl Entrypoint {
    /// Makes `command`, which runs bash, run the script for a data directory; the caller adds the server's command as
    /// arguments.
    pub fn prepare(&self, command: &mut Command, owner: &Owner, bindir: &Path, data: &Path) {
        let path = std::env::var("PATH").unwrap_or_default();
        owner
            .runs(command)
            .arg(&self.script)
            .env("PATH", format!("{}:{path}", bindir.display()))
            .env("PGDATA", data)
            .env("PRIMARY_HOST", "127.0.0.1")
            .env("PRIMARY_PORT", self.primary_port.to_string())
            .env("REPLICATION_USER", &self.user)
            .env("REPLICATION_PASSWORD", &self.password)
            .env_remove("REPLICATION_PASSWORD_FILE")
            .env("REPLICATION_SLOT", &self.slot)
            .env("WAIT_SECONDS", self.wait_seconds.to_string());
    }
}
