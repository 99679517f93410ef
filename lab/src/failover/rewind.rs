//! An old primary's data, brought to where the new primary's history left them: by pg_rewind, else by a new clone.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::demo::{DataLock, Demo, Programs, REWINDING, is_noted};
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
    /// Has pg_rewind take back what the replica's data have and the primary's history has not. The note that it was begun is removed
    /// when the data start as a replica again. Whatever ends this before, they look like those of the new primary: for as
    /// long as the note is there nobody opens them, and the next start makes a new clone.
    pub(crate) fn rewind(&self, programs: &Programs) -> Result<Rewind, Error> {
        // A source that was promoted a moment ago says so only after a checkpoint.
        self.ask_primary("checkpoint")?;
        let data = self.layout.data(Role::Replica);
        let mut rewind = programs.command("pg_rewind");
        // Names come from a file that the server's user can write, so they go into no connection string.
        rewind.arg("--target-pgdata").arg(data.path()).arg("--source-server=application_name=operations-lab");
        if self.layout.in_containers {
            rewind.arg("--config-file").arg(self.layout.docker().join("postgresql.conf"));
        }
        rewind
            .env("PGHOST", self.layout.node(Role::Primary).map_or("127.0.0.1", |node| &node.host))
            .env("PGPORT", self.port(Role::Primary).to_string())
            .env("PGUSER", &self.settings.user)
            .env("PGDATABASE", &self.settings.database)
            .env("PGPASSWORD", &self.settings.password);
        // Who would start a server on these data, or clone them anew, ends what is still at work on them.
        let lock = DataLock::take(&self.layout, Role::Replica, &data)?;
        let note = self.layout.rewinding(Role::Replica);
        let text = b"pg_rewind was at work on these data: they are cloned anew, unless it ends well.\n";
        let noted = self.layout.owner.write(&note, text, false).and_then(|()| self.sync(&note));
        noted.context(|| format!("write {}", note.display()))?;
        self.layout.owner.runs(&mut rewind);
        rewind.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = lock.spawn(&mut rewind)?.wait_with_output().context(|| "run pg_rewind".to_owned())?;
        let finished = Finished::of("pg_rewind", output);
        drop(lock);
        let said = finished.stderr.clone() + &finished.stdout;
        let lines = said.lines().filter_map(|line| line.strip_prefix("pg_rewind: "));
        if finished.is_success() {
            self.make_standby_signal()?;
            let removed = self.layout.owner.files(|| std::fs::remove_file(&note)).and_then(|()| self.sync(&note));
            removed.context(|| format!("remove {}", note.display()))?;
            let diverged = lines.filter(|line| line.contains("diverged") || line.contains("no rewind required"));
            return Ok(Rewind::Rewound(diverged.collect::<Vec<_>>().join("; ")));
        }
        let error = lines.rev().find(|line| line.contains("error:") || line.contains("fatal:"));
        Ok(Rewind::Clone(error.unwrap_or("pg_rewind failed").to_owned()))
    }

    /// Whether a pg_rewind on the replica's data was ended before it was done. The rows that only they had were kept before it.
    pub(crate) fn is_half_rewound(&self) -> bool {
        is_noted(self.layout.data(Role::Replica).path(), REWINDING, &self.layout.owner)
    }

    /// A program of PostgreSQL, run as the server's user.
    pub(super) fn run_as_owner(&self, mut command: Command) -> Result<Finished, Error> {
        self.layout.owner.runs(&mut command);
        finish(command)
    }

    /// From now on the data start as a replica.
    fn make_standby_signal(&self) -> Result<(), Error> {
        let signal = self.layout.data(Role::Replica).path().join("standby.signal");
        let made = self.layout.owner.files(|| File::create(&signal).map(drop)).and_then(|()| self.sync(&signal));
        made.context(|| format!("make {}", signal.display()))
    }

    /// Brings a file, if it is there, and its place in its folder to the disk.
    pub(super) fn sync(&self, file: &Path) -> io::Result<()> {
        self.layout.owner.files(|| {
            match File::open(file) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => opened?.sync_all()?,
            }
            file.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
        })
    }
}
