//! Files of our own in the data directory that a crash of the machine must not take.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use pgrx::pg_sys;

/// Waits until a file at the top of the data directory, and its name there, are on the disk; not if `fsync` is off.
pub fn sync(path: &Path) {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return };
    // SAFETY: takes any path, and raises an error if that cannot be synced.
    unsafe {
        pg_sys::fsync_fname(path.as_ptr(), false);
        pg_sys::fsync_fname(c".".as_ptr(), true);
    }
}
