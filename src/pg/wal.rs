//! The write-ahead log, as whoever writes much of it sees it.

use std::ffi::c_int;

use pgrx::pg_sys;

use crate::pg::major;

/// Whether changes of the relation are logged: the macro RelationNeedsWAL.
///
/// # Safety
///
/// The relation must be open.
pub unsafe fn is_needed_for(relation: pg_sys::Relation) -> bool {
    // SAFETY: by the contract; wal_level does not change while the server runs.
    unsafe {
        // The subtransactions that made the relation, or its file; 0 stands for none.
        let is_new = (*relation).rd_createSubid != 0 || major::first_file_subid(relation) != 0;
        (*(*relation).rd_rel).relpersistence as u8 == pg_sys::RELPERSISTENCE_PERMANENT
            && (pg_sys::wal_level >= pg_sys::WalLevel::WAL_LEVEL_REPLICA as c_int || !is_new)
    }
}

/// Has the WAL writer write what this transaction has logged, if that has become worth it (`wal_writer_flush_after`), so that
/// a process that logs much need not wait for the disk itself. It is what a commit does with `synchronous_commit` = off.
pub fn hand_over() {
    // SAFETY: reads where the last record of this process ends, and tells the WAL writer of it.
    unsafe { pg_sys::XLogSetAsyncXactLSN(pg_sys::XactLastRecEnd) }
}

/// Waits until all that this transaction has logged so far is on the disk.
pub fn flush() {
    // SAFETY: waits for the end of the last record of this process.
    unsafe { pg_sys::XLogFlush(pg_sys::XactLastRecEnd) }
}

/// Keeps a checkpoint that begins now from ending, until it is dropped.
///
/// A checkpoint promises that whatever was logged before it is in the files, and sees to that for the shared buffers. What this
/// process has logged and not written yet, it cannot know of.
pub struct CheckpointDelay;

impl CheckpointDelay {
    /// From now on.
    pub fn begin() -> Self {
        // SAFETY: the flags of this process, which only it sets. The abort of a transaction clears them.
        unsafe { (*pg_sys::MyProc).delayChkptFlags |= pg_sys::DELAY_CHKPT_START as c_int };
        Self
    }
}

impl Drop for CheckpointDelay {
    fn drop(&mut self) {
        // SAFETY: as in `begin`; runs also when an error unwinds.
        unsafe { (*pg_sys::MyProc).delayChkptFlags &= !(pg_sys::DELAY_CHKPT_START as c_int) };
    }
}
