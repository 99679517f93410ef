//! The native demo: start, stop, look, connect.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;

use clap::Args;
use operations_lab::Error;
use operations_lab::demo::{self, Health};
use operations_lab::role::Role;
use operations_lab::say::warn;
use operations_lab::server::{self, LIMIT};

use super::INTERRUPTED;

/// Where the demo is; common to all commands.
#[derive(Args)]
pub struct Folder {
    /// The folder of the native demo [default: $STATE_DIR/demo, or .state/demo]
    // Empty is as good as not set, in the environment; clap takes no empty PathBuf.
    #[arg(long = "demo", value_name = "FOLDER", env = "DEMO_DIR", value_parser = clap::value_parser!(OsString))]
    folder: Option<OsString>,
}

impl Folder {
    /// The folder, if one was named.
    pub fn get(&self) -> Option<&Path> {
        self.folder.as_deref().filter(|folder| !folder.is_empty()).map(Path::new)
    }
}

/// Starts the primary and its replicas, waits until they live, and says how to connect.
///
/// What runs already is left alone. The first start makes the data; what it needs (PostgreSQL 16, or the version that PG names) it gets itself.
///
/// From the environment: PRIMARY_PORT and REPLICA_PORT (5432, 5433), POSTGRES_USER, POSTGRES_DB, REPLICATION_USER,
/// POSTGRES_PASSWORD and REPLICATION_PASSWORD (or the same with _FILE for a file that holds it), OPERATIONS_TEST_ROWS (100000),
/// REPLICAS (1 to 9; the further ones listen on REPLICA_PORT + 1 and so on), CASCADE (off, or on: these follow the first replica),
/// LAB_PORT (8080; off serves no page), WAL_LEVEL (replica, or logical for logical slots), SYNC (off, or on: a commit waits for the replica), PG_CONFIG (the PostgreSQL to use), REPLICA_RECLONE=1 (throw away a replica
/// of another primary; `promoted`: also one that was promoted, with the rows that only it has), STATE_DIR, SERVER_USER.
#[derive(Args)]
pub struct Demo {
    #[command(flatten)]
    folder: Folder,
}

impl Demo {
    /// Runs the command; returns its exit code.
    pub fn run(&self) -> Result<u8, Error> {
        demo::check_before_the_folder_is_made(self.folder.get())?;
        // What is half made is useless; a server that was already running, or is started for good, is left alone.
        let half_made = demo::Layout::find(self.folder.get())?.half_made();
        let interrupted = ctrlc::set_handler(move || {
            if let Err(error) = half_made.stop(server::Stop::Immediate, LIMIT) {
                warn(&format!("error: {error}"));
            }
            std::process::exit(i32::from(INTERRUPTED));
        });
        interrupted.map_err(|error| Error::Environment(format!("signals cannot be caught: {error}")))?;
        demo::start(self.folder.get()).map(|()| 0)
    }
}

/// Stops all servers, the receipt's client and the page; the data stay.
#[derive(Args)]
pub struct Stop {
    #[command(flatten)]
    folder: Folder,
}

impl Stop {
    /// Runs the command; returns its exit code.
    pub fn run(&self) -> Result<u8, Error> {
        demo::stop(self.folder.get()).map(|()| 0)
    }
}

/// Stops all servers and deletes the demo's data, with the rows that a rejoin kept aside. What was downloaded and built stays.
#[derive(Args)]
pub struct Clean {
    #[command(flatten)]
    folder: Folder,
}

impl Clean {
    /// Runs the command; returns its exit code.
    pub fn run(&self) -> Result<u8, Error> {
        demo::clean(self.folder.get()).map(|()| 0)
    }
}

/// Shows the state of the demo on one screen: operations, jobs, view, replica, partitions.
#[derive(Args)]
#[command(after_help = "Exit codes:
  0   all is well
  1   something is not, or could not be looked at
  3   the demo is stopped, or there is none
  64  the command line is wrong")]
pub struct Status {
    #[command(flatten)]
    folder: Folder,
}

impl Status {
    /// Runs the command; returns its exit code.
    pub fn run(&self) -> Result<u8, Error> {
        demo::status(self.folder.get()).map(|health| match health {
            Health::Well => 0,
            Health::Unwell => 1,
            Health::Stopped => 3,
        })
    }
}

/// Opens a session on the primary, from a terminal or from a pipe.
#[derive(Args)]
pub struct Psql {
    #[command(flatten)]
    folder: Folder,
}

impl Psql {
    /// Becomes psql; returns only if that fails.
    pub fn run(&self) -> Result<u8, Error> {
        let demo = demo::Demo::as_started(self.folder.get())?;
        become_psql(&demo, Role::Primary)
    }
}

/// Opens a session on a replica, from a terminal or from a pipe.
#[derive(Args)]
pub struct PsqlReplica {
    /// The port of the replica, as `status` lists them [default: the first]
    #[arg(long, value_name = "PORT")]
    port: Option<String>,

    #[command(flatten)]
    folder: Folder,
}

impl PsqlReplica {
    /// Becomes psql; returns only if that fails.
    pub fn run(&self) -> Result<u8, Error> {
        let demo = demo::Demo::as_started(self.folder.get())?;
        become_psql(&demo.replica_on(self.port.as_deref())?, Role::Replica)
    }
}

fn become_psql(demo: &demo::Demo, role: Role) -> Result<u8, Error> {
    demo.warn_of_other_port(role);
    let source = demo.psql(role)?.exec();
    Err(Error::Io { what: "run psql".to_owned(), source })
}
