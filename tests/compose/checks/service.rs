//! A service of the demo: its containers, and the server behind its published port.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use operations_lab::checks::{Outcome, same};
use operations_lab::connect::within;
use operations_lab::server::text;
use postgres::{Client, Config, NoTls};

use crate::container::{Container, Log};
use crate::demo::{DATABASE, Demo, PASSWORD, USER};
use crate::programs::wait;

#[derive(Clone, Copy)]
pub struct Service<'a> {
    pub demo: &'a Demo,
    pub name: &'static str,
    pub port: u16,
}

impl<'a> Service<'a> {
    /// Its containers, also those that have ended.
    pub fn containers(&self) -> Outcome<Vec<Container<'a>>> {
        let listed = self.demo.compose().run(&["ps", "--all", "--quiet", self.name])?;
        Ok(listed.lines().map(|id| Container { demo: self.demo, id: id.to_owned() }).collect())
    }

    /// The first of its containers.
    pub fn container(&self) -> Outcome<Container<'a>> {
        let found = self.containers()?.into_iter().next();
        Ok(found.ok_or_else(|| format!("{} has no container", self.name))?)
    }

    /// Waits until docker holds it to be `healthy` or `unhealthy`.
    pub fn becomes(&self, health: &str, seconds: u64) -> Outcome {
        let what = format!("{} to be {health}", self.name);
        wait(&what, seconds, || {
            let container = self.container()?;
            let found = container.health()?;
            same(format!("health ({})", container.reason()?), health, found.as_str())
        })
    }

    /// Waits until a line of its log has these parts in their order.
    pub fn comes_to_say(&self, parts: &[&str], seconds: u64) -> Outcome {
        wait(&format!("the log of {} to say {parts:?}", self.name), seconds, || self.log()?.says(parts))
    }

    /// All that its first container wrote.
    pub fn log(&self) -> Outcome<Log> {
        self.container()?.log()
    }

    /// What its first container wrote since a moment: see [`crate::demo::now`].
    pub fn log_since(&self, moment: &str) -> Outcome<Log> {
        self.container()?.log_since(moment)
    }

    /// The answer to a query, through the published port: columns joined by `|`, rows by a line break.
    pub fn ask(&self, query: &str) -> Outcome<String> {
        Ok(text(&mut self.connect()?, query)?)
    }

    /// The answer must be this.
    pub fn answers(&self, what: &str, query: &str, wanted: &str) -> Outcome {
        same(what, wanted, self.ask(query)?.as_str())
    }

    /// Waits until the answer is this.
    pub fn comes_to_answer(&self, what: &str, query: &str, wanted: &str, seconds: u64) -> Outcome {
        wait(what, seconds, || self.answers(&format!("{} answers", self.name), query, wanted))
    }

    /// A session of the superuser, through the published port.
    pub fn connect(&self) -> Outcome<Client> {
        self.connect_with(self.config())
    }

    /// The same, and what it is told in messages that are no errors.
    pub fn connect_and_hear(&self) -> Outcome<(Client, Heard)> {
        let (mut config, heard) = (self.config(), Heard::default());
        let hears = heard.clone();
        config.notice_callback(move |notice| {
            hears.0.lock().unwrap_or_else(PoisonError::into_inner).push(notice.message().to_owned());
        });
        Ok((self.connect_with(config)?, heard))
    }

    /// For such a session.
    pub fn config(&self) -> Config {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port).user(USER).password(PASSWORD).dbname(DATABASE);
        config.connect_timeout(Duration::from_secs(5)).options("-c statement_timeout=120s");
        config
    }

    /// The published port is Docker's: it takes connections also for a server that says nothing.
    fn connect_with(&self, config: Config) -> Outcome<Client> {
        let connected =
            within(Duration::from_secs(5), move || config.connect(NoTls).map_err(operations_lab::Error::from));
        Ok(connected.ok_or_else(|| format!("{} does not answer within 5 s", self.name))??)
    }
}

/// Messages of a session.
#[derive(Clone, Default)]
pub struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    /// All that came so far.
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
