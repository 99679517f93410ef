//! What the environment gives: the programs to run, the folder to work in, and who owns it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::error::{Context, Error};
use crate::server::{Owner, clean, finish};
use crate::throwaway::citus::CITUS_PG_CONFIG;
use crate::throwaway::leftovers;
use crate::tools::SCHEMA;

/// What was read, or why it could not be.
type Cell = OnceLock<Result<Environment, String>>;

/// Where the programs are and where servers are made.
#[derive(Debug)]
pub(crate) struct Environment {
    pg_config: PathBuf,
    /// What the names of its templates begin with.
    pub kind: &'static str,
    /// The folder of `postgres`, `initdb`, `psql` and the others.
    pub bindir: PathBuf,
    /// The folder that holds the servers, the template and the ports in use.
    pub scratch: PathBuf,
    /// Who owns `scratch`: the server runs as this user.
    pub owner: Owner,
}

impl Environment {
    /// Reads the environment once a process.
    pub fn get() -> Result<&'static Self, Error> {
        static CELL: Cell = Cell::new();
        Self::once(&CELL, || {
            let pg_config = variable("PG_CONFIG", "the pg_config of the PostgreSQL to test")?;
            Self::read(pg_config, "PG_CONFIG", "")
        })
    }

    /// The same with the programs of the PostgreSQL that has Citus.
    pub fn citus() -> Result<&'static Self, Error> {
        static CELL: Cell = Cell::new();
        Self::once(&CELL, || {
            let pg_config = variable(CITUS_PG_CONFIG, "the pg_config of a PostgreSQL with Citus")?;
            Self::read(pg_config, CITUS_PG_CONFIG, "citus-")
        })
    }

    fn once(cell: &'static Cell, read: impl FnOnce() -> Result<Self, Error>) -> Result<&'static Self, Error> {
        cell.get_or_init(|| read().map_err(|error| error.to_string()))
            .as_ref()
            .map_err(|message| Error::Environment(message.clone()))
    }

    fn read(pg_config: PathBuf, given_by: &str, kind: &'static str) -> Result<Self, Error> {
        let bindir = ask(&pg_config, "--bindir")?;
        if !bindir.join("postgres").exists() {
            return Err(Error::Environment(format!(
                "{} --bindir gives \"{}\", which holds no postgres: set {given_by} to the pg_config of a whole server",
                pg_config.display(),
                bindir.display(),
            )));
        }
        let scratch = variable("OPERATIONS_TEST_DIR", "a folder that belongs to the user who runs the server")?;
        // Without links, as the kernel names the folders that processes work in.
        let scratch =
            scratch.canonicalize().context(|| format!("look at OPERATIONS_TEST_DIR {}", scratch.display()))?;
        let owner =
            std::fs::metadata(&scratch).context(|| format!("look at OPERATIONS_TEST_DIR {}", scratch.display()))?;
        let owner = Owner::by_id(owner.uid(), owner.gid());
        if owner.uid() == 0 {
            return Err(Error::Environment(format!(
                "OPERATIONS_TEST_DIR {} belongs to root, and PostgreSQL refuses to run as root: \
                 chown it to the user whom PG_CONFIG's programs run as",
                scratch.display(),
            )));
        }
        leftovers::tidy_up(&scratch, &owner)?;
        Ok(Self { pg_config, kind, bindir, scratch, owner })
    }

    /// The pg_config.
    pub fn pg_config(&self) -> &Path {
        &self.pg_config
    }

    /// The number of PostgreSQL's major version, as its programs say it.
    pub fn major(&self) -> Result<String, Error> {
        let mut version = self.program("postgres");
        version.arg("--version");
        let version = finish(version)?.success()?;
        let number = version.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
        Ok(number.unwrap_or_default().chars().take_while(char::is_ascii_digit).collect())
    }

    /// The files of the extension, as they are installed.
    pub fn extension(&self) -> Result<[PathBuf; 2], Error> {
        let schema = Path::new(SCHEMA).file_name().unwrap_or_default();
        Ok([
            ask(&self.pg_config, "--pkglibdir")?.join("operations_ext.so"),
            ask(&self.pg_config, "--sharedir")?.join("extension").join(schema),
        ])
    }

    /// Makes one of PostgreSQL's programs ready to run: nothing of the caller's `PG*` variables reaches it, messages
    /// are in English, and it starts in a folder that its user can enter.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bindir.join(name));
        // Those of PG_CONFIG are stand-ins that see to this.
        if !self.kind.is_empty() {
            self.owner.runs(&mut command);
        }
        self.clean(&mut command);
        command
    }

    /// What [`Self::program`] does, for a program of ours.
    pub fn clean(&self, command: &mut Command) {
        clean(command);
        command.env("LC_ALL", "C").current_dir(&self.scratch);
    }
}

/// A folder that a pg_config names.
fn ask(pg_config: &Path, option: &str) -> Result<PathBuf, Error> {
    let mut command = Command::new(pg_config);
    command.arg(option);
    Ok(PathBuf::from(finish(command)?.success()?.trim()))
}

/// A path from an environment variable that must be set.
fn variable(name: &str, what: &str) -> Result<PathBuf, Error> {
    match std::env::var_os(name) {
        Some(path) if !path.is_empty() => Ok(PathBuf::from(path)),
        _ => Err(Error::Environment(format!("{name} is not set: set it to {what}, or run the tests with `make test`"))),
    }
}

/// A file of the checkout, by its path from the top.
pub fn repository(path: &str) -> PathBuf {
    crate::checkout().join(path)
}
