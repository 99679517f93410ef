//! Processes by their ids: who is whose child, signals, and waiting until they are gone.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::error::{Context, Error};
use crate::server::wait::try_wait;

/// The processes below `parent`, the nearest first.
pub(crate) fn descendants(parent: u32) -> Vec<u32> {
    let mut found = vec![parent];
    let mut next = 0;
    let pairs = parents();
    while let Some(&pid) = found.get(next) {
        found.extend(pairs.iter().filter(|(_, of)| *of == pid).map(|(id, _)| id));
        next += 1;
    }
    found.split_off(1)
}

/// The numbers of all processes that live now.
fn pids() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Every process with its parent, of those that live now.
fn parents() -> Vec<(u32, u32)> {
    pids().filter_map(|pid| Some((pid, stat(pid)?.1))).collect()
}

/// The processes of a user that live now, held: what is looked up of one by its number is its own.
pub(crate) fn all_of_user(user: u32) -> impl Iterator<Item = Process> {
    pids().filter_map(move |pid| Process::of_user(pid, user))
}

/// State and parent from `/proc/pid/stat`; the name before them is in parentheses and may hold anything.
fn stat(pid: u32) -> Option<(char, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// The user who runs a process. The owner of `/proc/pid` is root's where the process may not be looked into.
pub(crate) fn user_of(pid: u32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().next()?.parse().ok()
}

/// Whether a process runs; one that is dead and only not yet collected by its parent does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != 'Z' && state != 'X')
}

/// A process by its number. The number cannot become another process's as long as this lives.
#[derive(Debug)]
pub(crate) struct Process {
    pid: u32,
    handle: OwnedFd,
}

impl Process {
    /// The process that has this number now, if it is this user's: the next one of the same number may be anybody's.
    pub fn of_user(pid: u32, user: u32) -> Option<Self> {
        let handle = pidfd_open(Pid::from_raw(i32::try_from(pid).ok()?)?, PidfdFlags::empty()).ok()?;
        (user_of(pid)? == user).then_some(Self { pid, handle })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends it a signal; that it is gone already is no error.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        match pidfd_send_signal(&self.handle, signal) {
            Err(rustix::io::Errno::SRCH) => Ok(()),
            other => other.context(|| format!("send {signal:?} to process {}", self.pid)),
        }
    }
}

/// The processes below `parent` that are this user's, held so that their numbers stay theirs. Each was below it before and
/// after it was held.
pub(crate) fn held_descendants(parent: u32, user: u32) -> Vec<Process> {
    let held: Vec<_> = descendants(parent).into_iter().filter_map(|pid| Process::of_user(pid, user)).collect();
    let still = descendants(parent);
    held.into_iter().filter(|process| still.contains(&process.pid)).collect()
}

/// How long process 1 may take to collect the dead that nobody else does. In a container it may never.
const COLLECTED: Duration = Duration::from_secs(5);

/// Waits until none of these processes runs, and until what is left of them is gone: PostgreSQL takes a dead process that was
/// not collected for the server that holds its lock file.
pub(crate) fn wait_gone(what: &str, pids: &[u32], limit: Duration) -> Result<(), Error> {
    let began = Instant::now();
    let ours = std::process::id();
    // The caller collects its own.
    let is_left = |pid: u32| stat(pid).is_some_and(|(_, parent)| parent != ours) && began.elapsed() < COLLECTED;
    try_wait(what, limit, || {
        let left: Vec<_> = pids.iter().filter(|pid| is_alive(**pid) || is_left(**pid)).collect();
        match left.is_empty() {
            true => Ok(()),
            false => Err(format!("processes {left:?} still run")),
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_of_another_user_is_not_signalled() {
        let mut sleep = Command::new("sleep").arg("60").spawn().unwrap();
        let user = rustix::process::getuid().as_raw();
        assert!(Process::of_user(sleep.id(), user + 1).is_none());
        assert!(held_descendants(std::process::id(), user + 1).is_empty());
        let held = held_descendants(std::process::id(), user);
        let process = held.iter().find(|process| process.pid() == sleep.id()).unwrap();
        process.signal(Signal::KILL).unwrap();
        assert_eq!(sleep.wait().unwrap().signal(), Some(9));
        // Gone, and its number perhaps another's.
        process.signal(Signal::KILL).unwrap();
    }
}
