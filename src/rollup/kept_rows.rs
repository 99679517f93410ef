//! Changes of single rows of what the aggregate is kept in, without the executor, whose statements cost as much again as the
//! changes that they make.
#![expect(unsafe_code, reason = "it changes rows of tables of ours without the executor")]

use std::ffi::c_int;
use std::ptr;

use pgrx::pg_sys;

use crate::error::Error;
use crate::pg::catalog::RelationOid;
use crate::pg::index_entries::IndexEntries;
use crate::pg::major;
use crate::rollup::table_rows::{
    Row, Values, check_columns, check_result, for_each_row, is_unique_by_first_columns, layout_error, remove, values_of,
};

/// The columns that a table must have.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    /// The types of all columns.
    pub types: &'a [pg_sys::Oid],
    /// For each of the columns that the unique index is on, which are the first: the function of `=`.
    pub equal: &'a [u32],
}

/// A table, open for changes.
pub struct KeptRows {
    relation: pg_sys::Relation,
    indexes: IndexEntries,
    slot: *mut pg_sys::TupleTableSlot,
    command: pg_sys::CommandId,
    keys: Vec<pg_sys::ScanKeyData>,
    index: pg_sys::Relation,
}

impl KeptRows {
    /// Opens the table. Its rows are those that what was done so far has left.
    ///
    /// # Errors
    ///
    /// [`Error::OtherRollup`] if the table is not as expected: another version of the extension may have made it.
    ///
    /// # Safety
    ///
    /// Whoever else changes the table must be locked out, and [`Self::end`] be called, or the transaction abort.
    pub unsafe fn begin(table: RelationOid, columns: Columns<'_>) -> Result<Self, Error> {
        // SAFETY: the relation and all that is made for it are used until `end`. A snapshot must be active while rows are looked for, and while values that were
        // moved out of rows are removed.
        unsafe {
            let relation = pg_sys::table_open(table.oid(), pg_sys::RowExclusiveLock as c_int);
            let descriptor = (*relation).rd_att;
            check_columns(relation, columns.types)?;
            let indexes = IndexEntries::open(relation);
            let is_key = |index: &&pg_sys::Relation| is_unique_by_first_columns(**index, columns.equal.len());
            let Some(index) = indexes.relations().iter().find(is_key).copied() else {
                return Err(layout_error(relation, "It has no unique index on its key."));
            };
            let mut keys = vec![pg_sys::ScanKeyData::default(); columns.equal.len()];
            for ((number, key), equal) in (1..).zip(&mut keys).zip(columns.equal) {
                let strategy = pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber;
                pg_sys::ScanKeyInit(key, number, strategy, (*equal).into(), pg_sys::Datum::from(0));
            }
            pg_sys::CommandCounterIncrement();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            Ok(Self {
                relation,
                indexes,
                slot: pg_sys::MakeSingleTupleTableSlot(descriptor, &raw const pg_sys::TTSOpsHeapTuple),
                command: pg_sys::GetCurrentCommandId(true),
                keys,
                index,
            })
        }
    }

    /// What `change` makes of the row of that key, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::ConcurrentUpdate`] if there is none for the transaction's snapshot, and yet is one that is newer.
    ///
    /// # Safety
    ///
    /// The values must be of the types of the columns. What `change` is lent does not outlast it.
    pub unsafe fn find(
        &self,
        key: &[pg_sys::Datum],
        change: impl FnOnce(Option<&Row>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut change = Some(change);
        let mut answer = Ok(());
        // SAFETY: by the contract; `begin` has a snapshot active, and the other is registered while it is used.
        unsafe {
            let is_found = self.look_up(key, pg_sys::GetActiveSnapshot(), |row| {
                if let Some(change) = change.take() {
                    answer = change(Some(row));
                }
            });
            if is_found {
                return answer;
            }
            if pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as c_int {
                let latest = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
                let is_newer = self.look_up(key, latest, |_| ());
                pg_sys::UnregisterSnapshot(latest);
                if is_newer {
                    return Err(Error::ConcurrentUpdate);
                }
            }
        }
        change.map_or(Ok(()), |change| change(None))
    }

    /// Whether a snapshot shows a row of that key, which `visit` is lent then.
    ///
    /// # Safety
    ///
    /// As for [`Self::find`]; the snapshot must be active or registered.
    unsafe fn look_up(&self, key: &[pg_sys::Datum], snapshot: pg_sys::Snapshot, visit: impl FnOnce(&Row)) -> bool {
        // SAFETY: by the contract; the keys are of the index's own columns, in their order, which are the table's first ones;
        // a row that is found stays in its buffer until the scan ends.
        unsafe {
            let mut keys = self.keys.clone();
            for (place, value) in keys.iter_mut().zip(key) {
                place.sk_argument = *value;
            }
            let count = keys.len() as c_int;
            let scan =
                pg_sys::systable_beginscan_ordered(self.relation, self.index, snapshot, count, keys.as_mut_ptr());
            let tuple = pg_sys::systable_getnext_ordered(scan, pg_sys::ScanDirection::ForwardScanDirection);
            let is_found = !tuple.is_null();
            if is_found {
                visit(&Row { tid: (*tuple).t_self, values: values_of(tuple, (*self.relation).rd_att) });
            }
            pg_sys::systable_endscan_ordered(scan);
            is_found
        }
    }

    /// Whether reading all rows costs less than finding so many by the index, which costs about seven times as much for each.
    pub fn is_better_read_whole(&self, rows: usize) -> bool {
        const ROWS_OF_A_PAGE: usize = 60;
        const FOUND: usize = 7;
        // SAFETY: the relation is open.
        let pages = unsafe { pg_sys::RelationGetNumberOfBlocksInFork(self.relation, pg_sys::ForkNumber::MAIN_FORKNUM) };
        (pages as usize).saturating_mul(ROWS_OF_A_PAGE) < rows.saturating_mul(FOUND)
    }

    /// Visits all rows, which may be changed meanwhile.
    ///
    /// # Safety
    ///
    /// What `visit` is lent does not outlast it.
    pub unsafe fn for_each_row(&self, visit: impl FnMut(&Row) -> Result<(), Error>) -> Result<(), Error> {
        // SAFETY: `begin` opened the relation and has a snapshot active.
        unsafe { for_each_row(self.relation, visit) }
    }

    /// Removes a row.
    ///
    /// # Safety
    ///
    /// The row must be one of the table.
    pub unsafe fn remove(&self, place: pg_sys::ItemPointerData) -> Result<(), Error> {
        // SAFETY: by the contract.
        unsafe { remove(self.relation, place, self.command) }
    }

    /// Gives a row these values, or, without a place, adds it.
    ///
    /// # Safety
    ///
    /// The row must be one of the table, and the values of the types of its columns.
    pub unsafe fn put(&self, place: Option<pg_sys::ItemPointerData>, values: &Values) -> Result<(), Error> {
        // SAFETY: by the contract. The tuple is freed after its entries in the indexes were made.
        unsafe {
            let mut datums = values.map(|value| value.unwrap_or(pg_sys::Datum::from(0)));
            let mut nulls = values.map(|value| value.is_none());
            let tuple = pg_sys::heap_form_tuple((*self.relation).rd_att, datums.as_mut_ptr(), nulls.as_mut_ptr());
            (*tuple).t_tableOid = (*self.relation).rd_id;
            match place {
                Some(mut place) => {
                    let (result, wanted) = major::update(self.relation, &mut place, tuple, self.command);
                    check_result(result)?;
                    pg_sys::ExecStoreHeapTuple(tuple, self.slot, false);
                    self.indexes.update(self.slot, wanted);
                }
                None => {
                    pg_sys::heap_insert(self.relation, tuple, self.command, 0, ptr::null_mut());
                    pg_sys::ExecStoreHeapTuple(tuple, self.slot, false);
                    self.indexes.insert(self.slot);
                }
            }
            pg_sys::ExecClearTuple(self.slot);
            pg_sys::heap_freetuple(tuple);
            Ok(())
        }
    }

    /// Closes the table. Its lock is kept until the transaction ends.
    pub fn end(self) {
        // SAFETY: releases what `begin` made, once.
        unsafe {
            pg_sys::ExecDropSingleTupleTableSlot(self.slot);
            pg_sys::PopActiveSnapshot();
            self.indexes.close();
            pg_sys::table_close(self.relation, pg_sys::NoLock as c_int);
            pg_sys::CommandCounterIncrement();
        }
    }
}
