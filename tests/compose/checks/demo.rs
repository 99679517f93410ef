//! The Compose demo under test: its settings, how it is started and stopped, and what it leaves to look at when a check fails.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use operations_lab::checkout;
use operations_lab::checks::{Outcome, Stop, Subject, require};
use operations_lab::server::ports::{free_port, is_free};
use tempfile::TempDir;

use crate::bases;
use crate::compose::Compose;
use crate::engine::{self, Engine};
use crate::programs::{last_lines, wait};
use crate::service::Service;

pub const USER: &str = "postgres";
pub const DATABASE: &str = "operations_db";
pub const REPLICATION_USER: &str = "replicator";
/// They need quoting everywhere.
pub const PASSWORD: &str = r#"a:b\c "d" $e'f%g"#;
pub const REPLICATION_PASSWORD: &str = r#"h:i\j "k" $l'm%n"#;
/// How many replicas may be started: so many ports from `replica_port` on are free.
pub const REPLICAS: u16 = 3;

/// What the demo is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// A primary and its replica.
    Plain,
    /// Three servers under Patroni.
    Patroni,
    /// A coordinator of Citus, its replica and two workers.
    Citus,
}

impl Shape {
    /// The file of docker/ that lies over compose.yaml.
    fn file(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Patroni => Some("docker/compose.ha.yaml"),
            Self::Citus => Some("docker/compose.citus.yaml"),
        }
    }
}

/// What the groups share: the engine, while one of them has it, the ports that they were given, and the images that were built.
struct Shared {
    engine: Weak<Engine>,
    ports: Vec<u16>,
    built: Vec<Shape>,
}

static SHARED: Mutex<Shared> = Mutex::new(Shared { engine: Weak::new(), ports: Vec::new(), built: Vec::new() });

/// The demo, the engine that it runs on, and a folder for the files of the checks.
pub struct Demo {
    /// What Compose calls it.
    pub project: String,
    pub primary_port: u16,
    pub replica_port: u16,
    pub lab_port: u16,
    /// Kept between runs: the data of our own engine, and logs.
    pub state: PathBuf,
    folder: TempDir,
    log_file: PathBuf,
    log: RefCell<File>,
    shape: Cell<Shape>,
    /// Whether checks were asked for by name.
    is_asked: bool,
    pub engine: Arc<Engine>,
}

impl Subject for Demo {
    fn prepare(group: &str, patterns: &[String]) -> Outcome<Self> {
        let wanted = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let must_have = wanted("OPERATIONS_COMPOSE_CHECKS").is_some() || !patterns.is_empty();
        let state = wanted("STATE_DIR").map_or_else(|| checkout().join(".state"), PathBuf::from).join("compose");
        std::fs::create_dir_all(&state)?;
        let log_file = state.join(format!("{group}.log"));
        let log = RefCell::new(File::create(&log_file)?);
        // One after the other: they share the engine, the ports and the images.
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let engine = match shared.engine.upgrade() {
            Some(engine) => engine,
            None => Arc::new(engine::get(&state, must_have)?),
        };
        shared.engine = Arc::downgrade(&engine);
        let primary_port = free_port(&shared.ports)?;
        shared.ports.push(primary_port);
        let replica_port = loop {
            let port = free_port(&shared.ports)?;
            let is_free = |port: u16| is_free(port) && !shared.ports.contains(&port);
            if (port..port + REPLICAS).all(is_free) {
                break port;
            }
            shared.ports.push(port);
        };
        shared.ports.extend(replica_port..replica_port + REPLICAS);
        let lab_port = free_port(&shared.ports)?;
        shared.ports.push(lab_port);
        let demo = Self {
            project: format!("operations-test-{group}"),
            primary_port,
            replica_port,
            lab_port,
            state,
            folder: tempfile::tempdir()?,
            log_file,
            log,
            shape: Cell::new(Shape::Plain),
            is_asked: !patterns.is_empty(),
            engine,
        };
        bases::need(&demo)?;
        // An earlier run may have been killed.
        demo.down_with_data()?;
        demo.build(&mut shared)?;
        Ok(demo)
    }

    fn begin(&self, check: &str) {
        self.note(&format!("\n== {check}\n"));
    }

    fn evidence(&self) -> String {
        let listed = self.compose().run(&["ps", "--all"]).unwrap_or_default();
        let mut text = format!("{listed}\n");
        for service in [self.primary(), self.replica(), self.lab()] {
            for container in service.containers().unwrap_or_default() {
                let log = container.log().unwrap_or_default();
                // Without the lines that PostgreSQL indents: one long query would fill all 25.
                let lines: Vec<_> = log.0.lines().filter(|line| !line.starts_with('\t')).collect();
                text.push_str(&format!(
                    "-- the last lines of {}:\n{}\n",
                    service.name,
                    last_lines(&lines.join("\n"), 25)
                ));
            }
        }
        text
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if let Err(Stop::Failed(why) | Stop::Skipped(why)) = self.down_with_data() {
            eprintln!("{why}");
        }
    }
}

impl Demo {
    /// `docker compose` on the checkout's compose.yaml, with the settings of the checks.
    pub fn compose(&self) -> Compose<'_> {
        let project = ("COMPOSE_PROJECT_NAME", self.project.clone());
        let settings = [
            ("POSTGRES_USER", USER.to_owned()),
            ("POSTGRES_DB", DATABASE.to_owned()),
            ("POSTGRES_PASSWORD", PASSWORD.to_owned()),
            ("REPLICATION_USER", REPLICATION_USER.to_owned()),
            ("REPLICATION_PASSWORD", REPLICATION_PASSWORD.to_owned()),
            ("PRIMARY_PORT", self.primary_port.to_string()),
            ("REPLICA_PORT", self.replica_port.to_string()),
            ("LAB_PORT", self.lab_port.to_string()),
        ];
        let mut plain = self.plain_compose(&checkout().join("compose.yaml"));
        if let Some(file) = self.shape.get().file() {
            plain = plain.file(checkout().join(file));
        }
        let base = bases::citus_image().filter(|_| self.shape.get() == Shape::Citus);
        bases::settings()
            .into_iter()
            .chain(settings)
            .chain([project])
            .chain(base.map(|image| ("POSTGRES_IMAGE", image)))
            .fold(plain, |compose, (name, value)| compose.env(name, value))
    }

    /// `docker compose` on a file, with nothing set.
    pub fn plain_compose(&self, file: &Path) -> Compose<'_> {
        Compose::new(self, file)
    }

    /// The demo is up, however the check before left it.
    pub fn need(&self) -> Outcome {
        self.turn_into(Shape::Plain)?;
        self.comes_up(120)
    }

    /// It comes to be up: what the check before has left unhealthy for a while ends `up`.
    pub fn comes_up(&self, seconds: u64) -> Outcome {
        wait("the demo to be up", seconds, || self.compose().up(&[]))
    }

    /// From now on it is three servers under Patroni, until a check needs the demo without it.
    pub fn become_cluster(&self) -> Outcome {
        self.turn_into(Shape::Patroni)
    }

    /// From now on it is a coordinator and two workers, until a check needs it without Citus.
    pub fn become_citus(&self) -> Outcome {
        bases::need_citus()?;
        self.turn_into(Shape::Citus)
    }

    /// For what takes a minute or more, and is run by name alone.
    pub fn must_be_asked(&self) -> Outcome {
        match self.is_asked {
            true => Ok(()),
            false => Err(Stop::Skipped(
                "it takes a minute or more: operations-lab dev test-compose and its name runs it".to_owned(),
            )),
        }
    }

    fn turn_into(&self, shape: Shape) -> Outcome {
        if self.shape.get() != shape {
            self.down_with_data()?;
            let before = self.shape.replace(shape);
            let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
            self.build(&mut shared).inspect_err(|_| self.shape.set(before))?;
        }
        Ok(())
    }

    /// Once in a run of the checks: an image that is there may be of another checkout. A second build would give it another id, and `up`
    /// would then make the containers of the other groups anew.
    fn build(&self, shared: &mut Shared) -> Outcome {
        let shape = self.shape.get();
        if !shared.built.contains(&shape) {
            let log = self.log_file().display();
            println!("building the image (minutes, if nothing of it is there yet: see {log})");
            self.compose().run(&["build"])?;
            shared.built.push(shape);
        }
        Ok(())
    }

    /// Nothing is left of it but the image.
    pub fn down_with_data(&self) -> Outcome {
        self.compose().run(&["down", "--volumes", "--remove-orphans", "--timeout", "20"])?;
        Ok(())
    }

    /// Removes one of the demo's volumes, by its name in compose.yaml.
    pub fn remove_volume(&self, name: &str) -> Outcome {
        self.engine.ask(&["volume", "rm", &format!("{}_{name}", self.project)])?;
        Ok(())
    }

    pub fn primary(&self) -> Service<'_> {
        Service { demo: self, name: "postgres_primary", port: self.primary_port }
    }

    /// A service that is no server of the demo, or not always one.
    pub fn service(&self, name: &'static str) -> Service<'_> {
        Service { demo: self, name, port: self.primary_port }
    }

    /// What `docker ps` says of a service.
    pub fn status(&self, service: Service<'_>) -> Outcome<String> {
        let id = service.container()?.id;
        self.engine.ask(&["ps", "--all", "--filter", &format!("id={id}"), "--format", "{{.Status}}"])
    }

    /// What the doctor says, in its line.
    pub fn headline(&self) -> Outcome<String> {
        let report = crate::lab::try_lab(self, &["doctor", "--brief"])?;
        Ok(report.text().trim().to_owned())
    }

    /// No server of PostgreSQL: its port is that of the page.
    pub fn lab(&self) -> Service<'_> {
        Service { demo: self, name: "lab", port: self.lab_port }
    }

    /// With several replicas, the one that took the first port.
    pub fn replica(&self) -> Service<'_> {
        Service { demo: self, name: "postgres_replica", port: self.replica_port }
    }

    /// A path in the folder of the checks.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where all that docker compose printed can be read.
    pub fn log_file(&self) -> &Path {
        &self.log_file
    }

    /// Adds to that file.
    pub fn note(&self, text: &str) {
        if let Err(error) = self.log.borrow_mut().write_all(text.as_bytes()) {
            eprintln!("{}: {error}", self.log_file().display());
        }
    }

    /// psql on this machine's network, as a client that is no container of the demo would connect; `conninfo` names everything but
    /// the password.
    pub fn psql_from_this_machine(
        &self,
        conninfo: &str,
        password: &str,
        sql: &str,
    ) -> Outcome<crate::programs::Finished> {
        let mut command = self.engine.command();
        command.args([
            "run",
            "--rm",
            "--network",
            "host",
            "--env",
            "PGPASSWORD",
            "--entrypoint",
            "psql",
            &bases::DEMO_IMAGE,
        ]);
        command.args(["--no-psqlrc", "--no-password", "-qAt", "-c", sql, conninfo]).env("PGPASSWORD", password);
        crate::programs::finish(command, std::time::Duration::from_secs(60))
    }

    /// A script or program in the repository, with the engine's address and the images' names in its environment.
    pub fn script(&self, path: &str) -> Command {
        let mut command = Command::new("bash");
        command.arg(checkout().join(path)).envs(bases::settings());
        if let Some(address) = self.engine.address() {
            command.env("DOCKER_HOST", address);
        }
        command
    }
}

/// This moment, as docker takes it for `--since`.
pub fn now() -> Outcome<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(format!("{}.{:09}", now.as_secs(), now.subsec_nanos()))
}

/// A wait for a time, only where an outage itself is to last.
pub fn last_until(moment: std::time::Instant) {
    std::thread::sleep(moment.saturating_duration_since(std::time::Instant::now()));
}

/// Ends a check unless a step took at most so long.
pub fn took_at_most(began: std::time::Instant, seconds: u64, what: &str) -> Outcome {
    let took = began.elapsed().as_secs();
    require(took <= seconds, format!("{what} took {took} s"))
}
