//! Locks: one command at a time on a demo, and one server at a time on its data.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::io::{FdFlags, fcntl_setfd};

use crate::demo::layout::Layout;
use crate::error::{Context, DemoError, Error};
use crate::role::Role;
use crate::say::say;
use crate::server::process::all_of_user;
use crate::server::{DataDirectory, Owner, Signal, open_to_read, try_wait};

/// How long a lock may be held by who only looks whether it is.
const LOOKED: Duration = Duration::from_secs(1);

/// How long what is left of a killed server may take to end.
const LEFTOVERS_END: Duration = Duration::from_secs(30);

/// Locks the demo for one command, until the returned file is dropped; nothing if there is no demo. The folder itself is what
/// is locked: nothing has to be made or opened for writing.
pub(crate) fn lock_demo(layout: &Layout, limit: Duration) -> Result<Option<File>, Error> {
    if !layout.folder.is_dir() {
        return Ok(None);
    }
    let folder = layout.owner.files(|| File::open(&layout.folder));
    let folder = folder.context(|| format!("open {}", layout.folder.display()))?;
    if !locked_within(&folder, limit).context(|| format!("lock {}", layout.folder.display()))? {
        return Err(DemoError::Locked.into());
    }
    // It may have been made anew meanwhile.
    let identity = |found: io::Result<std::fs::Metadata>| found.map(|found| (found.dev(), found.ino())).ok();
    if identity(folder.metadata()) != identity(std::fs::metadata(&layout.folder)) {
        return Err(DemoError::LockGone.into());
    }
    Ok(Some(folder))
}

/// The right to start a server on some data. All processes of the server inherit it: it is held for as long as one of them
/// lives, and seen from every container that shares the folder, which their numbers are not.
pub(crate) struct DataLock {
    file: File,
    path: PathBuf,
    owner: Owner,
}

impl DataLock {
    /// Takes the lock of a server, and clears away what a dead one has left in its data and beside its sockets.
    pub fn take(layout: &Layout, role: Role, data: &DataDirectory) -> Result<Self, Error> {
        // That of a container holds the folder's number, too.
        let path = layout.beside(role, if layout.in_containers { "server" } else { "lock" });
        let opened = layout.owner.files(|| match open_to_read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path)
            }
            found => found,
        });
        let file = opened.context(|| format!("open {}", path.display()))?;
        let lock = |limit| locked_within(&file, limit).context(|| format!("lock {}", path.display()));
        let mut locked = lock(LOOKED)?;
        if !locked {
            end_all_but_the_server(&file, &layout.owner)?;
            say(&format!("    waiting for what is still at work in {} to end", data.path().display()));
            locked = lock(LEFTOVERS_END)?;
        }
        if !locked {
            return Err(DemoError::DataInUse { data: data.path().to_owned(), lock: path }.into());
        }
        let lock = Self { file, path, owner: layout.owner.clone() };
        let cleared = lock.clear_stale(data.path(), &layout.sockets());
        cleared.context(|| format!("clear away what a killed server left in {}", data.path().display()))?;
        Ok(lock)
    }

    /// Starts what becomes, or starts, the server.
    pub fn spawn(&self, command: &mut Command) -> Result<Child, Error> {
        let program = command.get_program().to_string_lossy().into_owned();
        fcntl_setfd(&self.file, FdFlags::empty()).context(|| "pass on the lock of the data".to_owned())?;
        let child = command.spawn().context(|| format!("start {program}"));
        fcntl_setfd(&self.file, FdFlags::CLOEXEC).context(|| "keep the lock of the data".to_owned())?;
        child
    }

    /// Leaves the lock to what was started under it; what is noted of that, can still be.
    pub fn into_note(self) -> LockNote {
        LockNote { path: self.path, owner: self.owner }
    }

    /// Notes which server has the lock now: its number and its start, as its `postmaster.pid` says them.
    pub fn remember(&self, data: &Path) -> Result<(), Error> {
        remember(&self.path, &self.owner, data)
    }

    /// The server refuses to start on the `postmaster.pid` of one that was killed, for as long as there is another process of
    /// that number. PostgreSQL cannot tell the two apart; we can, if the dead one was ours: no process holds its lock.
    fn clear_stale(&self, data: &Path, sockets: &Path) -> io::Result<()> {
        let noted = self.owner.read(&self.path)?;
        self.owner.files(|| {
            if noted.is_empty() || identity_of(data).ok().as_deref() != Some(noted.as_str()) {
                return Ok(());
            }
            std::fs::remove_file(data.join("postmaster.pid"))?;
            let pid = noted.lines().next();
            for entry in std::fs::read_dir(sockets).into_iter().flatten().flatten() {
                let lock = entry.path();
                let is_lock = entry.file_name().to_string_lossy().starts_with(".s.PGSQL.")
                    && lock.extension().is_some_and(|extension| extension == "lock");
                if is_lock && std::fs::read_to_string(&lock)?.lines().next() == pid {
                    std::fs::remove_file(&lock)?;
                    // The socket itself may be gone.
                    let _ = std::fs::remove_file(lock.with_extension(""));
                }
            }
            Ok(())
        })
    }
}

/// Where it is noted which server has a lock.
pub(crate) struct LockNote {
    path: PathBuf,
    owner: Owner,
}

impl LockNote {
    /// The same as [`DataLock::remember`].
    pub fn remember(&self, data: &Path) -> Result<(), Error> {
        remember(&self.path, &self.owner, data)
    }
}

fn remember(path: &Path, owner: &Owner, data: &Path) -> Result<(), Error> {
    let noted = owner.files(|| {
        let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
        file.write_all(identity_of(data)?.as_bytes())
    });
    noted.context(|| format!("write {}", path.display()))
}

/// Ends who would start a server of the demo again, or is about to: the script that runs the replica. What it has started and
/// cannot be told from a server yet is waited for.
pub(crate) fn end_watcher(layout: &Layout, role: Role, data: &DataDirectory) -> Result<(), Error> {
    let path = layout.beside(role, "lock");
    let Ok(lock) = layout.owner.files(|| open_to_read(&path)) else {
        return Ok(());
    };
    if end_all_but_the_server(&lock, &layout.owner)? == 0 {
        return Ok(());
    }
    try_wait("what runs the server to end", LEFTOVERS_END, || {
        end_all_but_the_server(&lock, &layout.owner).map_err(|error| error.to_string())?;
        match data.is_running() || locked_within(&lock, Duration::ZERO).unwrap_or(true) {
            true => Ok(()),
            false => Err(format!("{} is held, and no server runs", path.display())),
        }
    })
}

/// Ends what else than a server holds its lock: an entrypoint, or what is left of one that was killed. A clone in a group of
/// processes of its own goes on, and pg_basebackup's second process for ever. Whoever holds the demo's lock knows that nobody
/// waits for it. How many there were. A process of this program is none of them: it may be at a look, and a server's container holds
/// nothing of its own.
fn end_all_but_the_server(lock: &File, owner: &Owner) -> Result<usize, Error> {
    let identity = |found: std::fs::Metadata| (found.dev(), found.ino());
    let wanted = lock.metadata().map(identity).context(|| "look at a lock".to_owned())?;
    let holds = |pid: u32| {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files.into_iter().any(|file| std::fs::metadata(file.path()).map(identity).is_ok_and(|found| found == wanted))
    };
    let is_server =
        |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_end() == "postgres");
    let others = all_of_user(owner.uid()).filter(|process| !is_this_program(process.pid()));
    let left: Vec<_> = others.filter(|process| holds(process.pid()) && !is_server(process.pid())).collect();
    left.iter().try_for_each(|process| process.signal(Signal::KILL))?;
    Ok(left.len())
}

/// Whether a process is this one, or another one of this program.
fn is_this_program(pid: u32) -> bool {
    let program = |of: &str| std::fs::metadata(format!("/proc/{of}/exe")).map(|found| (found.dev(), found.ino())).ok();
    program(&pid.to_string()).is_some_and(|found| program("self") == Some(found))
}

/// The first and third line of a `postmaster.pid`.
fn identity_of(data: &Path) -> io::Result<String> {
    let text = std::fs::read_to_string(data.join("postmaster.pid"))?;
    Ok(text.lines().step_by(2).take(2).map(|line| format!("{line}\n")).collect())
}

fn locked_within(file: &File, limit: Duration) -> io::Result<bool> {
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if start.elapsed() >= limit => return Ok(false),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(50)),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn one_command_at_a_time_works_on_a_demo() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::of_its_owner(&folder.path().join("demo"));
        assert!(lock_demo(&layout, Duration::ZERO).unwrap().is_none());
        std::fs::create_dir(&layout.folder).unwrap();
        let lock = lock_demo(&layout, Duration::ZERO).unwrap();
        assert!(matches!(lock_demo(&layout, Duration::ZERO), Err(Error::Demo(DemoError::Locked))));
        drop(lock);
        assert!(lock_demo(&layout, Duration::ZERO).unwrap().is_some());
    }

    /// The page's process in the lab looks at each server's lock all the time.
    #[test]
    fn who_only_looks_is_waited_for_and_what_is_left_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::of_its_owner(&folder.path().join("demo"));
        let data = layout.data(Role::Primary);
        std::fs::create_dir_all(data.path()).unwrap();
        let path = layout.beside(Role::Primary, "lock");
        let look = File::create(&path).unwrap();
        look.lock_shared().unwrap();
        let looks = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            drop(look);
        });
        let lock = DataLock::take(&layout, Role::Primary, &data).unwrap();
        looks.join().unwrap();

        let mut left = lock.spawn(Command::new("sleep").arg("60")).unwrap();
        let file = File::open(&path).unwrap();
        assert_eq!(end_all_but_the_server(&file, &layout.owner).unwrap(), 1);
        assert!(is_this_program(std::process::id()) && !is_this_program(left.id()));
        assert!(!left.wait().unwrap().success());
    }

    #[test]
    fn what_a_dead_server_left_is_cleared_away_if_it_was_ours() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::of_its_owner(&folder.path().join("demo"));
        let data = layout.data(Role::Primary);
        std::fs::create_dir_all(data.path()).unwrap();
        std::fs::create_dir(layout.sockets()).unwrap();
        let (pid_file, socket) = (data.path().join("postmaster.pid"), layout.sockets().join(".s.PGSQL.5432.lock"));
        std::fs::write(&pid_file, "12\n/data\n1700000000\n5432\n").unwrap();
        std::fs::write(&socket, "12\n/data\n").unwrap();

        // Whose server it was is not known.
        let lock = DataLock::take(&layout, Role::Primary, &data).unwrap();
        assert!(pid_file.exists());
        lock.remember(data.path()).unwrap();
        drop(lock);
        drop(DataLock::take(&layout, Role::Primary, &data).unwrap());
        assert!(!pid_file.exists() && !socket.exists());
    }
}
