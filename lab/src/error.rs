//! The one error of this crate: what was tried, why it did not work and, where somebody can act, what to do.

use std::time::Duration;

mod demo;
mod drill;
mod failover;
mod load;
mod page;
mod setting;

pub use demo::DemoError;
pub use drill::DrillError;
pub use failover::FailoverError;
pub use load::LoadError;
pub use page::PageError;
pub use setting::SettingError;

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

    /// Why a setting, or the folder that one names, cannot be used.
    #[error(transparent)]
    Setting(#[from] SettingError),

    /// Why the demo cannot be started, stopped or asked.
    #[error(transparent)]
    Demo(#[from] DemoError),

    /// Why a drill was not begun, or did not go as it should.
    #[error(transparent)]
    Drill(#[from] DrillError),

    /// Why a failover, a rejoin or a receipt was refused.
    #[error(transparent)]
    Failover(#[from] FailoverError),

    /// Why the page cannot be served.
    #[error(transparent)]
    Page(#[from] PageError),

    /// Why nothing is loaded.
    #[error(transparent)]
    Load(#[from] LoadError),

    /// A script of ours has failed and has said why.
    #[error("see the lines above")]
    AlreadyPrinted,
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
