//! Why the demo cannot be started, stopped or asked.

use std::path::PathBuf;

use crate::role::Role;
use crate::tools::Major;

/// Why the demo cannot be started, stopped or asked.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Another command holds the demo's lock.
    #[error("another make is at work on this demo: wait until it is done")]
    Locked,

    /// Another command has removed the demo while its lock was waited for.
    #[error("another make has removed this demo: try again")]
    LockGone,

    /// A process holds the lock of a server's data.
    #[error("another server, or what is left of one that was killed, is at work in {}: end it (fuser {})",
        data.display(), lock.display())]
    DataInUse {
        /// The data directory.
        data: PathBuf,
        /// The file that is locked.
        lock: PathBuf,
    },

    /// The demo's data are of another PostgreSQL.
    #[error(
        "the demo in {} is of PostgreSQL {found}, and this is for {wanted}: make demo PG={found}, or give another folder in DEMO_DIR",
        folder.display()
    )]
    OtherMajor {
        /// The demo's folder.
        folder: PathBuf,
        /// The major version of its data.
        found: u16,
        /// The one that is asked for.
        wanted: Major,
    },

    /// Somebody listens where a server should.
    #[error(
        "port {port} of 127.0.0.1, for {server}, is taken: stop what listens there, or move the demo: \
             make demo {variable}={free}{typed}"
    )]
    PortTaken {
        /// The port.
        port: u16,
        /// For which server, or by which setting.
        server: String,
        /// The setting that moves it.
        variable: &'static str,
        /// A port that is free.
        free: u16,
        /// What else was typed, to be typed again.
        typed: String,
    },

    /// A server runs, and on another port than is asked for.
    #[error(
        "the {server} already runs on port {port}: to move it, make stop, then make demo {variable}={asked}; \
             to leave it there, do not set {variable}"
    )]
    RunsElsewhere {
        /// The server.
        server: Role,
        /// Its port.
        port: u16,
        /// The setting.
        variable: &'static str,
        /// What was given.
        asked: u16,
    },

    /// A server that is needed does not run.
    #[error("the {server} is not running: make demo starts it")]
    NotRunning {
        /// The server.
        server: Role,
    },

    /// This user has no demo, and another one has.
    #[error(
        "there is no demo of the user {user} in {}; the one in {} is another user's: run this as that user, or set DEMO_DIR",
        folder.display(), other.display()
    )]
    AnotherUsers {
        /// Who asks.
        user: String,
        /// Where that user's demo would be.
        folder: PathBuf,
        /// Where the other one is.
        other: PathBuf,
    },

    /// A demo runs whose programs this user does not find.
    #[error(
        "the demo's PostgreSQL is not found: the user {user} looks for it in {}; run this as the user who made the demo (root, if it \
             was root), or name its pg_config in PG_CONFIG",
        folder.display()
    )]
    NoPrograms {
        /// Who asks.
        user: String,
        /// The state folder of that user.
        folder: PathBuf,
    },

    /// A drill has broken the demo, and heals it.
    #[error("a drill is at work on this demo{name}: wait until it is done, or end it with Ctrl-C")]
    Drilled {
        /// Which, if that is known: ` (replay-paused)`.
        name: String,
    },

    /// No server runs, for it was stopped.
    #[error("the demo is stopped: make demo starts it")]
    Stopped,

    /// `initdb` failed.
    #[error("initdb failed: {why} (all of it: {})", log.display())]
    Initdb {
        /// The first error.
        why: String,
        /// Its whole output.
        log: PathBuf,
    },

    /// The demo's database could not be made.
    #[error("the database {name} could not be made: {why}")]
    Database {
        /// Its name.
        name: String,
        /// What PostgreSQL said.
        why: String,
    },

    /// A file of `docker/init_main` failed.
    #[error("docker/init_main/{file} failed: {why} (all of it: {})", log.display())]
    InitFile {
        /// The file.
        file: String,
        /// The first error.
        why: String,
        /// The whole output.
        log: PathBuf,
    },

    /// A server did not start.
    #[error("the {server} did not start: {why} (all of it: {})", log.display())]
    NotStarted {
        /// The server.
        server: Role,
        /// The last error of its log.
        why: String,
        /// Its log.
        log: PathBuf,
    },

    /// The replica's entrypoint failed.
    #[error("the replica did not start: see the line above, or all of it in {}", log.display())]
    ReplicaNotStarted {
        /// Its log.
        log: PathBuf,
    },

    /// The replica is a primary of its own.
    #[error(
        "the replica was promoted and is a primary of its own now, so it is left alone; \
             make rejoin makes the server on the older timeline a replica of the other one, and \
             REPLICA_RECLONE=promoted make demo throws the promoted one away, with the rows that only it has"
    )]
    Promoted,

    /// The servers run, and something is still missing.
    #[error("after {seconds} s {missing} (logs: {})", files(logs))]
    NotLive {
        /// How long it was waited for.
        seconds: u64,
        /// What is missing.
        missing: String,
        /// The logs of all servers.
        logs: Vec<PathBuf>,
    },

    /// Fewer replicas are wanted, and one of those that would go is or was the primary.
    #[error("REPLICAS={wanted} would remove the server on port {port}, which {why}: {next}")]
    KeepsWrites {
        /// How many replicas are wanted.
        wanted: u8,
        /// The port of the server.
        port: u16,
        /// What it is.
        why: &'static str,
        /// What to do.
        next: String,
    },

    /// Some replicas could not be led to whom they are to follow.
    #[error("not all replicas follow whom they are to follow, and make demo tries again: {failed}")]
    NotAllFollow {
        /// Which, and why.
        failed: String,
    },

    /// A replica was asked for by a port that is none's.
    #[error("N={given} is not the port of a replica: give one of {ports}")]
    NoSuchReplica {
        /// What was given.
        given: String,
        /// Those that there are.
        ports: String,
    },

    /// A replica that was asked for by its port does not run.
    #[error("the replica on port {port} is not running: make demo starts it")]
    ReplicaNotRunning {
        /// Its port.
        port: u16,
    },

    /// A server does not stop, not even at once.
    #[error("the {server} does not stop: see {}", log.display())]
    DoesNotStop {
        /// The server.
        server: Role,
        /// Its log.
        log: PathBuf,
    },

    /// A failover has come in between.
    #[error("nothing was done to {}: it is no replica (any more)", data.display())]
    NoReplica {
        /// Its data.
        data: PathBuf,
    },

    /// A server runs, and does not answer.
    #[error("the {server} does not answer: {why}")]
    NoAnswer {
        /// The server.
        server: Role,
        /// What was said.
        why: String,
    },
}

fn files(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}
