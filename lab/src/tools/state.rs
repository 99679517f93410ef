//! The state folder: what is unpacked, built for ourselves, logged or run; and the user who runs the servers.

use std::fs::{File, Permissions};
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::Access;

use crate::error::{Context, Error, SettingError};
use crate::say::say;
use crate::server::{Owner, finish, may_write};
use crate::tools::Major;
use crate::{SUPERUSER, checkout};

/// A demo's folder in it, that of another major version too, must not be longer than those may be.
const LONGEST: usize = 70;

/// The state folder, and who runs the servers.
#[derive(Clone, Debug)]
pub struct State {
    /// The folder. Root's own programs and logs lie in it, so the servers' user cannot change it.
    pub folder: PathBuf,
    /// Who runs the servers. Root lends them to `SERVER_USER`, by default `postgres`.
    pub owner: Owner,
    /// The PostgreSQL that is used.
    pub major: Major,
}

impl State {
    /// `STATE_DIR`, else `.state` of the checkout; where the servers' user cannot reach the checkout, a folder outside. Root
    /// makes the user if there is none.
    pub fn find() -> Result<Self, Error> {
        let major = Major::chosen()?;
        let owner = server_user()?;
        if let Some(given) = std::env::var_os("STATE_DIR").filter(|given| !given.is_empty()) {
            let folder = absolute(Path::new(&given));
            if !is_usable(&folder, &owner) {
                let text = format!("STATE_DIR={} {}", folder.display(), requirement(&owner));
                return Err(Error::Environment(text));
            }
            return Ok(Self { folder, owner, major });
        }
        need_checkout()?;
        let own = checkout().join(".state");
        if is_usable(&own, &owner) {
            return Ok(Self { folder: own, owner, major });
        }
        // Made a moment ago, and of no use.
        let _ = std::fs::remove_dir(&own);
        let outside = outside();
        if is_usable(&outside, &owner) {
            return Ok(Self { folder: outside, owner, major });
        }
        Err(Error::Environment(format!(
            "neither {} nor {} can be used by the user {}: set STATE_DIR to a folder that can",
            own.display(),
            outside.display(),
            owner.name,
        )))
    }

    /// A folder for who has a PostgreSQL already.
    #[must_use]
    pub fn at(folder: PathBuf, owner: Owner) -> Self {
        Self { folder, owner, major: Major::DEFAULT }
    }

    /// Where what belongs to the major version is kept: its PostgreSQL and the servers. For the default one it is the folder itself.
    #[must_use]
    pub fn of_major(&self) -> PathBuf {
        if self.major == Major::DEFAULT { self.folder.clone() } else { self.folder.join(self.major.feature()) }
    }

    /// Holds what belongs to the major version for one command, until the returned file is dropped; waits until no other has it.
    pub(crate) fn lock(&self, name: &str) -> Result<File, Error> {
        let path = self.of_major().join(name);
        let take = || {
            std::fs::create_dir_all(self.of_major())?;
            let file = File::create(&path)?;
            file.lock()?;
            Ok::<_, std::io::Error>(file)
        };
        take().context(|| format!("lock {}", path.display()))
    }

    /// Where the output of long steps goes.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.of_major().join("logs")
    }
}

/// Fails for who has the program of a package, and calls it outside of a checkout: there is no demo, and nothing to build.
pub(crate) fn need_checkout() -> Result<(), Error> {
    if checkout().join("Cargo.toml").exists() {
        return Ok(());
    }
    let text = "this takes a checkout of operations_ext, whose make runs it there; of servers of your own tell their addresses: \
                operations-lab doctor --help";
    Err(Error::Environment(text.to_owned()))
}

/// Removes a folder with all that is in it; nothing there is no error.
pub(crate) fn remove(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn is_usable(folder: &Path, owner: &Owner) -> bool {
    folder.as_os_str().len() <= LONGEST
        && (folder.is_dir() || owner.make_folders(folder).is_ok())
        && may_write(folder)
        && owner.may(folder, Access::EXEC_OK)
        && !owner.may_change(&folder.join("x"))
}

fn requirement(owner: &Owner) -> String {
    let lent = if owner.is_lent() { ", who must not be able to change it" } else { "" };
    format!(
        "cannot be used: it must be at most {LONGEST} characters long, writable, and reachable by the user {}{lent}",
        owner.name
    )
}

/// A folder for this checkout where its user, or root, keeps things.
fn outside() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = if rustix::process::geteuid().is_root() {
        PathBuf::from("/var/lib")
    } else {
        let home = || variable("HOME").unwrap_or_default().join(".local/state");
        variable("XDG_STATE_HOME").unwrap_or_else(home)
    };
    // Checkouts differ by their paths: FNV-1a, which stays the same from one release of Rust to the next.
    let hash = checkout().as_os_str().as_encoded_bytes().iter();
    let hash =
        hash.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    state.join("operations_ext").join(format!("{hash:016x}"))
}

fn server_user() -> Result<Owner, Error> {
    if !rustix::process::geteuid().is_root() {
        return Ok(Owner::current());
    }
    let name = std::env::var("SERVER_USER").ok().filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| SUPERUSER.to_owned());
    if Owner::named(&name)?.is_none() {
        make_user(&name)?;
    }
    match Owner::named(&name)? {
        Some(owner) if owner.uid() != 0 => Ok(owner),
        Some(_) => Err(SettingError::ServerUser { name, why: "is root, and PostgreSQL refuses to run as root" }.into()),
        None => Err(SettingError::ServerUser { name, why: "does not exist" }.into()),
    }
}

fn make_user(name: &str) -> Result<(), Error> {
    say(&format!("Creating the system user {name} (PostgreSQL refuses to run as root)"));
    let mut useradd = Command::new("useradd");
    useradd.args(["--system", "--user-group", "--home-dir", "/var/lib/postgresql", "--no-create-home", "--shell"]);
    useradd.args(["/bin/bash", "--", name]).stdin(Stdio::null());
    finish(useradd)?.success().map(drop)
}

/// A folder in the state folder that the servers' user owns. Nobody but root can put anything in its place.
pub(crate) fn server_folder(state: &State, name: &str) -> Result<PathBuf, Error> {
    let folder = state.of_major().join(name);
    let made = std::fs::create_dir_all(&folder).and_then(|()| {
        if state.owner.is_lent() {
            lchown(&folder, Some(state.owner.uid()), Some(state.owner.gid()))?;
        }
        state.owner.files(|| std::fs::set_permissions(&folder, Permissions::from_mode(0o755)))
    });
    made.context(|| format!("make {} for the user {}", folder.display(), state.owner.name))?;
    Ok(folder)
}
