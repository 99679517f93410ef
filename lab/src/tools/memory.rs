//! A folder in memory for the servers of tests: nothing of them outlasts a run, and on a disk they wait for it a third of the time.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;
use tempfile::TempDir;

use crate::error::{Context, Error};
use crate::tools::State;

/// Where Linux has a file system in memory.
const SHARED_MEMORY: &str = "/dev/shm";

/// What a folder is called, before the process that made it and what makes its name unlike others. It is short: sockets lie in such folders.
const PREFIX: &str = "operations.";

/// What must be free of it and of the machine's memory: the servers of the tests take up to 8 GB, and the programs some more.
const NEEDED: u64 = 14 << 30;

/// A folder in memory, which goes when the value is dropped.
#[derive(Debug)]
pub struct InMemory(TempDir);

impl InMemory {
    /// Makes one; `None` where there is too little memory, or the servers are to be kept for a look at them.
    ///
    /// # Errors
    ///
    /// If it cannot be made where there is room for it.
    pub fn make(state: &State) -> Result<Option<Self>, Error> {
        remove_those_of_the_dead();
        if std::env::var_os("OPERATIONS_KEEP").is_some() || !has_room() {
            return Ok(None);
        }
        let made =
            tempfile::Builder::new().prefix(&format!("{PREFIX}{}.", std::process::id())).tempdir_in(SHARED_MEMORY);
        let made = made.and_then(|folder| {
            std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
            let servers = servers(folder.path());
            std::fs::create_dir(&servers)?;
            if state.owner.is_lent() {
                lchown(&servers, Some(state.owner.uid()), Some(state.owner.gid()))?;
            }
            Ok(Self(folder))
        });
        made.map(Some).context(|| format!("make a folder in {SHARED_MEMORY}"))
    }

    /// The folder itself, which is the caller's.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// One in it that belongs to the servers' user.
    #[must_use]
    pub fn servers(&self) -> PathBuf {
        servers(self.path())
    }
}

fn servers(folder: &Path) -> PathBuf {
    folder.join("servers")
}

fn has_room() -> bool {
    let free = statvfs(SHARED_MEMORY).map_or(0, |system| system.f_bavail.saturating_mul(system.f_frsize));
    free >= NEEDED && available_memory() >= NEEDED
}

/// What the kernel could give to programs, in bytes.
fn available_memory() -> u64 {
    let facts = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = facts.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0).saturating_mul(1024)
}

/// What a run that was killed has left takes memory until somebody removes it. Nobody else's: the folder must be ours, and whoever is in
/// its name must be gone. A server that still runs there ends by itself, within a minute, since its postmaster.pid is missing.
fn remove_those_of_the_dead() {
    for entry in std::fs::read_dir(SHARED_MEMORY).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let maker = name.strip_prefix(PREFIX).and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
        let is_ours =
            entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == rustix::process::geteuid().as_raw());
        if is_ours && maker.is_some_and(|maker| !Path::new("/proc").join(maker.to_string()).exists()) {
            // Whatever remains is looked at again by the next run.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
