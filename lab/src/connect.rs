//! Sessions that end in time: whatever a server does, nobody waits for it longer than the limit.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::sync::mpsc;
use std::time::Duration;

use postgres::error::SqlState;
use postgres::{Client, Config, NoTls};

use crate::target::{Target, full_text};

/// Why there is no session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing listens there, or the way is cut.
    Down(String),
    /// It took the connection, or part of it, and then said nothing.
    Silent(String),
    /// It starts, stops or recovers.
    NotReady(String),
    /// It does not know the password, or none was given.
    Password(String),
    /// pg_hba.conf does not let us in.
    Hba(String),
    /// It has no connection left for us.
    Full(String),
    /// Files of it are gone.
    Files(String),
    /// Another reason: no such database, no such role, no such host.
    Other(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Down(text)
        | Self::Silent(text)
        | Self::NotReady(text)
        | Self::Password(text)
        | Self::Hba(text)
        | Self::Full(text)
        | Self::Files(text)
        | Self::Other(text)) = self;
        formatter.write_str(text)
    }
}

impl Refusal {
    /// Sorts an error of the driver.
    #[must_use]
    pub fn of(error: &postgres::Error) -> Self {
        let text = full_text(error);
        if let Some(refused) = error.as_db_error() {
            let text = format!("{} (SQLSTATE {})", refused.message(), refused.code().code());
            return match *refused.code() {
                SqlState::INVALID_PASSWORD => Self::Password(text),
                SqlState::INVALID_AUTHORIZATION_SPECIFICATION => Self::Hba(text),
                SqlState::TOO_MANY_CONNECTIONS => Self::Full(text),
                SqlState::CANNOT_CONNECT_NOW | SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN => {
                    Self::NotReady(text)
                }
                SqlState::QUERY_CANCELED => Self::Silent(text),
                SqlState::UNDEFINED_FILE => Self::Files(text),
                // A database whose folder, or whose PG_VERSION, is gone.
                _ if refused.detail().is_some_and(|detail| detail.ends_with("is missing.")) => {
                    Self::Files(format!("{text}: {}", refused.detail().unwrap_or_default()))
                }
                _ => Self::Other(text),
            };
        }
        if text.contains("password missing") {
            return Self::Password("it asks for a password, and none was given".to_owned());
        }
        match error.source().and_then(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind) {
            Some(io::ErrorKind::TimedOut) => Self::Silent(text),
            Some(_) if text.contains("lookup address") => Self::Other(text),
            Some(_) => Self::Down(text),
            None if error.is_closed() => Self::Down(text),
            None => Self::Other(text),
        }
    }
}

/// A session that finds the functions and operators of PostgreSQL only, whatever others have made in schemas that they may
/// write to. It comes after the options that were given.
pub(crate) fn guarded(mut config: Config, more: &str) -> Config {
    let options = config.get_options().unwrap_or_default().to_owned();
    config.options(format!("{options} {more} -c search_path=pg_catalog,pg_temp").trim());
    config
}

/// Connects; statements of the session end after `limit`, too.
pub fn session(target: &Target, limit: Duration, statements: Duration) -> Result<Client, Refusal> {
    let limits = format!("-c statement_timeout={} -c lock_timeout=1000", statements.as_millis());
    let mut config = guarded(target.config(), &limits);
    config.connect_timeout(limit).application_name("operations-lab");
    within(limit, move || config.connect(NoTls).map_err(|error| Refusal::of(&error)))
        .unwrap_or_else(|| Err(Refusal::Silent(format!("no answer within {} s", limit.as_secs_f32()))))
}

/// What `work` returns, if it does within `limit`. A thread that is stuck is left to the end of the process.
pub fn within<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        // Nobody may be left to hear it.
        let _ = sender.send(work());
    });
    receiver.recv_timeout(limit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_pg_catalog_only() {
        let mut given = Config::new();
        given.options("-c search_path=public");
        let config = guarded(given, "-c lock_timeout=1");
        assert_eq!(
            config.get_options(),
            Some("-c search_path=public -c lock_timeout=1 -c search_path=pg_catalog,pg_temp")
        );
        assert_eq!(guarded(Config::new(), "").get_options(), Some("-c search_path=pg_catalog,pg_temp"));
    }
}
