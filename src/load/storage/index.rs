//! Indexes made of the rows of a table at once.

use std::ffi::{c_int, c_void};
use std::ptr;

use operations_model::operation::STATUS_NEW;
use pgrx::{check_for_interrupts, pg_guard, pg_sys};

use crate::load::storage::stored_row::column;
use crate::pg::catalog::RelationOid;
use crate::pg::lock::Exclusive;
use crate::pg::{major, unbound};

/// An index without entries, which is to be filled before anybody looks into it.
#[derive(Clone, Copy, Debug)]
pub struct EmptyIndex {
    table: pg_sys::Oid,
    index: pg_sys::Oid,
}

/// Gives an index of a table an empty file. With [`EmptyIndex::build`] it is `reindex_index`. `None` if it is of another table.
pub fn empty(table: Exclusive, index: RelationOid) -> Option<EmptyIndex> {
    let table = table.relation().oid();
    // SAFETY: the relation is open and locked exclusively while it gets another file; that it is an index shows rd_index, which
    // is NULL for others. An error of the look whether this session uses it releases it.
    unsafe {
        let relation = pg_sys::relation_open(index.oid(), pg_sys::AccessExclusiveLock as c_int);
        if (*relation).rd_index.as_ref().is_none_or(|form| form.indrelid != table) {
            pg_sys::relation_close(relation, pg_sys::NoLock as c_int);
            return None;
        }
        pg_sys::CheckTableNotInUse(relation, c"CALL operations_test_data".as_ptr());
        // Predicate locks name pages, which differ in the new file.
        unbound::transfer_predicate_locks(relation);
        let persistence = (*(*relation).rd_rel).relpersistence;
        major::set_new_file(relation, persistence);
        pg_sys::relation_close(relation, pg_sys::NoLock as c_int);
        pg_sys::CommandCounterIncrement();
    }
    Some(EmptyIndex { table, index: index.oid() })
}

/// A row that an index is to have an entry for, with the status of a new operation.
#[derive(Clone, Copy)]
pub struct Row {
    /// Where it is.
    pub tid: (pg_sys::BlockNumber, pg_sys::OffsetNumber),
    /// `id`
    pub id: i64,
    /// `operation_date`, as the type date has it
    pub date: i32,
}

impl Row {
    fn value(self, column: pg_sys::AttrNumber) -> pg_sys::Datum {
        match column {
            column::ID => self.id.into(),
            column::DATE => self.date.into(),
            _ => STATUS_NEW.into(),
        }
    }
}

impl EmptyIndex {
    /// Makes the entries, in this process or in a parallel worker of the one that emptied the index. The table is not read if
    /// the caller knows its rows: then the entries are those of these rows, which must be all that the table has.
    ///
    /// It is `index_build` without what that writes to the catalogs (ANALYZE is to follow), which a parallel worker may not.
    pub fn build(self, rows: Option<&mut dyn Iterator<Item = Row>>) {
        // SAFETY: both relations are open while the access method builds, with the description of the index that PostgreSQL
        // itself makes; no column of it is an expression, so that nobody's code runs. The access method is called through the
        // boundary that turns PostgreSQL's errors into Rust's panics. That of the table is heap's, but for one function if the
        // rows are known, and then only while what it refers to exists.
        unsafe {
            let table = pg_sys::table_open(self.table, pg_sys::ShareLock as c_int);
            let index = pg_sys::index_open(self.index, pg_sys::AccessExclusiveLock as c_int);
            let description = pg_sys::BuildIndexInfo(index);
            let original = (*table).rd_tableam;
            let mut known = rows.map(|rows| KnownRows {
                routine: pg_sys::TableAmRoutine { index_build_range_scan: Some(scan_known_rows), ..*original },
                rows,
            });
            let restored = Restored { table, original };
            if let Some(known) = &mut known {
                (*table).rd_tableam = ptr::from_mut(known).cast();
            }
            if let Some(build) = (*(*index).rd_indam).ambuild {
                pg_sys::ffi::pg_guard_ffi_boundary(|| build(table, index, description));
            }
            drop(restored);
            pg_sys::index_close(index, pg_sys::NoLock as c_int);
            pg_sys::table_close(table, pg_sys::NoLock as c_int);
        }
    }
}

/// The access method of a table whose rows are known. It begins with what PostgreSQL sees of it.
#[repr(C)]
struct KnownRows<'a> {
    routine: pg_sys::TableAmRoutine,
    rows: &'a mut dyn Iterator<Item = Row>,
}

/// Gives a table its access method back when it is dropped.
struct Restored {
    table: pg_sys::Relation,
    original: *const pg_sys::TableAmRoutine,
}

impl Drop for Restored {
    fn drop(&mut self) {
        // SAFETY: the table is open; runs also when an error unwinds.
        unsafe { (*self.table).rd_tableam = self.original }
    }
}

/// What `index_build_range_scan` of a table's access method has to do: call back for every row.
#[pg_guard]
#[expect(clippy::too_many_arguments, reason = "PostgreSQL calls it with these")]
unsafe extern "C-unwind" fn scan_known_rows(
    table: pg_sys::Relation,
    index: pg_sys::Relation,
    description: *mut pg_sys::IndexInfo,
    _allow_sync: bool,
    _anyvisible: bool,
    _progress: bool,
    _start: pg_sys::BlockNumber,
    _count: pg_sys::BlockNumber,
    callback: pg_sys::IndexBuildCallback,
    state: *mut c_void,
    _scan: pg_sys::TableScanDesc,
) -> f64 {
    /// Rows between two looks at whether the load was cancelled.
    const BATCH: usize = 1024;
    // SAFETY: PostgreSQL calls this function only as that of the access method that `build` made. The index is a standard
    // one (`load::standard`): no expressions, and columns that `Row` knows. The callback copies what it is given. It is
    // called through one boundary for many rows, beyond which there is nothing to be dropped.
    unsafe {
        let rows = &mut (*(*table).rd_tableam.cast_mut().cast::<KnownRows<'_>>()).rows;
        let Some(callback) = callback else { return 0.0 };
        let columns = &(&(*description).ii_IndexAttrNumbers)[..(*description).ii_NumIndexAttrs as usize];
        let mut batch = Vec::with_capacity(BATCH);
        let mut count = 0.0;
        loop {
            batch.clear();
            batch.extend(rows.by_ref().take(BATCH));
            if batch.is_empty() {
                return count;
            }
            count += batch.len() as f64;
            check_for_interrupts!();
            let batch = batch.as_slice();
            pg_sys::ffi::pg_guard_ffi_boundary(|| {
                let mut values = [pg_sys::Datum::from(0); pg_sys::INDEX_MAX_KEYS as usize];
                let mut nulls = [false; pg_sys::INDEX_MAX_KEYS as usize];
                for row in batch {
                    for (value, column) in values.iter_mut().zip(columns) {
                        *value = row.value(*column);
                    }
                    let mut tid = pg_sys::ItemPointerData::default();
                    pgrx::itemptr::item_pointer_set_all(&mut tid, row.tid.0, row.tid.1);
                    callback(index, &raw mut tid, values.as_mut_ptr(), nulls.as_mut_ptr(), true, state);
                }
            });
        }
    }
}
