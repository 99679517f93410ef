//! A data directory and the server that runs on it.

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::error::{Context, Error};
use crate::server::process::{descendants, is_alive, signal, user_of, wait_gone};
use crate::server::{LIMIT, Owner};

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
    owner: Owner,
}

/// A postmaster that runs. Its number cannot become another process's as long as this lives.
struct Postmaster {
    pid: u32,
    process: OwnedFd,
}

impl DataDirectory {
    /// The data directory of that name, which need not exist.
    #[must_use]
    pub fn new(path: &Path, owner: &Owner) -> Self {
        Self { path: path.to_owned(), owner: owner.clone() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The process id in `postmaster.pid`, whether that process runs or not.
    #[must_use]
    pub fn recorded_pid(&self) -> Option<u32> {
        self.owner.read(&self.path.join("postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
    }

    /// The postmaster's process id, if it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.postmaster().map(|postmaster| postmaster.pid)
    }

    /// Whether a server runs on it.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.postmaster().is_some()
    }

    /// Sends the postmaster a signal; returns it and the processes below it, or nothing if no server runs.
    pub fn signal(&self, signal: Signal) -> Result<Vec<u32>, Error> {
        let Some(postmaster) = self.postmaster() else {
            return Ok(Vec::new());
        };
        let mut pids = descendants(postmaster.pid);
        pids.insert(0, postmaster.pid);
        match pidfd_send_signal(&postmaster.process, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(pids),
            Err(error) => Err(error).context(|| format!("send {signal:?} to process {}", postmaster.pid)),
        }
    }

    /// Sends one process of the server a signal, by the process id that `pg_stat_activity` shows.
    pub fn signal_process(&self, pid: i32, how: Signal) -> Result<(), Error> {
        let ours = self.pid().map(descendants).unwrap_or_default();
        match u32::try_from(pid).ok().filter(|pid| ours.contains(pid)) {
            Some(pid) => signal(pid, how),
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
        let pids = self.signal(Signal::KILL)?;
        for pid in pids.iter().skip(1) {
            signal(*pid, Signal::KILL)?;
        }
        wait_gone(&format!("the killed processes of {} to end", self.path.display()), &pids, LIMIT)?;
        Ok(!pids.is_empty())
    }

    fn end(&self, how: Signal, limit: Duration) -> Result<bool, Error> {
        let pids = self.signal(how)?;
        wait_gone(&format!("the server of {} to stop", self.path.display()), &pids, limit)?;
        Ok(!pids.is_empty())
    }

    /// The process that `postmaster.pid` names may be another one: after a restart of the machine, or because the server's
    /// user wrote it there. A postmaster belongs to that user and works in its data directory.
    fn postmaster(&self) -> Option<Postmaster> {
        let pid = self.recorded_pid()?;
        let process = pidfd_open(Pid::from_raw(i32::try_from(pid).ok()?)?, PidfdFlags::empty()).ok()?;
        let belongs = user_of(pid)? == self.owner.uid();
        let works_here = same_file(Path::new(&format!("/proc/{pid}/cwd")), &self.path);
        (belongs && works_here && is_alive(pid)).then_some(Postmaster { pid, process })
    }
}

/// Whether both names lead to the same file or folder.
fn same_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| std::fs::metadata(path).map(|found| (found.dev(), found.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
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
