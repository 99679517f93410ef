//! One throw-away server, primary or replica, from its start to its removal.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use postgres::NoTls;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::SUPERUSER;
use crate::error::{Context, Error};
use crate::server::process::{Process, held_descendants, wait_gone};
use crate::server::{DataDirectory, Stop, try_wait};
use crate::throwaway::LIMIT;
use crate::throwaway::environment::Environment;
use crate::throwaway::port::Port;
use crate::throwaway::source::Source;

/// A throw-away server. Dropping it stops it and deletes its folder, unless `OPERATIONS_KEEP=1`.
#[derive(Debug)]
pub struct Server {
    parts: Parts,
    running: Option<Child>,
    forgotten: bool,
}

/// What a server consists of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub environment: &'static Environment,
    pub folder: TempDir,
    /// Says that the folder is in use, for as long as this lives.
    pub _mark: File,
    pub port: Port,
    pub configuration: PathBuf,
    pub password: String,
    pub source: Source,
}

impl Server {
    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts, running: None, forgotten: false }
    }

    pub(crate) fn source_mut(&mut self) -> &mut Source {
        &mut self.parts.source
    }

    /// The folder that holds the server: `data`, `log`, its configuration.
    pub fn folder(&self) -> &Path {
        self.parts.folder.path()
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.parts.port.number
    }

    /// The password of the superuser and of the replication role; tests give it to the roles they make.
    pub fn password(&self) -> &str {
        &self.parts.password
    }

    /// Starts the server (a replica: clones it first where that is due) and waits until it accepts connections.
    pub fn start(&mut self) -> Result<(), Error> {
        self.launch()?;
        self.wait_ready(LIMIT)
    }

    /// Starts the server without waiting for it.
    pub fn launch(&mut self) -> Result<(), Error> {
        let path = self.folder().join("log");
        let owner = &self.parts.environment.owner;
        let log = owner.files(|| OpenOptions::new().create(true).append(true).open(&path));
        let log = log.context(|| format!("open {}", path.display()))?;
        let copy = log.try_clone().context(|| format!("open {}", path.display()))?;
        let mut command = self.parts.source.command(self.parts.environment, &self.data());
        command
            .arg("-c")
            .arg(format!("config_file={}", self.parts.configuration.display()))
            .stdin(std::process::Stdio::null())
            .stdout(log)
            .stderr(copy);
        let child = command.spawn().context(|| format!("start {}", command.get_program().to_string_lossy()))?;
        self.running = Some(child);
        Ok(())
    }

    /// Waits until the server accepts connections; fails at once, with the end of its log, if it ends instead.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<(), Error> {
        let config = self.config(SUPERUSER, "postgres");
        let (mut ended, running) = (None, &mut self.running);
        try_wait("the server to accept connections", limit, || {
            ended = match running {
                Some(child) => child.try_wait().map_err(|error| error.to_string())?,
                None => return Err("nothing was started".to_owned()),
            };
            match (ended, config.connect(NoTls)) {
                (Some(_), _) | (None, Ok(_)) => Ok(()),
                (None, Err(error)) => Err(Error::from(error).to_string()),
            }
        })?;
        match ended {
            None => Ok(()),
            Some(status) => {
                self.running = None;
                Err(Error::Program {
                    program: format!("server {}", self.folder().display()),
                    status: status.to_string(),
                    output: self.log_tail()?,
                })
            }
        }
    }

    /// Waits until the started program ends by itself, and says whether it succeeded. For starts that must fail.
    pub fn wait_end(&mut self, limit: Duration) -> Result<bool, Error> {
        let Some(child) = self.running.as_mut() else {
            return Ok(true);
        };
        let status = try_wait("the server to end by itself", limit, || match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err("it runs".to_owned()),
            Err(error) => Err(error.to_string()),
        })?;
        self.running = None;
        Ok(status.success())
    }

    /// Sends the program that was started a signal: for a replica the entrypoint, whatever it is at.
    pub fn signal_program(&self, how: Stop) -> Result<(), Error> {
        let user = self.parts.environment.owner.uid();
        let program = self.running.as_ref().and_then(|child| Process::of_user(child.id(), user));
        program.map_or(Ok(()), |program| program.signal(how.signal()))
    }

    /// Stops the server and waits until all of its processes are gone.
    pub fn stop(&mut self, how: Stop) -> Result<(), Error> {
        self.end(how.signal())
    }

    /// Stops and starts.
    pub fn restart(&mut self, how: Stop) -> Result<(), Error> {
        self.stop(how)?;
        self.start()
    }

    /// SIGKILLs the postmaster, as the kernel does when memory is short, and waits until its children have noticed.
    pub fn kill_postmaster(&mut self) -> Result<(), Error> {
        self.end(Signal::KILL)
    }

    /// SIGKILLs everything that was started, at once, as a lost machine or container would be; works in the middle of a
    /// clone, too.
    pub fn kill_all(&mut self) -> Result<(), Error> {
        let Some(mut child) = self.running.take() else {
            return Ok(());
        };
        let children = held_descendants(child.id(), self.parts.environment.owner.uid());
        // Not collected yet, so that its number is its own.
        let _ = child.kill();
        children.iter().try_for_each(|process| process.signal(Signal::KILL))?;
        let pids: Vec<_> = std::iter::once(child.id()).chain(children.iter().map(Process::pid)).collect();
        child.wait().context(|| "wait for the killed server".to_owned())?;
        wait_gone("the killed processes to end", &pids, LIMIT)
    }

    fn end(&mut self, how: Signal) -> Result<(), Error> {
        let pids = self.directory().signal(how)?;
        let Some(postmaster) = pids.first() else {
            return self.kill_all();
        };
        let what = format!("server {} to stop", self.folder().display());
        if let Some(child) = self.running.as_mut() {
            // Collecting our child is what makes it disappear.
            try_wait(&what, LIMIT, || match child.try_wait() {
                Ok(Some(_)) => Ok(()),
                Ok(None) => Err(format!("postmaster {postmaster} runs")),
                Err(error) => Err(error.to_string()),
            })?;
        }
        self.running = None;
        wait_gone(&what, &pids, LIMIT)
    }

    /// Whether the postmaster runs.
    pub fn is_running(&self) -> bool {
        self.directory().is_running()
    }

    /// The data directory, to send signals to the server on it.
    #[must_use]
    pub fn directory(&self) -> DataDirectory {
        DataDirectory::new(&self.data(), &self.parts.environment.owner)
    }

    /// Leaves the server running and its folder where it is, as a run does that is killed.
    pub fn forget(mut self) {
        self.parts.folder.disable_cleanup(true);
        self.forgotten = true;
    }

    /// SIGKILLs one process of this server.
    pub fn kill_process(&self, pid: i32) -> Result<(), Error> {
        self.directory().signal_process(pid, Signal::KILL)
    }

    /// All that the server has logged.
    pub fn log(&self) -> Result<String, Error> {
        let path = self.folder().join("log");
        std::fs::read_to_string(&path).context(|| format!("read {}", path.display()))
    }

    /// Whether the log has this text anywhere.
    pub fn log_contains(&self, text: &str) -> Result<bool, Error> {
        Ok(self.log()?.contains(text))
    }

    fn log_tail(&self) -> Result<String, Error> {
        let log = self.log()?;
        let lines: Vec<_> = log.lines().collect();
        Ok(lines[lines.len().saturating_sub(20)..].join("\n"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.forgotten {
            return;
        }
        // Nothing can be returned here: what goes wrong is said.
        let stopped = if self.is_running() { self.stop(Stop::Immediate) } else { Ok(()) };
        let killed = self.kill_all();
        for error in [&stopped, &killed].into_iter().filter_map(|result| result.as_ref().err()) {
            eprintln!("{error}");
        }
        // A test whose server does not end, or whose entrypoint does not end with it, must fail.
        let is_a_test = std::env::var_os("NEXTEST").is_some() && !std::thread::panicking();
        assert!(!is_a_test || stopped.and(killed).is_ok(), "the server did not end: see above");
    }
}
