//! Functions that PostgreSQL exports and pgrx does not bind.

use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;

mod exported {
    use pgrx::pg_sys;

    unsafe extern "C-unwind" {
        pub fn TransferPredicateLocksToHeapRelation(relation: pg_sys::Relation);
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
