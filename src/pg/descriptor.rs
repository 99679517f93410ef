//! The description of rows.

use pgrx::pg_sys;

use crate::pg::major;

/// The columns that it describes, dropped ones among them.
///
/// # Safety
///
/// The description must be one that PostgreSQL made, and stay while the answer is used.
pub unsafe fn columns<'a>(descriptor: pg_sys::TupleDesc) -> &'a [pg_sys::FormData_pg_attribute] {
    // SAFETY: by the contract, natts columns are there, one after the other.
    unsafe { std::slice::from_raw_parts(major::first_attribute(descriptor), (*descriptor).natts as usize) }
}
