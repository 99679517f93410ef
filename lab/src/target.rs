//! A server to be asked: where it is and as whom to ask.

use std::path::{Path, PathBuf};

use postgres::Config;
use postgres::config::Host;

use crate::error::Error;
use crate::passfile;
use crate::role::Role;

const NATIVE: &str = "make demo";
/// Not `up`, which would make of `--scale` what it was.
const COMPOSE: &str = "docker compose start # docker compose logs says why it ended";
const ELSEWHERE: &str = "pg_ctl start --pgdata \"$PGDATA\" # where it runs; its log says why it ended";

/// A server to be asked.
#[derive(Clone, Debug)]
pub struct Target {
    /// What it is meant to be.
    pub role: Role,
    /// Host and port, as in a message.
    pub address: String,
    /// The command that starts it.
    pub start: String,
    config: Config,
}

impl Target {
    /// A server by a libpq connection string. The password comes from `PGPASSWORD` or a password file, never from the
    /// string: that would show in the list of processes.
    pub fn from_url(role: Role, url: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Error::Url { url: without_password(url), why: why.to_owned() };
        let mut config: Config = url.parse().map_err(|error: postgres::Error| refuse(&full_text(&error)))?;
        if config.get_password().is_some() {
            return Err(Error::PasswordInUrl { url: without_password(url) });
        }
        if config.get_hosts().len() > 1 || config.get_ports().len() > 1 {
            return Err(refuse("it names more than one server; give --replica once for each"));
        }
        if config.get_hosts().is_empty() {
            config.host(&variable("PGHOST").ok_or_else(|| refuse("it has no host, and PGHOST is not set"))?);
        }
        if config.get_ports().is_empty() {
            let port = variable("PGPORT").map_or(Ok(5432), |port| port.parse());
            config.port(port.map_err(|_| refuse("PGPORT is no port"))?);
        }
        if config.get_user().is_none() {
            let user = variable("PGUSER").or_else(|| variable("USER"));
            config.user(&user.ok_or_else(|| refuse("it has no user, and PGUSER is not set"))?);
        }
        if config.get_dbname().is_none() {
            let user = config.get_user().unwrap_or_default().to_owned();
            config.dbname(&variable("PGDATABASE").unwrap_or(user));
        }
        let file = variable("PGPASSFILE")
            .map(PathBuf::from)
            .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".pgpass")));
        let mut target = Self { role, address: address(&config), start: ELSEWHERE.to_owned(), config };
        target.find_password(file.as_deref());
        Ok(target)
    }

    /// A server of the native demo, with this password unless `PGPASSWORD` has another.
    #[must_use]
    pub fn local(role: Role, port: u16, user: &str, database: &str, password: &str) -> Self {
        let mut config = Config::new();
        config.host("127.0.0.1").port(port).user(user).dbname(database).password(password);
        let mut target = Self { role, address: address(&config), start: NATIVE.to_owned(), config };
        target.find_password(None);
        target
    }

    /// A server in a container, by its name and where it is reached.
    #[must_use]
    pub fn of_container(role: Role, (name, host, port): (&str, &str, u16), user: &str, database: &str) -> Self {
        let mut config = Config::new();
        config.host(host).port(port).user(user).dbname(database);
        Self { role, address: format!("{name}:{port}"), start: COMPOSE.to_owned(), config }
    }

    /// The same server with this password.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.config.password(password);
        self
    }

    /// As findings name it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.role, self.address)
    }

    /// Whether it is reached without a network, so that its files may be on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => ["127.0.0.1", "::1", "localhost"].contains(&host.as_str()),
            Some(Host::Unix(_)) => true,
            None => false,
        }
    }

    /// How to connect.
    #[must_use]
    pub fn config(&self) -> Config {
        self.config.clone()
    }

    fn find_password(&mut self, file: Option<&Path>) {
        let (host, port) = (host(&self.config), port(&self.config).to_string());
        let database = self.config.get_dbname().unwrap_or_default().to_owned();
        let user = self.config.get_user().unwrap_or_default().to_owned();
        let found = variable("PGPASSWORD")
            .or_else(|| file.and_then(|file| passfile::password(file, [&host, &port, &database, &user])));
        if let Some(password) = found {
            self.config.password(password);
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn host(config: &Config) -> String {
    match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => String::new(),
    }
}

fn port(config: &Config) -> u16 {
    config.get_ports().first().copied().unwrap_or(5432)
}

fn address(config: &Config) -> String {
    format!("{}:{}", host(config), port(config))
}

/// An error and what caused it, in one line.
pub(crate) fn full_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        if !text.contains(&cause.to_string()) {
            text = format!("{text}: {cause}");
        }
        source = cause.source();
    }
    text
}

/// What stands before the password of a connection string, and what after it.
fn without_password(url: &str) -> String {
    if let Some((scheme, rest)) = url.split_once("://")
        && let Some((account, server)) = rest.split_once('@')
        && let Some((user, _)) = account.split_once(':')
    {
        return format!("{scheme}://{user}:***@{server}");
    }
    match url.split_once("password=") {
        Some((before, _)) => format!("{before}password=***"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_password_and_does_not_repeat_it() {
        for url in ["postgresql://me:secret@here:5432/db", "host=here user=me password=secret"] {
            let message = Target::from_url(Role::Primary, url).unwrap_err().to_string();
            assert!(message.starts_with("no password may be in a URL") && message.contains("PGPASSWORD"), "{message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn refuses_what_names_no_single_server() {
        for url in ["postgresql://me@a,b/db", "postgresql://me@here:x/db", "nonsense"] {
            assert!(Target::from_url(Role::Primary, url).is_err(), "{url}");
        }
    }

    #[test]
    fn names_a_server_by_role_and_address() {
        let target = Target::from_url(Role::Replica, "postgresql://me@localhost:5433/db").unwrap();
        assert_eq!(target.name(), "replica localhost:5433");
        assert!(target.is_local());
        assert!(!Target::from_url(Role::Replica, "postgresql://me@far.example/db").unwrap().is_local());
    }
}
