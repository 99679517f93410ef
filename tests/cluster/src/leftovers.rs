//! Servers of runs that were killed and could not tidy up: the next run stops and deletes them. A folder in use is
//! known by a lock that the process which made it holds for as long as it lives.

use std::fs::File;
use std::path::Path;

use rustix::process::Signal;

use crate::environment::Environment;
use crate::error::{Context, Error};
use crate::process::{descendants, signal, wait_gone};
use crate::server::{LIMIT, postmaster_of};

/// The file in a server's folder whose lock says that the folder is in use.
const IN_USE: &str = "in_use";

/// The file in a server's folder that says that somebody wants to look at it.
const KEEP: &str = "keep";

/// Marks a folder as in use, until the returned file is dropped.
pub(crate) fn mark_in_use(environment: &Environment, folder: &Path, keep: bool) -> Result<File, Error> {
    // Nobody tidies up between the making of the file and its lock.
    let _tidying = lock(&environment.scratch.join("tidying.lock"))?;
    if keep {
        File::create(folder.join(KEEP)).context(|| format!("mark {}", folder.display()))?;
    }
    lock(&folder.join(IN_USE))
}

/// Stops and deletes what nobody uses any more.
pub(crate) fn tidy_up(scratch: &Path) -> Result<(), Error> {
    let _tidying = lock(&scratch.join("tidying.lock"))?;
    let entries = std::fs::read_dir(scratch).context(|| format!("read {}", scratch.display()))?;
    for folder in entries.flatten().map(|entry| entry.path()) {
        let Ok(mark) = File::open(folder.join(IN_USE)) else {
            continue;
        };
        if mark.try_lock().is_err() || folder.join(KEEP).exists() {
            continue;
        }
        if let Some(postmaster) = postmaster_of(&folder.join("data")) {
            let mut pids = descendants(postmaster);
            pids.insert(0, postmaster);
            signal(postmaster, Signal::QUIT)?;
            wait_gone("a left-over server to stop", &pids, LIMIT)?;
        }
        std::fs::remove_dir_all(&folder).context(|| format!("remove {}", folder.display()))?;
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File, Error> {
    let file = File::create(path).context(|| format!("make {}", path.display()))?;
    file.lock().context(|| format!("lock {}", path.display()))?;
    Ok(file)
}
