//! Servers of runs that were killed and could not tidy up: the next run stops and deletes them. A folder in use is
//! known by a lock that the process which made it holds for as long as it lives.

use std::fs::{File, OpenOptions};
use std::path::Path;

use crate::error::{Context, Error};
use crate::server::{DataDirectory, Owner, Stop};
use crate::throwaway::LIMIT;

/// The file in a server's folder whose lock says that the folder is in use.
const IN_USE: &str = "in_use";

/// The file in a server's folder that says that somebody wants to look at it.
const KEEP: &str = "keep";

/// Marks a folder as in use, until the returned file is dropped.
pub(crate) fn mark_in_use(scratch: &Path, owner: &Owner, folder: &Path, keep: bool) -> Result<File, Error> {
    // Nobody tidies up between the making of the file and its lock.
    let _tidying = lock(owner, &scratch.join("tidying.lock"))?;
    if keep {
        let file = folder.join(KEEP);
        owner.write(&file, b"", false).context(|| format!("mark {}", folder.display()))?;
    }
    lock(owner, &folder.join(IN_USE))
}

/// Stops and deletes what nobody uses any more.
pub(crate) fn tidy_up(scratch: &Path, owner: &Owner) -> Result<(), Error> {
    let _tidying = lock(owner, &scratch.join("tidying.lock"))?;
    let entries = std::fs::read_dir(scratch).context(|| format!("read {}", scratch.display()))?;
    for folder in entries.flatten().map(|entry| entry.path()) {
        let Ok(mark) = File::open(folder.join(IN_USE)) else {
            continue;
        };
        if mark.try_lock().is_err() || folder.join(KEEP).exists() {
            continue;
        }
        DataDirectory::new(&folder.join("data"), owner).stop(Stop::Immediate, LIMIT)?;
        std::fs::remove_dir_all(&folder).context(|| format!("remove {}", folder.display()))?;
    }
    Ok(())
}

/// Waits for a lock and holds it until the returned file is dropped.
pub(crate) fn lock(owner: &Owner, path: &Path) -> Result<File, Error> {
    let file = lock_file(owner, path)?;
    file.lock().context(|| format!("lock {}", path.display()))?;
    Ok(file)
}

/// A file to lock, made where it is missing.
pub(crate) fn lock_file(owner: &Owner, path: &Path) -> Result<File, Error> {
    let opened = owner.files(|| match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            OpenOptions::new().read(true).append(true).create(true).open(path)
        }
        found => found,
    });
    opened.context(|| format!("open {}", path.display()))
}
