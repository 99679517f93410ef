//! Makes replicas, by the same entrypoint that the demo uses.

use std::time::Duration;

use crate::REPLICATOR;
use crate::error::{Context, Error};
use crate::server::entrypoint::{self, Entrypoint};
use crate::server::{promote, text, try_wait};
use crate::throwaway::LIMIT;
use crate::throwaway::builder::{ServerFolder, copy_in};
use crate::throwaway::environment::{Environment, repository};
use crate::throwaway::server::Server;
use crate::throwaway::source::Source;

/// Collects what a replica should be; [`ReplicaBuilder::start`] clones and starts it.
#[derive(Debug)]
pub struct ReplicaBuilder {
    settings: Vec<(String, String)>,
    password: String,
    port: u16,
    slot: String,
    wait_seconds: u32,
    extra: Vec<(String, String)>,
    as_shipped: bool,
}

impl ReplicaBuilder {
    fn new(primary: &Server) -> Self {
        Self {
            settings: Vec::new(),
            password: primary.password().to_owned(),
            port: primary.port(),
            slot: "replica_slot".to_owned(),
            wait_seconds: 30,
            extra: Vec::new(),
            as_shipped: false,
        }
    }

    /// Sets a setting, over the shipped `docker/postgresql.conf`.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// As [`ServerBuilder::as_shipped`](crate::throwaway::ServerBuilder::as_shipped).
    #[must_use]
    pub fn as_shipped(mut self) -> Self {
        self.as_shipped = true;
        self
    }

    /// The name of its slot on the primary.
    #[must_use]
    pub fn slot(mut self, slot: &str) -> Self {
        slot.clone_into(&mut self.slot);
        self
    }

    /// How long the entrypoint waits for the primary.
    #[must_use]
    pub fn wait_seconds(mut self, seconds: u32) -> Self {
        self.wait_seconds = seconds;
        self
    }

    /// Sets another variable of the entrypoint's environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.extra.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Makes the replica without starting it: nothing is cloned yet.
    pub fn prepare(self) -> Result<Server, Error> {
        let environment = Environment::get()?;
        let home = ServerFolder::new(environment, &self.settings, self.as_shipped)?;
        let entrypoint = Entrypoint {
            script: copy_in(environment, &repository(entrypoint::FILE), &home.folder)?,
            primary_port: self.port,
            user: REPLICATOR.to_owned(),
            password: self.password.clone(),
            slot: self.slot,
            wait_seconds: self.wait_seconds,
        };
        let source = Source::Primary { entrypoint, extra: self.extra };
        Ok(Server::new(home.parts(environment, self.password, source)))
    }

    /// Makes the replica, and waits until it accepts connections and streams.
    pub fn start(self) -> Result<Server, Error> {
        let mut server = self.prepare()?;
        server.start()?;
        server.wait_streaming(Duration::from_secs(30))?;
        Ok(server)
    }
}

impl Server {
    /// Begins a replica of this server.
    pub fn replica(&self) -> ReplicaBuilder {
        ReplicaBuilder::new(self)
    }

    /// Points a replica at another primary, whose password must be the same (it is, for all primaries made here).
    pub fn follow(&mut self, primary: &Server) {
        if let Source::Primary { entrypoint, .. } = self.source_mut() {
            entrypoint.primary_port = primary.port();
        }
    }

    /// Sets a variable of the entrypoint's environment from a replica's next start on.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        if let Source::Primary { extra, .. } = self.source_mut() {
            extra.push((name.to_owned(), value.to_owned()));
        }
    }

    /// When this replica's data directory was made: another time means another clone.
    pub fn cloned_at(&self) -> Result<std::time::SystemTime, Error> {
        let file = self.data().join("PG_VERSION");
        let made = std::fs::metadata(&file).and_then(|data| data.modified());
        made.context(|| format!("look at {}", file.display()))
    }

    /// Makes a replica a primary and waits until it is one.
    pub fn promote(&self) -> Result<(), Error> {
        promote(&mut self.own_session()?)
    }

    /// Waits until `replica` has replayed all that this server has written up to now.
    pub fn wait_for_catchup(&self, replica: &Server) -> Result<(), Error> {
        let target = text(&mut self.own_session()?, "SELECT pg_current_wal_lsn()")?;
        let mut session = replica.own_session()?;
        let query = format!(
            "SELECT pg_last_wal_replay_lsn() >= '{target}', pg_last_wal_replay_lsn(), \
             (SELECT status FROM pg_stat_wal_receiver)"
        );
        try_wait(&format!("the replica to replay up to {target}"), LIMIT, || match text(&mut session, &query) {
            Ok(state) if state.starts_with('t') => Ok(()),
            Ok(state) => Err(state),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Waits until this replica streams: its own receiver says so.
    pub fn wait_streaming(&self, limit: Duration) -> Result<(), Error> {
        let mut session = self.own_session()?;
        try_wait("the replica to stream", limit, || {
            match text(&mut session, "SELECT status FROM pg_stat_wal_receiver") {
                Ok(state) if state == "streaming" => Ok(()),
                Ok(state) => Err(format!("receiver: '{state}'")),
                Err(error) => Err(error.to_string()),
            }
        })
    }
}
