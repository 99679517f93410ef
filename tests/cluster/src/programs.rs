//! PostgreSQL's client programs, run against a server: psql, pg_dump, pg_restore, and others by name.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::SUPERUSER;
use crate::environment::Environment;
use crate::error::{Context, Error};
use crate::server::Server;

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    program: String,
    status: std::process::ExitStatus,
    /// What it printed on standard output.
    pub stdout: String,
    /// What it printed on standard error.
    pub stderr: String,
}

impl Finished {
    /// Whether it succeeded.
    pub fn is_success(&self) -> bool {
        self.status.success()
    }

    /// Its standard output if it succeeded, otherwise an error with all that it printed.
    pub fn success(self) -> Result<String, Error> {
        if self.status.success() {
            return Ok(self.stdout);
        }
        Err(Error::Program {
            program: self.program,
            status: self.status.to_string(),
            output: self.stdout + &self.stderr,
        })
    }
}

/// Runs a program to its end.
pub fn finish(mut command: Command) -> Result<Finished, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().context(|| format!("run {program}"))?;
    Ok(Finished {
        program,
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

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
        std::fs::remove_file(&file).context(|| format!("remove {}", file.display()))
    }

    /// Writes a file that the server and the client programs can read, and returns its path.
    pub fn write_file(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        self.write_bytes(name, text.as_bytes())
    }

    /// The same for a file that is no text.
    pub fn write_bytes(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, Error> {
        let path = self.folder().join(name);
        std::fs::write(&path, bytes).context(|| format!("write {}", path.display()))?;
        Environment::get()?.hand_over(&path)?;
        Ok(path)
    }
}
