//! The description of rows.

use pgrx::pg_sys;

/// The columns that it describes, dropped ones among them.
///
/// # Safety
///
/// The description must be one that PostgreSQL made, and stay while the answer is used.
pub unsafe fn columns<'a>(descriptor: pg_sys::TupleDesc) -> &'a [pg_sys::FormData_pg_attribute] {
    // SAFETY: by the contract, natts columns come after it in memory; since PostgreSQL 18 they come after as many in a shorter
    // form.
    unsafe {
        let count = (*descriptor).natts as usize;
        #[cfg(not(feature = "pg18"))]
        let first = (&raw const (*descriptor).attrs).cast();
        #[cfg(feature = "pg18")]
        let first = (&raw const (*descriptor).compact_attrs).cast::<pg_sys::CompactAttribute>().add(count).cast();
        std::slice::from_raw_parts(first, count)
    }
}
