//! A folder in memory for the servers of tests: nothing of them outlasts a run, and on a disk they wait for it a third of the time.

use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;
use tempfile::TempDir;

use crate::error::{Context, Error};
use crate::tools::State;

/// Where Linux has a file system in memory.
const SHARED_MEMORY: &str = "/dev/shm";

/// What a folder is called, before what makes its name unlike others. It is short: sockets lie in such folders.
const PREFIX: &str = "operations.";

/// The file in a folder whose lock says that the folder is in use.
const IN_USE: &str = "in_use";

/// What must be free of it and of the machine's memory: the servers of the tests take up to 8 GB, and the programs some more.
const NEEDED: u64 = 14 << 30;

/// A folder in memory, which goes when the value is dropped.
#[derive(Debug)]
pub struct InMemory {
    folder: TempDir,
    _in_use: File,
}

impl InMemory {
    /// Makes one; `None` where there is too little memory, or the servers are to be kept for a look at them.
    ///
    /// # Errors
    ///
    /// If it cannot be made where there is room for it.
    pub fn make(state: &State) -> Result<Option<Self>, Error> {
        if std::env::var_os("OPERATIONS_KEEP").is_some_and(|keep| keep == "1") || !has_room() {
            return Ok(None);
        }
        let make = || -> std::io::Result<Self> {
            let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(SHARED_MEMORY)?;
            // By another name until it is locked, so that nobody takes the folder for one of a run that is over.
            let new = folder.path().join("new");
            let in_use = File::create(&new)?;
            in_use.lock()?;
            std::fs::rename(&new, folder.path().join(IN_USE))?;
            std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
            let servers = servers(folder.path());
            std::fs::create_dir(&servers)?;
            if state.owner.is_lent() {
                lchown(&servers, Some(state.owner.uid()), Some(state.owner.gid()))?;
            }
            Ok(Self { folder, _in_use: in_use })
        };
        make().map(Some).context(|| format!("make a folder in {SHARED_MEMORY}"))
    }

    /// The folder itself, which is the caller's.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// One in it that belongs to the servers' user.
    #[must_use]
    pub fn servers(&self) -> PathBuf {
        servers(self.path())
    }
}

/// The folder of the servers in one in memory.
pub fn servers(folder: &Path) -> PathBuf {
    folder.join("servers")
}

/// Folders of runs that were killed, which take memory until somebody removes them: ours, not locked.
pub fn left_over() -> Vec<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let entries = std::fs::read_dir(SHARED_MEMORY).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| {
        entry.file_name().to_string_lossy().starts_with(PREFIX)
            && entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == user)
    });
    let paths = ours.map(|entry| entry.path());
    paths.filter(|path| File::open(path.join(IN_USE)).is_ok_and(|file| file.try_lock().is_ok())).collect()
}

fn has_room() -> bool {
    let free = statvfs(SHARED_MEMORY).map_or(0, |system| system.f_bavail.saturating_mul(system.f_frsize));
    free >= NEEDED && available_memory() >= NEEDED && left_of_limit() >= NEEDED
}

/// What the kernel could give to programs, in bytes.
fn available_memory() -> u64 {
    let facts = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = facts.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0).saturating_mul(1024)
}

/// What is left, in bytes, of what the control group of a container may take, by either version of control groups.
fn left_of_limit() -> u64 {
    const FILES: [(&str, &str); 2] = [
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ];
    let number = |path| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let left = FILES.into_iter().filter_map(|(limit, used)| Some(number(limit)?.saturating_sub(number(used)?)));
    left.min().unwrap_or(u64::MAX)
}
