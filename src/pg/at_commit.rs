//! Files of our own that go when the transaction commits.
//!
//! PostgreSQL calls back at every end of a transaction. What was asked for is forgotten at its rollback and at PREPARE
//! TRANSACTION: another session may end what was prepared, and this one goes on with other transactions.

use std::cell::RefCell;
use std::ffi::c_void;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use pgrx::{pg_guard, pg_sys};

thread_local! {
    static FILES: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
}

/// Removes a file after the current transaction has committed, if that is safe on the disk by then. With `synchronous_commit`
/// off it may not be: then the file stays, and so does one whose transaction is prepared.
pub fn remove_file(path: PathBuf) {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    if !REGISTERED.swap(true, Ordering::Relaxed) {
        // SAFETY: the function is valid for as long as the process lives, and takes any argument.
        unsafe { pg_sys::RegisterXactCallback(Some(at_end), std::ptr::null_mut()) };
    }
    FILES.with_borrow_mut(|files| {
        if !files.contains(&path) {
            files.push(path);
        }
    });
}

/// Has the current transaction wait at its commit until that is on the disk, whatever `synchronous_commit` says.
pub fn wait_for_disk() {
    // SAFETY: gives the transaction a number, if it has none, so that there is a record to wait for; then sets a flag of it.
    unsafe {
        pg_sys::GetCurrentTransactionId();
        pg_sys::ForceSyncCommit();
    }
}

/// Does not fail: a transaction that has committed cannot.
#[pg_guard]
unsafe extern "C-unwind" fn at_end(event: pg_sys::XactEvent::Type, _argument: *mut c_void) {
    use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_COMMIT, XACT_EVENT_PREPARE};
    if ![XACT_EVENT_COMMIT, XACT_EVENT_ABORT, XACT_EVENT_PREPARE].contains(&event) {
        return;
    }
    let files = FILES.take();
    // SAFETY: reads where the log is flushed to, and where the record of this commit ends. Neither waits nor fails.
    let is_safe = event == XACT_EVENT_COMMIT
        && !files.is_empty()
        && unsafe { pg_sys::GetFlushRecPtr(std::ptr::null_mut()) >= pg_sys::XactLastCommitEnd };
    if is_safe {
        for file in files {
            let _gone = fs::remove_file(file);
        }
    }
}
