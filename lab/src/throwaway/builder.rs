//! Makes primaries.

use std::fs::File;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::{Context, Error};
use crate::server::Stop;
use crate::throwaway::environment::{Environment, repository};
use crate::throwaway::port::Port;
use crate::throwaway::server::{Parts, Server};
use crate::throwaway::source::Source;
use crate::throwaway::{leftovers, template};
use crate::{DATABASE, REPLICATOR, SUPERUSER};

/// Collects what a primary should be; [`ServerBuilder::start`] makes it.
#[derive(Debug, Default)]
pub struct ServerBuilder {
    settings: Vec<(String, String)>,
    extension: bool,
    rows: bool,
    own_initdb: bool,
    citus: bool,
    as_shipped: bool,
}

/// What no test needs as it is shipped: fsync waits for the disk, and PostgreSQL clears its WAL buffers at each start.
const FAST_SETTINGS: &str = "fsync = off\nwal_buffers = 4MB\n";

impl Server {
    /// Begins a primary.
    #[must_use]
    pub fn primary() -> ServerBuilder {
        ServerBuilder::default()
    }
}

impl ServerBuilder {
    /// Sets a setting, over the shipped `docker/postgresql.conf`.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Creates the extension in `public` of [`DATABASE`] and calls `operations_setup()`.
    #[must_use]
    pub fn with_extension(mut self) -> Self {
        self.extension = true;
        self
    }

    /// As [`Self::with_extension`], with 20,000 rows in four months, 3,000 of them done.
    #[must_use]
    pub fn with_rows(mut self) -> Self {
        self.rows = true;
        self.with_extension()
    }

    /// Lets the extension's worker run the jobs of [`DATABASE`], on a server without pg_cron.
    #[must_use]
    pub fn with_worker(self) -> Self {
        self.setting("shared_preload_libraries", "operations_ext").setting("operations_ext.database", DATABASE)
    }

    /// As [`Self::with_worker`], the two frequent jobs being due every second, which is the shortest interval.
    #[must_use]
    pub fn with_fast_worker(self) -> Self {
        self.with_worker()
            .setting("operations_ext.insert_interval", "1s")
            .setting("operations_ext.change_status_interval", "1s")
    }

    /// Takes the PostgreSQL that has Citus, which [`super::missing_citus`] must have found, and creates the extension citus in [`DATABASE`]
    /// before any other. Its servers log in to each other as the superuser.
    #[must_use]
    pub fn with_citus(mut self) -> Self {
        self.citus = true;
        self.setting("shared_preload_libraries", "citus").setting("citus.node_conninfo", "sslmode=prefer")
    }

    /// Leaves the shipped settings as they are: what is acknowledged is on the disk.
    #[must_use]
    pub fn as_shipped(mut self) -> Self {
        self.as_shipped = true;
        self
    }

    /// Gives the server a system identifier of its own, which costs an `initdb`.
    #[must_use]
    pub fn own_identity(mut self) -> Self {
        self.own_initdb = true;
        self
    }

    /// Makes the primary and waits until it accepts connections.
    pub fn start(self) -> Result<Server, Error> {
        let environment = if self.citus { Environment::citus()? } else { Environment::get()? };
        let home = ServerFolder::new(environment, &self.settings, self.as_shipped)?;
        let data = home.folder.path().join("data");
        if !self.extension || self.own_initdb || self.citus {
            let password = template::data_directory(environment, &data, self.own_initdb)?;
            let mut server = Server::new(home.parts(environment, password, Source::Own));
            server.start()?;
            self.fill(&server)?;
            return Ok(server);
        }
        // What most tests begin with is made once, too.
        let name = format!("{}{}", template::of_extension(environment)?, if self.rows { "-rows" } else { "" });
        let password = template::copy(environment, &data, &name, |made| self.make_template(environment, made))?;
        let mut server = Server::new(home.parts(environment, password, Source::Own));
        server.start()?;
        Ok(server)
    }

    /// Makes a data directory with what [`Self::fill`] makes; returns its password.
    fn make_template(&self, environment: &'static Environment, made: &Path) -> Result<String, Error> {
        let home = ServerFolder::new(environment, &[], false)?;
        let data = home.folder.path().join("data");
        let password = template::data_directory(environment, &data, false)?;
        let mut server = Server::new(home.parts(environment, password.clone(), Source::Own));
        server.start()?;
        self.fill(&server)?;
        server.stop(Stop::Fast)?;
        let moved = environment.owner.files(|| std::fs::rename(&data, made));
        moved.context(|| format!("move {} to {}", data.display(), made.display()))?;
        Ok(password)
    }

    fn fill(&self, server: &Server) -> Result<(), Error> {
        server.create_database(DATABASE)?;
        let mut session = server.connect(DATABASE)?;
        session
            .batch_execute(&format!("CREATE ROLE {REPLICATOR} LOGIN REPLICATION PASSWORD '{}'", server.password()))?;
        if self.citus {
            session.batch_execute("CREATE EXTENSION citus")?;
            // 0: of all nodes.
            let login =
                format!("INSERT INTO pg_dist_authinfo VALUES (0, '{SUPERUSER}', 'password={}')", server.password());
            session.batch_execute(&login)?;
        }
        if self.extension {
            session.batch_execute("CREATE EXTENSION operations_ext")?;
            session.batch_execute("CALL operations_setup()")?;
        }
        if self.rows {
            session.batch_execute("CALL operations_test_data('2025-08-01', '2025-11-30', 20000, 1)")?;
            session.batch_execute("CALL change_status(3000)")?;
        }
        Ok(())
    }
}

/// Where a server will live: its folder, its port, its configuration.
pub(crate) struct ServerFolder {
    pub folder: TempDir,
    mark: File,
    pub port: Port,
    configuration: PathBuf,
}

impl ServerFolder {
    /// Makes a folder with the configuration in it; the data directory does not exist yet.
    pub fn new(environment: &Environment, settings: &[(String, String)], as_shipped: bool) -> Result<Self, Error> {
        let mut prefix = tempfile::Builder::new();
        let folder = environment.owner.files(|| prefix.prefix("server-").tempdir_in(&environment.scratch));
        let mut folder = folder.context(|| format!("make a folder in {}", environment.scratch.display()))?;
        let keep = std::env::var_os("OPERATIONS_KEEP").is_some_and(|keep| keep == "1");
        folder.disable_cleanup(keep);
        let mark = leftovers::mark_in_use(&environment.scratch, &environment.owner, folder.path(), keep)?;
        let port = Port::reserve(environment)?;
        let configuration = folder.path().join("server.conf");
        // The server's user may be unable to enter the checkout, so it gets a copy of the shipped file.
        let shipped = copy_in(environment, &repository("docker/postgresql.conf"), &folder)?;
        let mut text = format!(
            "include '{}'\nlisten_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = ''\n\
             logging_collector = off\nlog_destination = 'stderr'\n{}",
            shipped.display(),
            port.number,
            if as_shipped { "" } else { FAST_SETTINGS },
        );
        for (name, value) in settings {
            text.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
        }
        let written = environment.owner.write(&configuration, text.as_bytes(), false);
        written.context(|| format!("write {}", configuration.display()))?;
        Ok(Self { folder, mark, port, configuration })
    }

    pub fn parts(self, environment: &'static Environment, password: String, source: Source) -> Parts {
        Parts {
            environment,
            folder: self.folder,
            _mark: self.mark,
            port: self.port,
            configuration: self.configuration,
            password,
            source,
        }
    }
}

/// Copies a file of the checkout into a server's folder.
pub(crate) fn copy_in(environment: &Environment, file: &Path, folder: &TempDir) -> Result<PathBuf, Error> {
    let copy = folder.path().join(file.file_name().unwrap_or_default());
    let copied = std::fs::read(file).and_then(|bytes| environment.owner.write(&copy, &bytes, false));
    copied.context(|| format!("copy {} to {}", file.display(), copy.display()))?;
    Ok(copy)
}
