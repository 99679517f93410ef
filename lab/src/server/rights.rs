//! What a server's user may do with files: root asks before it follows a name that this user could change.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, accessat};

use crate::server::Owner;

impl Owner {
    /// Whether this user, and not only root, may change what a path leads to.
    pub(crate) fn may_change(&self, path: &Path) -> bool {
        if !self.is_lent() {
            return false;
        }
        let parent = path.parent().unwrap_or(path);
        let real = parent.canonicalize().unwrap_or_else(|_| parent.to_owned());
        // Both where the name leads, and the folders of links on the way there.
        real.ancestors().chain(parent.ancestors()).any(|folder| {
            // In a sticky folder, such as /tmp, nobody moves what is another's.
            let sticky = std::fs::metadata(folder).is_ok_and(|found| found.mode() & 0o1000 != 0);
            self.owns(folder) || (!sticky && folder.is_dir() && self.may(folder, Access::WRITE_OK))
        })
    }

    /// Makes a folder and those above it: as this user where this user could change them, else as who runs this program.
    pub(crate) fn make_folders(&self, folder: &Path) -> io::Result<()> {
        let make = || DirBuilder::new().recursive(true).mode(0o755).create(folder);
        if self.may_change(folder) { self.files(make) } else { make() }
    }

    /// Whether a file or folder belongs to this user.
    pub(crate) fn owns(&self, path: &Path) -> bool {
        self.files(|| std::fs::metadata(path)).is_ok_and(|found| found.uid() == self.uid())
    }

    /// Whether this user may do this with a path.
    pub(crate) fn may(&self, path: &Path, access: Access) -> bool {
        self.real_files(|| Ok(accessat(CWD, path, access, AtFlags::empty())?)).is_ok()
    }
}

/// Whether the user who runs this program may write to a path.
pub(crate) fn may_write(path: &Path) -> bool {
    accessat(CWD, path, Access::WRITE_OK, AtFlags::empty()).is_ok()
}
