//! Sessions of a throw-away server.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use postgres::{Client, Config, NoTls};

use crate::connect::guarded;
use crate::error::Error;
use crate::throwaway::Server;
use crate::{DATABASE, SUPERUSER};

/// What the server told a session in messages that are no errors.
#[derive(Clone, Debug, Default)]
pub struct Notices(Arc<Mutex<Vec<String>>>);

impl Notices {
    /// All that came since it was asked last.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Server {
    /// A session of a role whose password is [`Server::password`], and what it is told.
    pub fn connect_and_hear(&self, user: &str, database: &str) -> Result<(Client, Notices), Error> {
        let notices = Notices::default();
        let heard = notices.clone();
        let mut config = self.config(user, database);
        config.notice_callback(move |notice| {
            heard.0.lock().unwrap_or_else(PoisonError::into_inner).push(notice.message().to_owned());
        });
        Ok((config.connect(NoTls)?, notices))
    }

    /// A session of the superuser.
    pub fn connect(&self, database: &str) -> Result<Client, Error> {
        self.connect_as(SUPERUSER, database)
    }

    /// A session of a role whose password is [`Server::password`].
    pub fn connect_as(&self, user: &str, database: &str) -> Result<Client, Error> {
        Ok(self.config(user, database).connect(NoTls)?)
    }

    pub(crate) fn config(&self, user: &str, database: &str) -> Config {
        let mut config = Config::new();
        config
            .host("127.0.0.1")
            .port(self.port())
            .user(user)
            .password(self.password())
            .dbname(database)
            .connect_timeout(Duration::from_secs(10));
        config
    }

    /// A session for what the library itself asks, which calls functions of PostgreSQL only.
    pub(crate) fn own_session(&self) -> Result<Client, Error> {
        Ok(guarded(self.config(SUPERUSER, "postgres"), "").connect(NoTls)?)
    }

    /// Creates an empty database.
    pub fn create_database(&self, database: &str) -> Result<(), Error> {
        self.own_session()?.batch_execute(&format!("CREATE DATABASE {database} TEMPLATE template0"))?;
        Ok(())
    }

    /// A session of the superuser in [`DATABASE`].
    pub fn session(&self) -> Result<Client, Error> {
        self.connect(DATABASE)
    }
}
