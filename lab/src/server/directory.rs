//! A data directory and the server that runs on it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::error::Error;
use crate::server::process::{Process, wait_gone};
use crate::server::{Daemon, LIMIT, Owner};

/// How a server is asked to stop.
#[derive(Clone, Copy, Debug)]
pub enum Stop {
    /// Waits for its sessions to end.
    Smart,
    /// Ends its sessions; the next start needs no recovery.
    Fast,
    /// Ends at once; the next start recovers.
    Immediate,
}

impl Stop {
    pub(crate) fn signal(self) -> Signal {
        match self {
            Self::Smart => Signal::TERM,
            Self::Fast => Signal::INT,
            Self::Immediate => Signal::QUIT,
        }
    }
}

/// A data directory, and who runs the server on it.
#[derive(Clone, Debug)]
pub struct DataDirectory {
    path: PathBuf,
    postmaster: Daemon,
}

impl DataDirectory {
    /// The data directory of that name, which need not exist.
    #[must_use]
    pub fn new(path: &Path, owner: &Owner) -> Self {
        Self { path: path.to_owned(), postmaster: Daemon::new(path, "postmaster.pid", owner) }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The process id in `postmaster.pid`, whether that process runs or not.
    #[must_use]
    pub fn recorded_pid(&self) -> Option<u32> {
        self.postmaster.recorded_pid()
    }

    /// The postmaster's process id, if it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.postmaster.pid()
    }

    /// Whether a server runs on it.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.pid().is_some()
    }

    /// Whether a server runs on it that takes connections, as `pg_ctl` asks that.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let state = self.postmaster.recorded_line(7);
        self.is_running() && state.is_some_and(|state| ["ready", "standby"].contains(&state.trim()))
    }

    /// Sends the postmaster a signal; returns it and the processes below it, or nothing if no server runs.
    pub fn signal(&self, signal: Signal) -> Result<Vec<u32>, Error> {
        self.postmaster.signal(signal)
    }

    /// Sends one process of the server a signal, by the process id that `pg_stat_activity` shows.
    pub fn signal_process(&self, pid: i32, how: Signal) -> Result<(), Error> {
        let ours = self.postmaster.children();
        match ours.iter().find(|process| u32::try_from(pid) == Ok(process.pid())) {
            Some(process) => process.signal(how),
            None => Err(Error::Environment(format!("process {pid} is none of the server of {}", self.path.display()))),
        }
    }

    /// Stops the server, and waits until all its processes are gone. Whether there was one to stop.
    pub fn stop(&self, how: Stop, limit: Duration) -> Result<bool, Error> {
        self.end(how.signal(), limit)
    }

    /// SIGKILLs the postmaster, as the kernel does when memory is short, and waits until its children have noticed.
    pub fn kill_postmaster(&self) -> Result<bool, Error> {
        self.end(Signal::KILL, LIMIT)
    }

    /// SIGKILLs all processes of the server at once, as a lost machine would.
    pub fn kill_all(&self) -> Result<bool, Error> {
        // Held before the first dies: what its children become is not known.
        let children = self.postmaster.children();
        let pids = self.signal(Signal::KILL)?;
        children.iter().try_for_each(|process| process.signal(Signal::KILL))?;
        wait_gone(&format!("the killed processes of {} to end", self.path.display()), &pids, LIMIT)?;
        Ok(!pids.is_empty())
    }

    /// SIGKILLs what is left of a server whose postmaster is dead: a process that is stopped does not notice its death.
    pub(crate) fn kill_leftovers(&self) -> Result<(), Error> {
        let left = self.postmaster.all_of("postgres");
        left.iter().try_for_each(|process| process.signal(Signal::KILL))?;
        let pids: Vec<_> = left.iter().map(Process::pid).collect();
        wait_gone(&format!("what is left of the server of {} to end", self.path.display()), &pids, LIMIT)
    }

    fn end(&self, how: Signal, limit: Duration) -> Result<bool, Error> {
        let pids = self.signal(how)?;
        wait_gone(&format!("the server of {} to stop", self.path.display()), &pids, limit)?;
        Ok(!pids.is_empty())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    struct Sleeping(Child);

    impl Sleeping {
        fn in_folder(folder: &Path) -> Self {
            let sleep = Self(Command::new("sleep").arg("60").current_dir(folder).spawn().unwrap());
            std::fs::write(folder.join("postmaster.pid"), format!("{}\n", sleep.0.id())).unwrap();
            sleep
        }
    }

    impl Drop for Sleeping {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn only_a_process_of_the_owner_that_works_there_is_the_server() {
        let (here, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let sleeping = Sleeping::in_folder(here.path());
        let server = DataDirectory::new(here.path(), &Owner::current());
        assert_eq!(server.pid(), Some(sleeping.0.id()));
        let stranger = Owner::by_id(Owner::current().uid() + 1, 0);
        assert!(!DataDirectory::new(here.path(), &stranger).is_running());
        std::fs::copy(here.path().join("postmaster.pid"), elsewhere.path().join("postmaster.pid")).unwrap();
        assert!(!DataDirectory::new(elsewhere.path(), &Owner::current()).is_running());
        drop(sleeping);
        assert!(!server.is_running());
    }
}
