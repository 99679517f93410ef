//! The replica, cloned and started by the same script as in Docker.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, PipeReader};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::fs::OFlags;

use crate::demo::lock::DataLock;
use crate::demo::servers::{LogMark, START};
use crate::demo::{Demo, Programs, Scheduler};
use crate::error::{Context, DemoError, Error};
use crate::long;
use crate::role::Role;
use crate::say::say;
use crate::server::DataDirectory;
use crate::server::entrypoint::Entrypoint;

/// The script clones anew what failed to start twice.
const GOES: u32 = 3;

impl Demo {
    /// Starts the replica, and clones it first where that is due.
    pub(crate) fn start_replica(&mut self, programs: &Programs, scheduler: &Scheduler) -> Result<(), Error> {
        self.start_or_clone(programs, scheduler, false)
    }

    /// Throws the replica's data away, once there is a new clone.
    pub(crate) fn clone_replica(&mut self, programs: &Programs, scheduler: &Scheduler) -> Result<(), Error> {
        self.start_or_clone(programs, scheduler, true)
    }

    fn start_or_clone(&mut self, programs: &Programs, scheduler: &Scheduler, anew: bool) -> Result<(), Error> {
        say(&format!("Starting the replica on port {}", self.port(Role::Replica)));
        for go in 0..GOES {
            if !self.prepare_replica(programs, anew && go == 0)? {
                break;
            }
            let log = LogMark::set(self, Role::Replica)?;
            if self.run_replica(programs, scheduler, &log)? {
                return Ok(());
            }
            say(&format!("    it did not start: {}", log.reason()));
        }
        self.restore_passwords()?;
        Err(DemoError::ReplicaNotStarted { log: self.layout.log(Role::Replica) }.into())
    }

    /// The script for the replica's data, to which the caller adds the server's command.
    fn entrypoint(&self, programs: &Programs, data: &DataDirectory) -> Command {
        let settings = &self.settings;
        let entrypoint = Entrypoint {
            script: self.layout.docker().join("init_replica/replica-entrypoint.sh"),
            primary_port: self.upstream_port(),
            user: settings.replication_user.clone(),
            password: settings.replication_password.clone(),
            slot: self.slot(),
            wait_seconds: 30,
        };
        let mut command = programs.ready(Command::new("bash"));
        entrypoint.prepare(&mut command, &self.layout.owner, programs.bindir(), data.path());
        command.stdin(Stdio::null());
        command
    }

    /// Makes the data ready, by a clone where one is due. Ctrl-C ends it. Whether it succeeded; if not it has said why.
    fn prepare_replica(&self, programs: &Programs, anew: bool) -> Result<bool, Error> {
        let data = self.layout.data(Role::Replica);
        let mut command = self.entrypoint(programs, &data);
        if anew {
            command.env("REPLICA_RECLONE", "always");
        }
        command.arg("true");
        let lock = DataLock::take(&self.layout, Role::Replica, &data)?;
        let pipe = std::io::pipe().and_then(|(reader, writer)| Ok((reader, writer.try_clone()?, writer)));
        let (reader, stdout, stderr) = pipe.context(|| "make a pipe".to_owned())?;
        command.stdout(stdout).stderr(stderr);
        let mut child = lock.spawn(&mut command)?;
        // It holds the ends that are written to.
        drop(command);
        pass_on(reader);
        Ok(child.wait().context(|| "wait for the replica's entrypoint".to_owned())?.success())
    }

    /// Starts the server as a child of the script, which stays: it clones the replica anew when its slot is lost. Whether the
    /// server takes connections.
    fn run_replica(&self, programs: &Programs, scheduler: &Scheduler, log: &LogMark) -> Result<bool, Error> {
        let (data, file) = (self.layout.data(Role::Replica), self.layout.log(Role::Replica));
        let opened = self.layout.owner.files(|| {
            // Does not wait where somebody has put a FIFO there.
            let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
            let log = OpenOptions::new().create(true).append(true).mode(0o600).custom_flags(nonblocking).open(&file)?;
            Ok((log.try_clone()?, log))
        });
        let (stdout, stderr) = opened.context(|| format!("open {}", file.display()))?;
        let mut command = self.entrypoint(programs, &data);
        command.env("REPLICA_PREPARED", "1").env_remove("REPLICA_RECLONE");
        // What becomes of this command, and a Ctrl-C at its terminal, is nothing to the replica.
        command.stdout(stdout).stderr(stderr).process_group(0).current_dir(&self.layout.folder);
        command.arg(programs.bindir().join("postgres")).arg("-D").arg(data.path());
        for setting in self.server_settings(Role::Replica, &scheduler.settings) {
            command.args(["-c", &setting]);
        }
        let lock = DataLock::take(&self.layout, Role::Replica, &data)?;
        let mut child = lock.spawn(&mut command)?;
        let is_ready = |waited| match data.is_ready() {
            false if waited > START => Err(DemoError::ReplicaNotStarted { log: file.clone() }.into()),
            is_ready => Ok(is_ready),
        };
        if long::wait_or(&mut child, "    ", || log.last_line(), is_ready)?.is_some() {
            return Ok(false);
        }
        lock.remember(data.path())?;
        Ok(true)
    }
}

/// Says what the script says, as it says it.
fn pass_on(reader: PipeReader) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        say(&format!("    {}", String::from_utf8_lossy(&line).trim_end_matches('\n')));
        line.clear();
    }
}
