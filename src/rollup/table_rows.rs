//! Rows of an open table, as the heap has them.
#![expect(unsafe_code, reason = "it changes rows of tables without the executor")]

use std::ptr;

use pgrx::{check_for_interrupts, pg_sys};

use crate::error::Error;
use crate::pg::catalog;
use crate::pg::descriptor;

/// The most columns that such a table has.
pub const MAX_COLUMNS: usize = 5;

/// The values of a row; `None` is null.
pub type Values = [Option<pg_sys::Datum>; MAX_COLUMNS];

/// Where a row is, and what it holds.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its TID.
    pub tid: pg_sys::ItemPointerData,
    /// Its values, up to the number of columns.
    pub values: Values,
}

/// Asks that a table is of heap, with these columns.
///
/// # Errors
///
/// [`Error::OtherRollup`]
///
/// # Safety
///
/// `relation` must be open.
pub unsafe fn check_columns(relation: pg_sys::Relation, types: &[pg_sys::Oid]) -> Result<(), Error> {
    // SAFETY: by the contract; the descriptor has natts columns.
    unsafe {
        let descriptor = (*relation).rd_att;
        let columns = descriptor::columns(descriptor);
        let fits = columns.len() == types.len()
            && columns.len() <= MAX_COLUMNS
            && columns.iter().zip(types).all(|(column, of_type)| !column.attisdropped && column.atttypid == *of_type)
            && ptr::eq((*relation).rd_tableam, pg_sys::GetHeapamTableAmRoutine());
        if fits { Ok(()) } else { Err(layout_error(relation, "It has other columns, or other storage.")) }
    }
}

/// # Safety
///
/// `relation` must be open.
pub unsafe fn layout_error(relation: pg_sys::Relation, facts: &str) -> Error {
    // SAFETY: by the contract.
    let oid = unsafe { (*relation).rd_id };
    Error::OtherRollup { table: catalog::relation_name(oid), facts: facts.into() }
}

/// Whether an index says that the first columns of its table, and no others, are a key.
///
/// # Safety
///
/// `index` must be open.
pub unsafe fn is_unique_by_first_columns(index: pg_sys::Relation, columns: usize) -> bool {
    // SAFETY: by the contract; rd_index is its row of pg_index.
    unsafe {
        let form = &*(*index).rd_index;
        let attributes = form.indkey.values.as_slice(form.indkey.dim1 as usize);
        attributes.len() == columns
            && (1..).zip(attributes).all(|(number, attribute): (i16, _)| number == *attribute)
            && (form.indisunique && form.indisvalid && form.indisready && form.indimmediate)
            && pg_sys::RelationGetIndexPredicate(index).is_null()
    }
}

/// Visits all rows of a table.
///
/// # Safety
///
/// `relation` must be open, with columns that were checked, and a snapshot active. What `visit` is lent does not outlast it.
pub unsafe fn for_each_row(
    relation: pg_sys::Relation,
    mut visit: impl FnMut(&Row) -> Result<(), Error>,
) -> Result<(), Error> {
    // SAFETY: by the contract. A row stays in its buffer until the next is read; an error in between ends the scan with the
    // transaction. What is changed meanwhile the snapshot does not see.
    unsafe {
        let snapshot = pg_sys::GetActiveSnapshot();
        let scan = pg_sys::systable_beginscan(relation, pg_sys::InvalidOid, false, snapshot, 0, ptr::null_mut());
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            check_for_interrupts!();
            visit(&Row { tid: (*tuple).t_self, values: values_of(tuple, (*relation).rd_att) })?;
        }
        pg_sys::systable_endscan(scan);
        Ok(())
    }
}

/// The values of a row, which point into it.
///
/// # Safety
///
/// The row must have these columns, of which there are [`MAX_COLUMNS`] at most.
pub unsafe fn values_of(tuple: pg_sys::HeapTuple, descriptor: pg_sys::TupleDesc) -> Values {
    let mut datums = [pg_sys::Datum::from(0); MAX_COLUMNS];
    let mut nulls = [true; MAX_COLUMNS];
    // SAFETY: by the contract.
    unsafe { pg_sys::heap_deform_tuple(tuple, descriptor, datums.as_mut_ptr(), nulls.as_mut_ptr()) };
    let mut values = datums.map(Some);
    for (value, is_null) in values.iter_mut().zip(nulls) {
        if is_null {
            *value = None;
        }
    }
    values
}

/// Removes a row.
///
/// # Safety
///
/// `relation` must be open and locked for writing, and the row be one of it; an active snapshot must be there.
pub unsafe fn remove(
    relation: pg_sys::Relation,
    mut tid: pg_sys::ItemPointerData,
    command: pg_sys::CommandId,
) -> Result<(), Error> {
    let mut failure = pg_sys::TM_FailureData::default();
    // SAFETY: by the contract.
    check_result(unsafe {
        pg_sys::heap_delete(relation, &raw mut tid, command, ptr::null_mut(), true, &raw mut failure, false)
    })
}

/// Whether a row could be changed. Under the lock of the view it was, unless the transaction's snapshot is older than the lock
/// and another transaction has changed it since.
pub fn check_result(result: pg_sys::TM_Result::Type) -> Result<(), Error> {
    if result == pg_sys::TM_Result::TM_Ok { Ok(()) } else { Err(Error::ConcurrentUpdate) }
}
