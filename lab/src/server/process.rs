//! Processes by their ids: who is whose child, signals, and waiting until they are gone.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

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

/// Every process with its parent, of those that live now.
fn parents() -> Vec<(u32, u32)> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, stat(pid)?.1))
        })
        .collect()
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

/// Sends a signal to a process; one that is gone already is no error.
pub(crate) fn signal(pid: u32, signal: Signal) -> Result<(), Error> {
    let Some(target) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Err(Error::Environment(format!("{pid} is no process id")));
    };
    match kill_process(target, signal) {
        Err(rustix::io::Errno::SRCH) => Ok(()),
        other => other.context(|| format!("send {signal:?} to process {pid}")),
    }
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
