//! Rows, their columns, their entries in indexes, and who may insert them.

use std::ptr;

use pgrx::pg_sys;

/// Which indexes get an entry for a new version of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entries {
    /// None: they have one that leads to it.
    None,
    /// All.
    All,
    /// Those that have one entry for many rows (BRIN). PostgreSQL 15 never asks for it.
    Summarizing,
}

/// Gives a row other values, and says which indexes are to get an entry.
///
/// # Safety
///
/// The relation must be open and locked for writing, the row be one of it, the tuple have its columns, and a snapshot be active.
pub unsafe fn update(
    relation: pg_sys::Relation,
    place: &mut pg_sys::ItemPointerData,
    tuple: pg_sys::HeapTuple,
    command: pg_sys::CommandId,
) -> (pg_sys::TM_Result::Type, Entries) {
    const WAIT: bool = true;
    let mut mode = pg_sys::LockTupleMode::LockTupleExclusive;
    let mut failure = pg_sys::TM_FailureData::default();
    let (failure, mode, no_check) = (&raw mut failure, &raw mut mode, ptr::null_mut());
    // SAFETY: by the contract.
    unsafe {
        #[cfg(not(feature = "pg15"))]
        {
            let mut wanted = pg_sys::TU_UpdateIndexes::TU_All;
            let result =
                pg_sys::heap_update(relation, place, tuple, command, no_check, WAIT, failure, mode, &raw mut wanted);
            let entries = match wanted {
                pg_sys::TU_UpdateIndexes::TU_None => Entries::None,
                pg_sys::TU_UpdateIndexes::TU_Summarizing => Entries::Summarizing,
                _ => Entries::All,
            };
            (result, entries)
        }
        #[cfg(feature = "pg15")]
        {
            let result = pg_sys::heap_update(relation, place, tuple, command, no_check, WAIT, failure, mode);
            // What heapam_tuple_update answers there: a heap-only tuple is found by the entries that there are.
            let is_heap_only = u32::from((*(*tuple).t_data).t_infomask2) & pg_sys::HEAP_ONLY_TUPLE != 0;
            (result, if is_heap_only { Entries::None } else { Entries::All })
        }
    }
}

/// Makes the entries of a row in the indexes: of a row that was updated, those that [`update`] asks for.
///
/// # Safety
///
/// The indexes must be open, and the slot hold a row that is in the table, and say where.
#[cfg_attr(feature = "pg15", expect(unused_variables, reason = "it makes entries in all of them"))]
pub unsafe fn insert_entries(
    relation: *mut pg_sys::ResultRelInfo,
    slot: *mut pg_sys::TupleTableSlot,
    executor: *mut pg_sys::EState,
    is_update: bool,
    only_summarizing: bool,
) {
    const ERROR_FOR_DUPLICATE: bool = false;
    let (none, nowhere) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: by the contract.
    unsafe {
        #[cfg(not(feature = "pg15"))]
        pg_sys::ExecInsertIndexTuples(
            relation,
            slot,
            executor,
            is_update,
            ERROR_FOR_DUPLICATE,
            none,
            nowhere,
            only_summarizing,
        );
        #[cfg(feature = "pg15")]
        pg_sys::ExecInsertIndexTuples(relation, slot, executor, is_update, ERROR_FOR_DUPLICATE, none, nowhere);
    }
}

/// The first of the columns that a description has, as many as `natts`. Since PostgreSQL 18 they come after as many in a shorter
/// form.
///
/// # Safety
///
/// The description must be one that PostgreSQL made.
pub unsafe fn first_attribute(descriptor: pg_sys::TupleDesc) -> *const pg_sys::FormData_pg_attribute {
    // SAFETY: by the contract.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        let first = (&raw const (*descriptor).attrs).cast();
        #[cfg(feature = "pg18")]
        let first = (&raw const (*descriptor).compact_attrs)
            .cast::<pg_sys::CompactAttribute>()
            .add((*descriptor).natts as usize)
            .cast();
        first
    }
}

/// Notes in a parse state that rows with these columns are to be inserted into its only relation, and raises PostgreSQL's own error
/// if the current role may not. What may be done with a relation is noted beside the range table since PostgreSQL 16, before in it.
///
/// # Safety
///
/// `item` must be what addRangeTableEntryForRelation gave for the parse state.
pub unsafe fn require_insert(
    parse_state: *mut pg_sys::ParseState,
    item: *mut pg_sys::ParseNamespaceItem,
    columns: impl Iterator<Item = pg_sys::AttrNumber>,
) {
    // SAFETY: by the contract. The set is allocated in the current memory context, as the nodes are.
    unsafe {
        let columns = columns.fold(ptr::null_mut(), |set, column| {
            pg_sys::bms_add_member(set, i32::from(column) - pg_sys::FirstLowInvalidHeapAttributeNumber)
        });
        #[cfg(not(feature = "pg15"))]
        {
            let permissions = (*item).p_perminfo;
            (*permissions).requiredPerms = pg_sys::ACL_INSERT.into();
            (*permissions).insertedCols = columns;
            let mut list = pgrx::PgList::<pg_sys::RTEPermissionInfo>::new();
            list.push(permissions);
            pg_sys::ExecCheckPermissions((*parse_state).p_rtable, list.into_pg(), true);
        }
        #[cfg(feature = "pg15")]
        {
            let entry = (*item).p_rte;
            (*entry).requiredPerms = pg_sys::ACL_INSERT;
            (*entry).insertedCols = columns;
            pg_sys::ExecCheckRTPerms((*parse_state).p_rtable, true);
        }
    }
}
