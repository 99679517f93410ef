//! Indexes made of the rows of a table at once.

use std::ffi::c_int;

use pgrx::pg_sys;

use crate::pg::catalog::RelationOid;

/// Gives an index an empty file, which [`build`] is to fill before anybody looks into it.
///
/// The table must be locked against everybody else.
pub fn empty(index: RelationOid) {
    // SAFETY: the relation is open and locked exclusively while it gets another file, as REINDEX does it.
    unsafe {
        let relation = pg_sys::relation_open(index.oid(), pg_sys::AccessExclusiveLock as c_int);
        let persistence = (*(*relation).rd_rel).relpersistence;
        pg_sys::RelationSetNewRelfilenumber(relation, persistence);
        pg_sys::relation_close(relation, pg_sys::NoLock as c_int);
        pg_sys::CommandCounterIncrement();
    }
}

/// Fills an index that [`empty`] emptied, in this process or in a parallel worker of the one that did.
///
/// It is `index_build` without what that writes to the catalogs (ANALYZE is to follow), which a parallel worker may not.
pub fn build(table: pg_sys::Oid, index: pg_sys::Oid) {
    // SAFETY: both relations are open while the access method builds, with the description of the index that PostgreSQL
    // itself makes; no column of it is an expression, so that nobody's code runs. The access method is called through the
    // boundary that turns PostgreSQL's errors into Rust's panics.
    unsafe {
        let table = pg_sys::table_open(table, pg_sys::ShareLock as c_int);
        let index = pg_sys::index_open(index, pg_sys::AccessExclusiveLock as c_int);
        let description = pg_sys::BuildIndexInfo(index);
        if let Some(build) = (*(*index).rd_indam).ambuild {
            pg_sys::ffi::pg_guard_ffi_boundary(|| build(table, index, description));
        }
        pg_sys::index_close(index, pg_sys::NoLock as c_int);
        pg_sys::table_close(table, pg_sys::NoLock as c_int);
    }
}
