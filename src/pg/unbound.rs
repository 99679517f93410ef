//! Functions that PostgreSQL exports and pgrx does not bind.

use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;

mod exported {
    use pgrx::pg_sys;

    unsafe extern "C-unwind" {
        pub fn TransferPredicateLocksToHeapRelation(relation: pg_sys::Relation);
        pub fn find_all_inheritors(
            parent: pg_sys::Oid,
            lock: pg_sys::LOCKMODE,
            parents: *mut *mut pg_sys::List,
        ) -> *mut pg_sys::List;
        pub fn setRuleCheckAsUser(node: *mut pg_sys::Node, user: pg_sys::Oid);
    }
}

/// Has what serializable transactions have read of a table, or of an index, count as the whole table (predicate.h).
///
/// # Safety
///
/// The relation must be open, and locked exclusively.
pub unsafe fn transfer_predicate_locks(relation: pg_sys::Relation) {
    // SAFETY: by the contract; an error becomes a panic at the boundary, beyond which there is nothing to be dropped.
    unsafe { pg_guard_ffi_boundary(|| exported::TransferPredicateLocksToHeapRelation(relation)) }
}

/// A relation and all that inherit from it, partitions among them, without a lock on any (pg_inherits.h): a list of OIDs,
/// allocated for the caller.
pub fn with_inheritors(relation: pg_sys::Oid) -> *mut pg_sys::List {
    // SAFETY: takes any OID; an error becomes a panic at the boundary, beyond which there is nothing to be dropped.
    unsafe {
        pg_guard_ffi_boundary(|| {
            exported::find_all_inheritors(relation, pg_sys::NoLock as pg_sys::LOCKMODE, std::ptr::null_mut())
        })
    }
}

/// Notes in a query, and in all below it, as whom it reads (rewriteDefine.h).
///
/// # Safety
///
/// `query` must be an analysed query.
pub unsafe fn set_reader(query: *mut pg_sys::Query, user: pg_sys::Oid) {
    // SAFETY: by the contract; an error becomes a panic at the boundary, beyond which there is nothing to be dropped.
    unsafe { pg_guard_ffi_boundary(|| exported::setRuleCheckAsUser(query.cast(), user)) }
}
