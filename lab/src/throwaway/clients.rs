//! PostgreSQL's client programs, run against a server: psql, pg_dump, pg_restore, and others by name.

use std::path::PathBuf;
use std::process::Command;

use crate::SUPERUSER;
use crate::error::{Context, Error};
use crate::server::{Finished, finish};
use crate::throwaway::Server;
use crate::throwaway::environment::Environment;

impl Server {
    /// A client program of PostgreSQL, its environment set up to reach `database` of this server as the superuser.
    pub fn client_program(&self, program: &str, database: &str) -> Result<Command, Error> {
        let mut command = Environment::get()?.program(program);
        command
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.port().to_string())
            .env("PGUSER", SUPERUSER)
            .env("PGPASSWORD", self.password())
            .env("PGDATABASE", database);
        Ok(command)
    }

    /// Runs a script through psql, which stops at the first error and shows each error in full.
    pub fn psql(&self, database: &str, script: &str) -> Result<Finished, Error> {
        let mut command = self.client_program("psql", database)?;
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]).args(["-v", "VERBOSITY=verbose", "-c", script]);
        finish(command)
    }

    /// Copies a whole database by pg_dump and pg_restore into a database of another server (or of this one),
    /// which it creates.
    pub fn copy_database(&self, database: &str, target: &Server, target_database: &str) -> Result<(), Error> {
        let file = self.folder().join(format!("{target_database}.dump"));
        let mut dump = self.client_program("pg_dump", database)?;
        dump.arg("--format=custom").arg("--file").arg(&file);
        finish(dump)?.success()?;
        target.create_database(target_database)?;
        // The file lies in this server's folder, which the user of both servers can enter.
        let mut restore = target.client_program("pg_restore", target_database)?;
        restore.args(["--exit-on-error", "--dbname", target_database]).arg(&file);
        finish(restore)?.success()?;
        let removed = Environment::get()?.owner.files(|| std::fs::remove_file(&file));
        removed.context(|| format!("remove {}", file.display()))
    }

    /// Writes a file that the server and the client programs can read, and returns its path.
    pub fn write_file(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        self.write_bytes(name, text.as_bytes())
    }

    /// The same for a file that is no text.
    pub fn write_bytes(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, Error> {
        let path = self.folder().join(name);
        let written = Environment::get()?.owner.write(&path, bytes, false);
        written.context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}
