//! Makes the demo's folders, where root follows no name that the server's user can change.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::Access;

use crate::demo::layout::Layout;
use crate::error::{Context, Error, SettingError};
use crate::server::{Owner, may_write};

/// A socket in the demo must fit into the 107 bytes that the kernel allows.
const LONGEST: usize = 80;

/// Whether a demo can be kept in the layout's folder: nothing is made but the folder above it.
pub(crate) fn check(layout: &Layout) -> Result<(), Error> {
    let (folder, owner) = (&layout.folder, &layout.owner);
    let parent = folder.parent().unwrap_or(folder);
    let above = parent.display();
    let why = if folder.as_os_str().len() > LONGEST {
        Some(format!("it is longer than {LONGEST} characters"))
    } else if !parent.is_dir() && owner.make_folders(parent).is_err() {
        Some(format!("{above} cannot be made"))
    } else if !may_write(parent) {
        Some(format!("the user {} may not write to {above}", Owner::current().name))
    } else if !owner.may(parent, Access::EXEC_OK) {
        Some(format!("the user {}, who runs the servers, may not enter {above}", owner.name))
    } else {
        None
    };
    if let Some(why) = why {
        return Err(SettingError::UnusableFolder { folder: folder.clone(), why }.into());
    }
    // A folder of somebody else's is not ours to fill, nor later to empty.
    if !layout.sockets().exists() && !is_empty(folder) {
        return Err(SettingError::ForeignFolder { folder: folder.clone() }.into());
    }
    Ok(())
}

/// A folder that the server's user owns. That user makes it where it can; elsewhere root makes it and gives it away.
pub(crate) fn owned_folder(path: &Path, owner: &Owner) -> Result<(), Error> {
    if let Err(source) = owner.files(|| std::fs::create_dir_all(path)) {
        if !owner.is_lent() || owner.may_change(path) {
            return Err(Error::Io { what: format!("make {} as the user {}", path.display(), owner.name), source });
        }
        std::fs::create_dir_all(path).context(|| format!("make {}", path.display()))?;
    }
    if owner.is_lent() && !owner.owns(path) {
        let is_link = std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
        if is_link || owner.may_change(path) {
            return Err(SettingError::NotOwned { folder: path.to_owned(), owner: owner.name.clone() }.into());
        }
        let given = std::os::unix::fs::lchown(path, Some(owner.uid()), Some(owner.gid()));
        given.context(|| format!("give {} to the user {}", path.display(), owner.name))?;
    }
    let opened = owner.files(|| std::fs::set_permissions(path, Permissions::from_mode(0o755)));
    opened.context(|| format!("open {} for reading", path.display()))
}

/// Removes a file, a link or a folder with all that is in it; nothing there is no error.
pub(crate) fn remove(path: &Path, owner: &Owner) -> Result<(), Error> {
    let removed = owner.files(|| match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    });
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Removes a folder if it is empty.
pub(crate) fn remove_empty(folder: &Path, owner: &Owner) {
    if owner.files(|| std::fs::remove_dir(folder)).is_err() && !owner.may_change(folder) {
        // Other things may be kept in it.
        let _ = std::fs::remove_dir(folder);
    }
}

/// Copies a folder of the checkout, which the server's user may be unable to enter.
pub(crate) fn copy(from: &Path, to: &Path, owner: &Owner) -> Result<(), Error> {
    if from.is_dir() {
        make(to, owner)?;
        let entries = std::fs::read_dir(from).context(|| format!("read {}", from.display()))?;
        for entry in entries {
            let entry = entry.context(|| format!("read {}", from.display()))?;
            copy(&entry.path(), &to.join(entry.file_name()), owner)?;
        }
        return Ok(());
    }
    let copied = std::fs::read(from).and_then(|bytes| owner.write(to, &bytes, false));
    copied.context(|| format!("copy {} to {}", from.display(), to.display()))
}

/// Whether a folder is empty, or is not there.
pub(crate) fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none())
}

/// Makes a folder as the server's user.
pub(crate) fn make(folder: &Path, owner: &Owner) -> Result<(), Error> {
    owner.files(|| std::fs::create_dir(folder)).context(|| format!("make {}", folder.display()))
}
