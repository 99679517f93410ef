//! The replica, cloned and started by the same script as in Docker.

use std::io::{BufRead, BufReader, PipeReader};
use std::process::{Command, Stdio};

use crate::demo::lock::DataLock;
use crate::demo::servers::LogMark;
use crate::demo::{Demo, Programs, SLOT, Scheduler};
use crate::error::{Context, Error};
use crate::role::Role;
use crate::say::say;
use crate::server::entrypoint::Entrypoint;

/// Says that the server itself failed to start; everything else has said why in a line.
const SERVER_FAILED: i32 = 75;

/// The script clones anew what failed to start twice.
const GOES: u32 = 3;

/// Becomes the server's command, and tells its failure from those of the script.
const START: &str = "status=$1; shift; \"$@\" >/dev/null 2>&1 || exit \"$status\"";

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
            let log = LogMark::set(self, Role::Replica)?;
            match self.run_entrypoint(programs, scheduler, anew && go == 0)? {
                Some(0) => return Ok(()),
                Some(SERVER_FAILED) => say(&format!("    it did not start: {}", log.reason())),
                _ => break,
            }
        }
        self.restore_passwords()?;
        Err(Error::ReplicaNotStarted { log: self.layout.log(Role::Replica) })
    }

    /// Returns the script's exit code.
    fn run_entrypoint(&self, programs: &Programs, scheduler: &Scheduler, anew: bool) -> Result<Option<i32>, Error> {
        let (settings, data) = (&self.settings, self.layout.data(Role::Replica));
        let entrypoint = Entrypoint {
            script: self.layout.docker().join("init_replica/replica-entrypoint.sh"),
            primary_port: self.port(Role::Primary),
            user: settings.replication_user.clone(),
            password: settings.replication_password.clone(),
            slot: SLOT.to_owned(),
            wait_seconds: 30,
        };
        let mut command = programs.ready(Command::new("bash"));
        if anew {
            command.env("REPLICA_RECLONE", "always");
        }
        entrypoint.prepare(&mut command, &self.layout.owner, programs.bindir(), data.path());
        let server = self.start_arguments(Role::Replica, &data, &scheduler.settings);
        command.args(["sh", "-c", START, "sh", &SERVER_FAILED.to_string()]);
        command.arg(server.get_program()).args(server.get_args());

        let lock = DataLock::take(&self.layout, Role::Replica, &data)?;
        let pipe = std::io::pipe().and_then(|(reader, writer)| Ok((reader, writer.try_clone()?, writer)));
        let (reader, stdout, stderr) = pipe.context(|| "make a pipe".to_owned())?;
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let mut child = lock.spawn(&mut command)?;
        // It holds the ends that are written to.
        drop(command);
        pass_on(reader);
        let status = child.wait().context(|| "wait for the replica's entrypoint".to_owned())?;
        if status.success() {
            lock.remember(data.path())?;
        }
        Ok(status.code())
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
