//! A full disk where the primary's WAL is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::doctor::Finding;
use crate::drill::fault::{Fault, Healed, as_root, make_demo};
use crate::drill::faults::processes::write_wal;
use crate::drill::scene::Scene;
use crate::error::{Context, DrillError, Error};
use crate::role::Role;
use crate::server::{DataDirectory, LIMIT, Owner, Stop, finish};

/// More WAL than this is not moved.
const LARGEST: u64 = 1 << 30;

/// How large the file system is that the WAL is moved to. Its file takes no more of the disk than what is in it.
const LARGE: u64 = 4 << 30;

/// What the disk must have besides, for the WAL that is written meanwhile.
const MORE: u64 = 1 << 30;

/// What is left of it when it is made full.
const LEFT: u64 = 20 << 20;

/// Where the file is that holds the file system: on a disk, so that a crash of the machine takes nothing along. Root's, and not in
/// the demo's folder, where the servers' user could put a link.
const PLACE: &str = "/var/tmp";

/// Moves the primary's WAL to a file system of its own, which then becomes full.
#[derive(Default)]
pub struct WalFull {
    disk: PathBuf,
    full: Option<Instant>,
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
        let wal = scene.data(Role::Primary).path().join("pg_wal");
        let size = size_of(&wal);
        if size > LARGEST {
            return Some(format!("{} holds {}: that is too much to move", wal.display(), crate::lsn::bytes(size)));
        }
        if let Err(error) = try_to_mount() {
            return Some(format!("no file system can be made in a file and mounted: {error}"));
        }
        match rustix::fs::statfs(PLACE) {
            Ok(found) if found.f_type == TMPFS => {
                Some(format!("{PLACE} is in memory: the WAL would go with the machine if that crashed meanwhile"))
            }
            Ok(found) => {
                let free = found.f_bavail.saturating_mul(u64::try_from(found.f_bsize).unwrap_or_default());
                let needed = 2 * size + MORE;
                (free < needed).then(|| format!("{PLACE} has no room for {}", crate::lsn::bytes(needed)))
            }
            Err(error) => Some(format!("{PLACE}: {error}")),
        }
    }
}

/// What `statfs` says of a file system in memory.
const TMPFS: i64 = 0x0102_1994;

fn try_to_mount() -> Result<(), Error> {
    let folder = tempfile::tempdir_in(PLACE).context(|| format!("make a folder in {PLACE}"))?;
    let (image, disk) = (folder.path().join("image"), folder.path().join("disk"));
    make_image(&image, 8 << 20)?;
    std::fs::create_dir(&disk).context(|| format!("make {}", disk.display()))?;
    shell("unshare", &["--mount", "mount", "-o", "loop", &image.to_string_lossy(), &disk.to_string_lossy()])
}

/// A file with an empty file system in it.
fn make_image(image: &Path, size: u64) -> Result<(), Error> {
    let made = std::fs::File::create_new(image).and_then(|file| file.set_len(size));
    made.context(|| format!("make {}", image.display()))?;
    // Nothing of it is kept for root.
    shell("mke2fs", &["-q", "-F", "-t", "ext4", "-m", "0", &image.to_string_lossy()])
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

/// Takes the room of a file system, but for what is left.
fn fill(disk: &Path) -> Result<(), Error> {
    let what = || format!("fill {}", disk.display());
    let found = rustix::fs::statvfs(disk).context(what)?;
    let room = found.f_bavail.saturating_mul(found.f_frsize).saturating_sub(LEFT);
    let filled = std::fs::File::create_new(disk.join(BALLAST))
        .and_then(|ballast| Ok(rustix::fs::fallocate(ballast, rustix::fs::FallocateFlags::empty(), 0, room)?));
    filled.context(what)
}

/// What takes the room.
const BALLAST: &str = "ballast";

/// As the servers' user, whose folders these are.
fn copy(owner: &Owner, from: &Path, to: &Path) -> Result<(), Error> {
    let mut command = Command::new("cp");
    owner.runs(&mut command).arg("-a").arg(from.join(".")).arg(to);
    finish(command)?.success().map(drop)
}

/// The file that a file system is in.
fn image_of(disk: &Path) -> PathBuf {
    disk.with_file_name("image")
}

/// Where the WAL as it was before the drill waits beside the data.
fn aside(data: &DataDirectory) -> PathBuf {
    data.path().with_extension("pg_wal.aside")
}

fn is_folder(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

/// The WAL back into the data directory, and then the small file system gone: it may have the only copy.
fn undo(scene: &Scene, disk: &Path) -> Result<(), Error> {
    let (data, owner) = (scene.data(Role::Primary), &scene.demo.layout.owner);
    let (wal, aside) = (data.path().join("pg_wal"), aside(&data));
    data.stop(Stop::Fast, LIMIT)?;
    put_back(owner, &data, disk).map_err(|error| {
        Error::Environment(format!(
            "{error}; the primary's WAL is in {}, a file system in {}: copy it to {} before you remove that",
            disk.join("pg_wal").display(),
            image_of(disk).display(),
            wal.display()
        ))
    })?;
    shell("umount", &[&disk.to_string_lossy()])?;
    let folder = disk.parent().unwrap_or(disk);
    std::fs::remove_dir_all(folder).context(|| format!("remove {}", folder.display()))?;
    // What is older than the WAL that is back.
    crate::demo::folders::remove(&aside, owner)?;
    make_demo(scene).map(drop)
}

/// Returns once a whole `pg_wal` is in its place and on the disk.
fn put_back(owner: &Owner, data: &DataDirectory, disk: &Path) -> Result<(), Error> {
    let (wal, aside) = (data.path().join("pg_wal"), aside(data));
    let (moved, back) = (disk.join("pg_wal"), data.path().join("pg_wal.back"));
    let is = |path: &Path| owner.files(|| Ok(is_folder(path))).unwrap_or(false);
    let is_link = owner.files(|| Ok(wal.is_symlink())).unwrap_or(false);
    if is_link {
        crate::demo::folders::remove(&back, owner)?;
        make_folder(owner, &back)?;
        copy(owner, &moved, &back)?;
        sync(owner, &back)?;
        let replaced = owner.files(|| {
            std::fs::remove_file(&wal)?;
            std::fs::rename(&back, &wal)
        });
        replaced.context(|| format!("move the WAL back to {}", wal.display()))?;
    } else if !is(&wal) && is(&aside) {
        // The link was never made, so no server has written there.
        owner.files(|| std::fs::rename(&aside, &wal)).context(|| format!("rename {}", aside.display()))?;
    }
    if !is(&wal) {
        return Err(Error::Environment(format!("{} is not there", wal.display())));
    }
    sync(owner, data.path())
}

/// As the servers' user, like all that is done in that user's folders.
fn sync(owner: &Owner, folder: &Path) -> Result<(), Error> {
    let mut command = Command::new("sync");
    owner.runs(&mut command).arg("-f").arg(folder);
    finish(command)?.success().map(drop)
}

fn make_folder(owner: &Owner, path: &Path) -> Result<(), Error> {
    let made = owner.files(|| {
        std::fs::create_dir(path)?;
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700))
    });
    made.context(|| format!("make {}", path.display()))
}

/// A link in the place of the WAL, which waits beside the data until it is back. Where that fails, all is as it was.
fn link(owner: &Owner, data: &DataDirectory, to: &Path) -> Result<(), Error> {
    let (wal, aside) = (data.path().join("pg_wal"), aside(data));
    let moved = owner.files(|| {
        if aside.symlink_metadata().is_ok() || !is_folder(&wal) {
            return Err(std::io::Error::other(format!("{} exists, or {} is a link", aside.display(), wal.display())));
        }
        std::fs::rename(&wal, &aside)?;
        std::os::unix::fs::symlink(to, &wal).or_else(|error| std::fs::rename(&aside, &wal).and(Err(error)))
    });
    moved.context(|| format!("move {}", wal.display()))
}

impl Fault for WalFull {
    fn prepare(&mut self, scene: &Scene) -> Result<(), Error> {
        let (data, owner) = (scene.data(Role::Primary), &scene.demo.layout.owner);
        let wal = data.path().join("pg_wal");
        let again = Scene::new(scene.demo.clone(), Arc::default(), scene.pace)?;
        let folder = tempfile::Builder::new().prefix("operations-drill-").tempdir_in(PLACE);
        let folder = folder.context(|| format!("make a folder in {PLACE}"))?;
        let disk = folder.path().join("disk");
        let made = std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711))
            .and_then(|()| std::fs::create_dir(&disk));
        made.context(|| format!("make {}", disk.display()))?;
        make_image(&image_of(&disk), LARGE)?;
        shell("mount", &["-o", "loop,nosuid,nodev", &image_of(&disk).to_string_lossy(), &disk.to_string_lossy()])?;
        // From here on it is removed when the WAL is back, and not before.
        let _ = folder.keep();
        let place = disk.clone();
        scene.later("the primary's WAL on a small file system", move || undo(&again, &place));
        std::os::unix::fs::chown(&disk, Some(owner.uid()), Some(owner.gid()))
            .context(|| format!("give {} away", disk.display()))?;
        data.stop(Stop::Fast, LIMIT)?;
        let new = disk.join("pg_wal");
        make_folder(owner, &new)?;
        copy(owner, &wal, &new)?;
        link(owner, &data, &new)?;
        self.disk = disk;
        make_demo(scene)?;
        let is_well = || {
            let report = scene.look();
            if report.verdict == crate::doctor::Verdict::Ok { Ok(()) } else { Err(report.text()) }
        };
        scene.wait("the demo to be well with its WAL elsewhere", Duration::from_secs(30), is_well)
    }

    fn cause(&mut self, scene: &Scene) -> Result<String, Error> {
        fill(&self.disk)?;
        let full = write_wal(scene, 1024);
        self.full = Some(Instant::now());
        match full {
            Ok(()) => Err(Error::Environment("1 GB of WAL fitted in".to_owned())),
            Err(Error::Drill(DrillError::Interrupted)) => Err(DrillError::Interrupted.into()),
            Err(_) => Ok("the file system with the primary's WAL became full, and the primary gave up".to_owned()),
        }
    }

    fn began(&self) -> Option<Instant> {
        self.full
    }

    fn heal(&mut self, scene: &Scene, _seen: &Finding) -> Result<Healed, Error> {
        let ended = || if scene.data(Role::Primary).is_running() { Err("it runs".to_owned()) } else { Ok(()) };
        scene.wait("the primary to end", Duration::from_secs(60), ended)?;
        let ballast = self.disk.join(BALLAST);
        std::fs::remove_file(&ballast).context(|| format!("remove {}", ballast.display()))?;
        make_demo(scene)?;
        Ok(Healed::Typed("(room was made); make demo".to_owned()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    /// A data directory with WAL, and a copy of the WAL on another disk.
    fn scene() -> (tempfile::TempDir, DataDirectory, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let (data, disk) = (folder.path().join("primary"), folder.path().join("disk"));
        std::fs::create_dir_all(data.join("pg_wal")).unwrap();
        std::fs::create_dir_all(disk.join("pg_wal")).unwrap();
        std::fs::write(data.join("pg_wal/1"), "old").unwrap();
        std::fs::write(disk.join("pg_wal/1"), "new").unwrap();
        let data = DataDirectory::new(&data, &Owner::current());
        (folder, data, disk)
    }

    fn wal(data: &DataDirectory) -> String {
        let wal = data.path().join("pg_wal");
        assert!(is_folder(&wal));
        std::fs::read_to_string(wal.join("1")).unwrap()
    }

    #[test]
    fn what_was_written_elsewhere_comes_back() {
        let (_folder, data, disk) = scene();
        link(&Owner::current(), &data, &disk.join("pg_wal")).unwrap();
        assert!(data.path().join("pg_wal").is_symlink() && is_folder(&aside(&data)));
        // As a run leaves it that was killed on its way back.
        std::fs::create_dir(data.path().join("pg_wal.back")).unwrap();
        put_back(&Owner::current(), &data, &disk).unwrap();
        assert_eq!(wal(&data), "new");
    }

    #[test]
    fn without_a_link_the_old_wal_is_put_back() {
        let (_folder, data, disk) = scene();
        put_back(&Owner::current(), &data, &disk).unwrap();
        assert_eq!(wal(&data), "old");
        std::fs::rename(data.path().join("pg_wal"), aside(&data)).unwrap();
        put_back(&Owner::current(), &data, &disk).unwrap();
        assert_eq!(wal(&data), "old");
    }

    #[test]
    fn what_is_not_back_is_an_error_and_nothing_is_thrown_away() {
        let (_folder, data, disk) = scene();
        link(&Owner::current(), &data, &disk.join("pg_wal")).unwrap();
        std::fs::rename(disk.join("pg_wal"), disk.join("elsewhere")).unwrap();
        assert!(put_back(&Owner::current(), &data, &disk).is_err());
        assert!(is_folder(&aside(&data)));
        assert!(link(&Owner::current(), &data, &disk.join("pg_wal")).is_err());
    }
}
