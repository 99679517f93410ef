//! An old primary's data, brought to where the new primary's history left them: by pg_rewind, else by a new clone.

use std::process::Command;

use crate::demo::{Demo, Programs};
use crate::error::{Context, Error};
use crate::role::Role;
use crate::server::{Finished, finish};

/// How the data were brought back.
pub enum Rewind {
    /// pg_rewind has done it; what it said.
    Rewound(String),
    /// It could not, and why: a new clone is needed.
    Clone(String),
}

impl Demo {
    /// Has pg_rewind take back what the replica's data have and the primary's history has not.
    pub(super) fn rewind(&self, programs: &Programs) -> Result<Rewind, Error> {
        // A source that was promoted a moment ago says so only after a checkpoint.
        self.ask_primary("checkpoint")?;
        let data = self.layout.data(Role::Replica);
        let mut rewind = programs.command("pg_rewind");
        // Names come from a file that the server's user can write, so they go into no connection string.
        rewind.arg("--target-pgdata").arg(data.path()).arg("--source-server=host=127.0.0.1");
        rewind
            .env("PGPORT", self.port(Role::Primary).to_string())
            .env("PGUSER", &self.settings.user)
            .env("PGDATABASE", &self.settings.database)
            .env("PGPASSWORD", &self.settings.password);
        let finished = self.run_as_owner(rewind)?;
        let said = finished.stderr.clone() + &finished.stdout;
        let lines = said.lines().filter_map(|line| line.strip_prefix("pg_rewind: "));
        if finished.is_success() {
            let diverged = lines.filter(|line| line.contains("diverged") || line.contains("no rewind required"));
            return Ok(Rewind::Rewound(diverged.collect::<Vec<_>>().join("; ")));
        }
        let error = lines.rev().find(|line| line.contains("error:") || line.contains("fatal:"));
        Ok(Rewind::Clone(error.unwrap_or("pg_rewind failed").to_owned()))
    }

    /// A program of PostgreSQL, run as the server's user.
    pub(super) fn run_as_owner(&self, mut command: Command) -> Result<Finished, Error> {
        self.layout.owner.runs(&mut command);
        finish(command)
    }

    /// From now on the data start as a replica.
    pub(super) fn make_standby_signal(&self) -> Result<(), Error> {
        let signal = self.layout.data(Role::Replica).path().join("standby.signal");
        let made = self.layout.owner.files(|| std::fs::File::create(&signal).map(drop));
        made.context(|| format!("make {}", signal.display()))
    }
}
