//! A full disk where the primary's WAL is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::doctor::Finding;
use crate::drill::fault::{Fault, Healed, as_root, make_demo};
use crate::drill::faults::processes::write_wal;
use crate::drill::scene::Scene;
use crate::error::{Context, Error};
use crate::role::Role;
use crate::server::{LIMIT, Stop, finish};

/// More WAL than this is not moved into memory.
const LARGEST: u64 = 1 << 30;

/// How large the file system is that the WAL is moved to. It takes no more memory than what is in it.
const LARGE: u64 = 4 << 30;

/// What is left of it when it is made small.
const LEFT: u64 = 20 << 20;

/// Moves the primary's WAL to a file system of its own, which then is too small.
#[derive(Default)]
pub struct WalFull {
    disk: PathBuf,
}

impl WalFull {
    /// The fault.
    pub fn fault() -> Box<dyn Fault> {
        Box::new(Self::default())
    }

    /// Why it cannot be done here.
    pub fn refuses(scene: &Scene) -> Option<String> {
        if let Some(why) = as_root(scene) {
            return Some(why);
        }
        let mut mount = Command::new("unshare");
        mount.args(["--mount", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/tmp"]);
        if let Err(error) = finish(mount).and_then(crate::server::Finished::success) {
            return Some(format!("no file system can be mounted: {error}"));
        }
        let wal = scene.data(Role::Primary).path().join("pg_wal");
        let size = size_of(&wal);
        (size > LARGEST)
            .then(|| format!("{} holds {}: that is too much to move", wal.display(), crate::lsn::bytes(size)))
    }
}

fn size_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|found| found.len()).sum()
}

fn shell(program: &str, arguments: &[&str]) -> Result<(), Error> {
    let mut command = Command::new(program);
    command.args(arguments);
    finish(command)?.success().map(drop)
}

fn resize(disk: &Path, size: u64) -> Result<(), Error> {
    shell("mount", &["-o", &format!("remount,size={size}"), &disk.to_string_lossy()])
}

/// As the servers' user, whose folders these are.
fn copy(scene: &Scene, from: &Path, to: &Path) -> Result<(), Error> {
    let mut command = Command::new("cp");
    scene.demo.layout.owner.runs(&mut command).arg("-a").arg(from.join(".")).arg(to);
    finish(command)?.success().map(drop)
}

/// The WAL back into the data directory, and the small file system gone.
fn undo(scene: &Scene, disk: &Path) -> Result<(), Error> {
    let (data, owner) = (scene.data(Role::Primary), &scene.demo.layout.owner);
    let (wal, back) = (data.path().join("pg_wal"), data.path().join("pg_wal.back"));
    data.stop(Stop::Fast, LIMIT)?;
    if wal.is_symlink() {
        let make = owner.files(|| {
            std::fs::create_dir(&back)?;
            std::fs::set_permissions(&back, std::os::unix::fs::PermissionsExt::from_mode(0o700))
        });
        make.context(|| format!("make {}", back.display()))?;
        copy(scene, &disk.join("pg_wal"), &back)?;
        let moved = owner.files(|| {
            std::fs::remove_file(&wal)?;
            std::fs::rename(&back, &wal)?;
            std::fs::File::open(data.path())?.sync_all()
        });
        moved.context(|| format!("move the WAL back to {}", wal.display()))?;
    }
    // Nothing of it is needed any more.
    shell("umount", &[&disk.to_string_lossy()])?;
    std::fs::remove_dir(disk).context(|| format!("remove {}", disk.display()))?;
    make_demo(scene).map(drop)
}

impl Fault for WalFull {
    fn prepare(&mut self, scene: &Scene) -> Result<(), Error> {
        let (data, owner) = (scene.data(Role::Primary), &scene.demo.layout.owner);
        let wal = data.path().join("pg_wal");
        // Not in the demo's folder, where its user could put a link.
        let disk = tempfile::Builder::new().prefix("operations-drill-").tempdir();
        let disk = disk.context(|| "make a folder".to_owned())?.keep();
        let options = format!("size={LARGE},mode=755");
        shell("mount", &["-t", "tmpfs", "-o", &options, "tmpfs", &disk.to_string_lossy()])?;
        let (again, place) = (Scene::new(scene.demo.clone(), Arc::default())?, disk.clone());
        scene.later("the primary's WAL on a small file system", move || undo(&again, &place));
        std::os::unix::fs::chown(&disk, Some(owner.uid()), Some(owner.gid()))
            .context(|| format!("give {} away", disk.display()))?;
        data.stop(Stop::Fast, LIMIT)?;
        let new = disk.join("pg_wal");
        let made = owner.files(|| {
            std::fs::create_dir(&new)?;
            std::fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(0o700))
        });
        made.context(|| format!("make {}", new.display()))?;
        copy(scene, &wal, &new)?;
        let moved = owner.files(|| {
            std::fs::remove_dir_all(&wal)?;
            std::os::unix::fs::symlink(&new, &wal)
        });
        moved.context(|| format!("move {}", wal.display()))?;
        self.disk = disk;
        make_demo(scene)?;
        let is_well =
            || if scene.look().verdict == crate::doctor::Verdict::Ok { Ok(()) } else { Err(scene.look().text()) };
        scene.wait("the demo to be well with its WAL elsewhere", Duration::from_secs(30), is_well)
    }

    fn cause(&mut self, scene: &Scene) -> Result<String, Error> {
        let found = rustix::fs::statvfs(&self.disk).context(|| format!("look at {}", self.disk.display()))?;
        let used = found.f_blocks.saturating_sub(found.f_bfree).saturating_mul(found.f_frsize);
        resize(&self.disk, used + LEFT)?;
        let full = write_wal(scene, 1024);
        match full {
            Ok(()) => Err(Error::Environment("1 GB of WAL fitted in".to_owned())),
            Err(Error::Interrupted) => Err(Error::Interrupted),
            Err(_) => Ok("the file system with the primary's WAL became full, and the primary gave up".to_owned()),
        }
    }

    fn heal(&mut self, scene: &Scene, _seen: &Finding) -> Result<Healed, Error> {
        let ended = || if scene.data(Role::Primary).is_running() { Err("it runs".to_owned()) } else { Ok(()) };
        scene.wait("the primary to end", Duration::from_secs(60), ended)?;
        resize(&self.disk, LARGE)?;
        make_demo(scene)?;
        Ok(Healed::Typed("(room was made); make demo".to_owned()))
    }
}
