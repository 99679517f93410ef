//! The one error of this crate: what was tried, why it did not work and, where somebody can act, what to do.

use std::path::PathBuf;
use std::time::Duration;

use crate::role::Role;

/// Why a server could not be named, made, driven or asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A connection string that is not one, or not one for this program.
    #[error("\"{url}\" names no server to ask: {why}")]
    Url {
        /// The string, without what may be a password.
        url: String,
        /// What is wrong with it.
        why: String,
    },

    /// A connection string with a password.
    #[error(
        "no password may be in a URL or connection string (\"{url}\"), for it would show in the list of processes: \
             set PGPASSWORD or PGPASSFILE"
    )]
    PasswordInUrl {
        /// The string, without the password.
        url: String,
    },

    /// An environment variable is missing or names something unusable.
    #[error("{0}")]
    Environment(String),

    /// The operating system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the operating system said.
        source: std::io::Error,
    },

    /// A program ended with a failure.
    #[error("{program} ended with {status}:\n{output}")]
    Program {
        /// The program's name.
        program: String,
        /// How it ended.
        status: String,
        /// What it printed, or the end of its log.
        output: String,
    },

    /// PostgreSQL refused a statement or a connection.
    #[error("{}", postgres_text(.0))]
    Postgres(#[from] postgres::Error),

    /// PostgreSQL refused a statement that this crate sent.
    #[error("{}\nin: {statement}", postgres_text(.source))]
    Statement {
        /// The statement.
        statement: String,
        /// What PostgreSQL said.
        source: postgres::Error,
    },

    /// Something did not come about in time.
    #[error("waited {limit:?} for {what}; last seen: {last}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
        /// The state that was seen last.
        last: String,
    },

    /// Root lends the servers to a user who cannot run them.
    #[error("the user {name} {why}: name another one in SERVER_USER, or run this as an ordinary user")]
    ServerUser {
        /// The user's name.
        name: String,
        /// What is wrong with the user.
        why: &'static str,
    },

    /// A setting that is no port.
    #[error("{name}={value} is no port: give a number from 1024 to 65535")]
    NoPort {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: String,
    },

    /// A setting that is no number of rows.
    #[error("{name}={value} is no number of rows: give a whole number from 0 to {most}")]
    NoRows {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: String,
        /// The largest number.
        most: u64,
    },

    /// A `wal_level` that is none, or with which no replica can follow.
    #[error("WAL_LEVEL={value}: give replica or logical")]
    NoWalLevel {
        /// What was given.
        value: String,
    },

    /// A setting that is on or off, and is neither.
    #[error("{name}={value} is neither on nor off")]
    NoSwitch {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: String,
    },

    /// Both servers would listen on one port.
    #[error("PRIMARY_PORT and REPLICA_PORT are both {port}: make them differ")]
    SamePorts {
        /// The port.
        port: u16,
    },

    /// A setting with a line break.
    #[error("{name} must be one line")]
    NotOneLine {
        /// The setting.
        name: &'static str,
    },

    /// A password is given by itself and by a file.
    #[error("both {name} and {name}_FILE are set: leave one of them empty")]
    GivenTwice {
        /// The setting.
        name: &'static str,
    },

    /// The file that should hold a password.
    #[error("{name}_FILE names {}, which cannot be read", file.display())]
    PasswordFile {
        /// The setting.
        name: &'static str,
        /// The file.
        file: PathBuf,
    },

    /// A demo cannot be kept there.
    #[error("DEMO_DIR={} cannot be used: it must be at most 80 characters long, writable, and reachable by the user {owner}",
        folder.display())]
    UnusableFolder {
        /// The folder.
        folder: PathBuf,
        /// The user who runs the servers.
        owner: String,
    },

    /// The folder holds something else.
    #[error("DEMO_DIR={} holds files but no demo: name a new or an empty folder", folder.display())]
    ForeignFolder {
        /// The folder.
        folder: PathBuf,
    },

    /// A folder of the demo that was put there by somebody else.
    #[error("{} does not belong to the user {owner}, who runs the server: remove it, or name another folder",
        folder.display())]
    NotOwned {
        /// The folder.
        folder: PathBuf,
        /// The user who runs the servers.
        owner: String,
    },

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

    /// A setting that does not fit the data.
    #[error("{name}={given}, but the demo's data were made with {saved}: leave it, or run make clean first")]
    OtherData {
        /// The setting.
        name: &'static str,
        /// What was given.
        given: String,
        /// What the data were made with.
        saved: String,
    },

    /// The servers refuse the password.
    #[error("the demo's data were made with another password: set POSTGRES_PASSWORD to it, or run make clean first")]
    OtherPassword,

    /// Somebody listens where a server should.
    #[error(
        "port {port} of 127.0.0.1, for the {server}, is taken: stop what listens there, or move the demo: \
             make demo {variable}={free}"
    )]
    PortTaken {
        /// The port.
        port: u16,
        /// The server.
        server: Role,
        /// The setting that moves it.
        variable: &'static str,
        /// A port that is free.
        free: u16,
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
    #[error("after {seconds} s {lacks} (logs: {}, {})", logs[0].display(), logs[1].display())]
    NotLive {
        /// How long it was waited for.
        seconds: u64,
        /// What is missing.
        lacks: String,
        /// The logs of both servers.
        logs: [PathBuf; 2],
    },

    /// A server does not stop, not even at once.
    #[error("the {server} does not stop: see {}", log.display())]
    DoesNotStop {
        /// The server.
        server: Role,
        /// Its log.
        log: PathBuf,
    },

    /// No drill has that name.
    #[error("there is no drill \"{name}\": name one of {known}")]
    NoDrill {
        /// What was asked for.
        name: String,
        /// All names.
        known: String,
    },

    /// A drill is at work.
    #[error("another drill is at work on this demo: wait until it is done")]
    AnotherDrill,

    /// A failover has come in between.
    #[error("nothing was done to {}: it is no replica (any more)", data.display())]
    NoReplica {
        /// Its data.
        data: PathBuf,
    },

    /// A drill was killed before it put back what it had moved aside.
    #[error("{} is left from a drill that was killed, and no other is begun: {todo}", aside.display())]
    LeftAside {
        /// What it moved aside.
        aside: PathBuf,
        /// How to mend it.
        todo: String,
    },

    /// A drill needs a demo that is well.
    #[error("the demo is not well, so no drill is begun; the doctor says:\n{report}")]
    Unwell {
        /// The doctor's report.
        report: String,
    },

    /// A drill's fault was not named in time.
    #[error("the right finding did not come within {within:?}; the doctor said instead:\n{report}")]
    NotSeen {
        /// The limit.
        within: Duration,
        /// The doctor's last report.
        report: String,
    },

    /// A demo was not well again in time.
    #[error("the verdict was not ok within {within:?} of the healing; the doctor said:\n{report}")]
    NotHealed {
        /// The limit.
        within: Duration,
        /// The doctor's last report.
        report: String,
    },

    /// Somebody pressed Ctrl-C.
    #[error("interrupted; what was broken is mended")]
    Interrupted,

    /// Somebody pressed Ctrl-C, and not all of a drill could be undone.
    #[error("interrupted, and not all that was broken is mended:\n{}", left.join("\n"))]
    InterruptedUnmended {
        /// What is left to do.
        left: Vec<String>,
    },

    /// It could not be proved that a server is gone.
    #[error("the {server} on port {port} could not be fenced off, so nothing was promoted or changed: {why}")]
    NotFenced {
        /// The server.
        server: Role,
        /// Its port.
        port: u16,
        /// What is still there.
        why: String,
    },

    /// The primary lives, and the replica does not follow it.
    #[error(
        "the replica does not stream, and the primary lives: what the replica lacks would be lost, so nothing was \
             changed; make demo heals the replica"
    )]
    ReplicaBehind,

    /// The replica replays later than it receives.
    #[error(
        "the replica replays {delay} late (recovery_min_apply_delay), so nothing was changed: \
             alter system set recovery_min_apply_delay = 0; select pg_reload_conf(); in make psql-replica, and again"
    )]
    ReplicaDelays {
        /// The delay.
        delay: String,
    },

    /// The primary lives and cannot be asked, and the replica does not follow it.
    #[error(
        "the replica does not stream, and the primary lives, though it does not let us in ({why}): what the replica lacks would \
             be lost, so nothing was changed; make doctor says what is wrong"
    )]
    PrimaryNotAsked {
        /// What it said.
        why: String,
    },

    /// A failover broke off before the promotion.
    #[error(
        "a failover broke off: both servers are replicas now, and nobody takes writes; make failover goes on with it"
    )]
    HalfFailedOver,

    /// A server runs, and does not answer.
    #[error("the {server} does not answer: {why}")]
    NoAnswer {
        /// The server.
        server: Role,
        /// What was said.
        why: String,
    },

    /// A promotion did not end.
    #[error(
        "the promotion did not end within {seconds} s, and the old primary is fenced off: see the replica's log; make failover tries again"
    )]
    NotPromoted {
        /// How long it was waited for.
        seconds: u64,
    },

    /// It cannot be told which rows only an old primary has.
    #[error("it cannot be told which rows only {} has, so it is left alone: {why}; \
             REPLICA_RECLONE=promoted make demo throws it away and clones anew", data.display())]
    RowsNotTold {
        /// The data directory.
        data: PathBuf,
        /// Why.
        why: String,
    },

    /// No server takes writes, so nothing can be compared.
    #[error("no server takes writes: {why}")]
    NoWriter {
        /// What each said.
        why: String,
    },

    /// The table of the receipt belongs to another role.
    #[error(
        "operations_lab.receipt on {server} belongs to another role, so it is not read: drop it, and the client makes it anew"
    )]
    ReceiptNotOurs {
        /// The server.
        server: String,
    },

    /// The receipt's client never ran.
    #[error("there is no receipt in {}: make demo starts it", folder.display())]
    NoReceipt {
        /// The demo's folder.
        folder: PathBuf,
    },

    /// A script of ours has failed and has said why.
    #[error("see the lines above")]
    Said,
}

/// The message, SQLSTATE, DETAIL and HINT of an error; `postgres::Error` by itself only says "db error".
fn postgres_text(error: &postgres::Error) -> String {
    let Some(db) = error.as_db_error() else {
        return format!("{error:?}");
    };
    let mut text = format!("{} {}: {}", db.severity(), db.code().code(), db.message());
    for (label, part) in [("DETAIL", db.detail()), ("HINT", db.hint()), ("CONTEXT", db.where_())] {
        if let Some(part) = part {
            text.push_str(&format!("\n{label}: {part}"));
        }
    }
    text
}

/// Adds to an I/O error what was tried.
pub(crate) trait Context<T> {
    /// Names what was tried; the text is only made on failure.
    fn context(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Context<T> for std::io::Result<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::Io { what: what(), source })
    }
}

impl<T> Context<T> for Result<T, rustix::io::Errno> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(std::io::Error::from).context(what)
    }
}
