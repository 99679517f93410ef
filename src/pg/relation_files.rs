//! The files of relations: which is whose, how large they are, and what of them the kernel caches.

use std::ffi::c_int;
use std::fs::File;
use std::num::NonZeroU64;
use std::path::Path;

use pgrx::pg_sys;
use rustix::fs::{Advice, fadvise};

use crate::pg::catalog::RelationOid;
use crate::pg::lock::Exclusive;
use crate::pg::major::{self, RelFileLocator};
use crate::pg::session;

/// How many pages the relation has. The lock is given back at once: it would keep others from replacing an empty file.
pub fn pages(relation: RelationOid) -> u64 {
    // SAFETY: AccessShareLock is the weakest lock under which a relation may be opened.
    unsafe {
        let relation = pg_sys::relation_open(relation.oid(), pg_sys::AccessShareLock as c_int);
        let pages = pg_sys::RelationGetNumberOfBlocksInFork(relation, pg_sys::ForkNumber::MAIN_FORKNUM);
        pg_sys::relation_close(relation, pg_sys::AccessShareLock as c_int);
        pages.into()
    }
}

/// About how many pages the kernel caches for this server: what the planner believes of it (`effective_cache_size`).
pub fn cacheable_pages() -> u64 {
    // SAFETY: a plain read of a setting.
    u64::try_from(unsafe { pg_sys::effective_cache_size }).unwrap_or(0)
}

/// Asks the kernel to forget pages of a file, all within one gigabyte of it. Those that are not written yet stay. It is an
/// advice: that it can't be followed is no error.
pub fn drop_from_page_cache(
    file: &RelFileLocator,
    fork: pg_sys::ForkNumber::Type,
    first: pg_sys::BlockNumber,
    count: u32,
) {
    let path = major::path(file, fork);
    // As md.c names the files that a relation is kept in.
    let path = match first / pg_sys::RELSEG_SIZE {
        0 => path,
        segment => format!("{path}.{segment}"),
    };
    if let Ok(file) = File::open(path) {
        let bytes = |pages: u32| u64::from(pages) * u64::from(pg_sys::BLCKSZ);
        let start = bytes(first % pg_sys::RELSEG_SIZE);
        let _unheeded = fadvise(file, start, NonZeroU64::new(bytes(count)), Advice::DontNeed);
    }
}

/// The files of a logged relation of this database, which may be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelationFile {
    /// Where they are; never 0.
    pub tablespace: pg_sys::Oid,
    /// What they are named after: `relfilenode` in pg_class.
    pub relfilenumber: pg_sys::Oid,
}

impl RelationFile {
    fn locator(&self) -> RelFileLocator {
        major::locator_of(self.tablespace, session::database(), self.relfilenumber)
    }

    /// Whether there are such files.
    pub fn exists(&self) -> bool {
        // From the data directory, which is where a process of the server is.
        Path::new(&major::path(&self.locator(), pg_sys::ForkNumber::MAIN_FORKNUM)).exists()
    }
}

/// Removes files when the current transaction commits, here and, by its commit record, on replicas.
///
/// # Safety
///
/// No relation may have the files, nor get them by a transaction that is open; and no subtransaction may be open.
pub unsafe fn remove_at_commit(files: &[RelationFile]) {
    let mut removed = files_to_be_removed();
    for file in files {
        // What is to be removed twice PostgreSQL cannot commit.
        if removed.contains(file) {
            continue;
        }
        removed.push(*file);
        // SAFETY: what stands for the relation has what RelationDropStorage looks at, which keeps a copy of that.
        unsafe {
            let relation = pg_sys::CreateFakeRelcacheEntry(file.locator());
            major::forget_files(relation);
            pg_sys::RelationDropStorage(relation);
            pg_sys::FreeFakeRelcacheEntry(relation);
        }
    }
}

/// The files of this database that the transaction which is open, and those within it, will remove at their commit.
fn files_to_be_removed() -> Vec<RelationFile> {
    let mut files = std::ptr::null_mut();
    // SAFETY: the answer is an array of so many elements, allocated for its caller, or none.
    unsafe {
        let count = pg_sys::smgrGetPendingDeletes(true, &raw mut files);
        let Ok(count @ 1..) = usize::try_from(count) else { return Vec::new() };
        let of_this_database = std::slice::from_raw_parts(files, count)
            .iter()
            .map(major::numbers_of)
            .filter(|[_, database, _]| *database == session::database())
            .map(|[tablespace, _, relfilenumber]| RelationFile { tablespace, relfilenumber })
            .collect();
        pg_sys::pfree(files.cast());
        of_this_database
    }
}

/// Whether this session itself is using the table, in a cursor or by triggers that have not fired yet: then its files must
/// stay as they are, whatever lock is held.
pub fn is_in_use_here(table: RelationOid) -> bool {
    // SAFETY: AccessShareLock is the weakest lock under which a relation may be opened. What is asked is what
    // CheckTableNotInUse of PostgreSQL asks, one reference being ours.
    unsafe {
        let relation = pg_sys::relation_open(table.oid(), pg_sys::AccessShareLock as c_int);
        let references = (*relation).rd_refcnt;
        pg_sys::relation_close(relation, pg_sys::AccessShareLock as c_int);
        references > 1 || pg_sys::AfterTriggerPendingOnRel(table.oid())
    }
}

/// Gives a table the column statistics of another one, and has the server count so many inserted rows for it.
pub fn take_statistics(table: Exclusive, from: Exclusive, rows: u64) {
    let (table, from) = (table.relation(), from.relation());
    // SAFETY: both tables are locked exclusively; 0 stands for all columns.
    unsafe {
        pg_sys::RemoveStatistics(table.oid(), 0);
        pg_sys::CopyStatistics(from.oid(), table.oid());
        let relation = pg_sys::relation_open(table.oid(), pg_sys::NoLock as c_int);
        pg_sys::pgstat_count_heap_insert(relation, rows as pg_sys::PgStat_Counter);
        pg_sys::relation_close(relation, pg_sys::NoLock as c_int);
        pg_sys::CommandCounterIncrement();
    }
}
