//! The user who runs a server. PostgreSQL refuses to run as root, so root lends the server to an ordinary user.
//!
//! Everybody who may run programs on the server (`COPY .. TO PROGRAM`) acts as that user, and can put a link where root is
//! about to write. So root follows no name in a folder that this user can change: what is done there is done as that user.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::fs::OFlags;
use rustix::process::{Gid, Uid, geteuid, getgid, getuid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::error::{Context, Error};

/// The user who owns a server's files and runs its processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The login name, as messages and programs know it.
    pub name: String,
    uid: Uid,
    gid: Gid,
}

impl Owner {
    /// The user who runs this process.
    #[must_use]
    pub fn current() -> Self {
        Self::by_id(getuid().as_raw(), getgid().as_raw())
    }

    /// A user of this machine by name; `None` if there is none of that name.
    pub fn named(name: &str) -> Result<Option<Self>, Error> {
        let found = nix::unistd::User::from_name(name).map_err(io::Error::from);
        let found = found.context(|| format!("look up the user {name}"))?;
        Ok(found.map(|user| Self {
            name: user.name,
            uid: Uid::from_raw(user.uid.as_raw()),
            gid: Gid::from_raw(user.gid.as_raw()),
        }))
    }

    /// A user and group by number.
    #[must_use]
    pub fn by_id(uid: u32, gid: u32) -> Self {
        let name = nix::unistd::User::from_uid(uid.into()).ok().flatten().map(|user| user.name);
        Self { name: name.unwrap_or_else(|| uid.to_string()), uid: Uid::from_raw(uid), gid: Gid::from_raw(gid) }
    }

    /// The user's number.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.uid.as_raw()
    }

    /// The number of the user's group.
    #[must_use]
    pub fn gid(&self) -> u32 {
        self.gid.as_raw()
    }

    /// Whether this process is root and the server's user is somebody else.
    #[must_use]
    pub fn is_lent(&self) -> bool {
        geteuid().is_root() && self.uid != geteuid()
    }

    /// Has a program run as this user, in a folder that this user can enter.
    pub fn runs<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        if self.is_lent() {
            command.uid(self.uid()).gid(self.gid()).current_dir("/");
            command.env("HOME", "/").env("USER", &self.name).env("LOGNAME", &self.name);
        }
        command
    }

    /// Does something with files as this user, who can then reach and change no more than this user may.
    ///
    /// Linux keeps these rights a thread, so a thread of its own gives up root's. It keeps root's real user id: nobody
    /// else may send it signals.
    pub fn files<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        self.become_in_a_thread(None, work)
    }

    /// The same with the real user id, too, by which access(2) judges.
    pub(crate) fn real_files<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        self.become_in_a_thread(Some(self.uid), work)
    }

    fn become_in_a_thread<T: Send>(
        &self,
        real: Option<Uid>,
        work: impl FnOnce() -> io::Result<T> + Send,
    ) -> io::Result<T> {
        if !self.is_lent() {
            return work();
        }
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                set_thread_groups(&[self.gid])?;
                set_thread_res_gid(real.map(|_| self.gid), self.gid, None)?;
                set_thread_res_uid(real, self.uid, None)?;
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Reads a small file.
    pub fn read(&self, path: &Path) -> io::Result<String> {
        self.read_bytes(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The same as bytes.
    pub fn read_bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files(|| {
            let mut bytes = Vec::new();
            open_to_read(path)?.take(1 << 20).read_to_end(&mut bytes)?;
            Ok(bytes)
        })
    }

    /// Writes a file under another name and renames it, so that it is there whole or not at all. Nobody else may read a
    /// `secret` one.
    pub fn write(&self, path: &Path, bytes: &[u8], secret: bool) -> io::Result<()> {
        self.files(|| {
            let mut name = path.as_os_str().to_owned();
            name.push(".new");
            let new = Path::new(&name);
            match std::fs::remove_file(new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mode = if secret { 0o600 } else { 0o644 };
            let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(new)?;
            file.write_all(bytes)?;
            std::fs::rename(new, path)
        })
    }
}

/// Opens a file to be read; does not wait for a writer where somebody has put a FIFO there.
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    OpenOptions::new().read(true).custom_flags(nonblocking).open(path)
}

/// Opens a file to be added to, or makes it; refuses what is no plain file, such as a link or a FIFO, and waits for nobody.
pub(crate) fn open_to_append(path: &Path, mode: u32) -> io::Result<File> {
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOFOLLOW).bits()).unwrap_or_default();
    let file = OpenOptions::new().create(true).append(true).mode(mode).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no plain file")),
    }
}

/// Makes a file anew, whatever was there by that name.
pub(crate) fn make_anew(path: &Path, mode: u32) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => OpenOptions::new().write(true).create_new(true).mode(mode).open(path),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    /// A folder that everybody may change, as /tmp, and a user to lend it to; nothing where this is not run as root.
    fn lent() -> Option<(tempfile::TempDir, Owner)> {
        use std::os::unix::fs::PermissionsExt;
        if !geteuid().is_root() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        Some((folder, Owner::by_id(65_534, 65_534)))
    }

    #[test]
    fn root_writes_as_the_servers_user_and_through_no_link() {
        let Some((folder, owner)) = lent() else { return };
        let (secret, link) = (folder.path().join("secret"), folder.path().join("link"));
        std::fs::write(&secret, "root's").unwrap();
        std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&secret, &link).unwrap();

        assert_eq!(owner.read(&link).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        owner.write(&link, b"mine", true).unwrap();
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "root's");
        let made = std::fs::symlink_metadata(&link).unwrap();
        let facts = (made.is_file(), std::os::unix::fs::MetadataExt::uid(&made));
        assert_eq!(facts, (true, 65_534));
        // The rights are back when it is done.
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "root's");
    }

    #[test]
    fn a_fifo_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        assert_eq!(Owner::current().read(&fifo).unwrap(), "");
    }

    #[test]
    fn what_is_written_goes_into_a_plain_file() {
        let folder = tempfile::tempdir().unwrap();
        let (fifo, link, other) = (folder.path().join("fifo"), folder.path().join("link"), folder.path().join("other"));
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        std::fs::write(&other, "kept").unwrap();
        std::os::unix::fs::symlink(&other, &link).unwrap();
        // Without a reader, and with one.
        assert!(open_to_append(&fifo, 0o600).is_err());
        let reader = open_to_read(&fifo).unwrap();
        assert!(open_to_append(&fifo, 0o600).is_err());
        drop(reader);
        assert!(open_to_append(&link, 0o600).is_err());
        open_to_append(&other, 0o600).unwrap().write_all(b", too").unwrap();
        for path in [&fifo, &link] {
            make_anew(path, 0o600).unwrap().write_all(b"new").unwrap();
            assert_eq!(std::fs::read_to_string(path).unwrap(), "new");
        }
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "kept, too");
    }

    #[test]
    fn programs_run_as_the_servers_user() {
        let Some((_, owner)) = lent() else { return };
        let output = owner.runs(Command::new("id").arg("-u")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "65534");
    }
}
