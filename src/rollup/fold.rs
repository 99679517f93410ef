//! Moves the changes of done operations from `operations_delta` into the rollups: each is read once, and each sum that changed
//! is written once.
#![expect(unsafe_code, reason = "it changes rows of the rollups without the executor")]

use std::ffi::c_int;
use std::ptr;

use pgrx::{AnyNumeric, FromDatum, check_for_interrupts, pg_sys};

use crate::error::Error;
use crate::pg::catalog::RelationOid;
use crate::pg::lock::Writable;
use crate::rollup::counting::CountingTriggers;
use crate::rollup::kept_rows::{Columns, KeptRows};
use crate::rollup::sum_key::{BY_PARTITION, Key, Sums, oid};
use crate::rollup::table_rows::{self, Row, Values};
use crate::schema::Schema;

/// What the aggregate is kept in.
#[derive(Clone, Copy, Debug)]
pub struct Tables {
    /// `operations_delta`
    pub delta: RelationOid,
    /// `operations_rollup_partition`
    pub partitions: RelationOid,
    /// `operations_rollup`
    pub rollup: RelationOid,
    /// `operations_rollup_total`
    pub total: RelationOid,
    /// The type of `operation_type`.
    pub operation_type: pg_sys::Oid,
}

impl Tables {
    /// Those of the extension.
    pub fn of(schema: &Schema) -> Result<Self, Error> {
        Ok(Self {
            delta: schema.delta()?,
            partitions: schema.rollup_partition()?,
            rollup: schema.rollup()?,
            total: schema.rollup_total()?,
            operation_type: CountingTriggers::of(schema)?.operation_type,
        })
    }
}

/// Asks that what this transaction's snapshot shows as tracked is what is tracked. Else it would add to sums of a partition that
/// another transaction has ceased to track, from which nobody would take them out again.
///
/// `_view`: the lock on `client_type_sum_mv`, which whoever writes the rollups holds.
///
/// # Errors
///
/// [`Error::ConcurrentUpdate`] if it is not; [`Error::OtherRollup`] if the table is not as this version has it.
pub fn require_current(_view: Writable, tables: Tables) -> Result<(), Error> {
    // SAFETY: reads this transaction's isolation level; the relation is open and locked, and the snapshot active, while rows of it
    // are read.
    unsafe {
        if pg_sys::XactIsoLevel < pg_sys::XACT_REPEATABLE_READ as c_int {
            return Ok(());
        }
        let relation = pg_sys::table_open(tables.partitions.oid(), pg_sys::AccessShareLock as c_int);
        table_rows::check_columns(relation, &[pg_sys::OIDOID, pg_sys::TEXTOID])?;
        pg_sys::CommandCounterIncrement();
        let rows = |snapshot: pg_sys::Snapshot| {
            let mut places = Vec::new();
            pg_sys::PushActiveSnapshot(snapshot);
            table_rows::for_each_row(relation, |row| {
                let pg_sys::ItemPointerData { ip_blkid, ip_posid } = row.tid;
                places.push((ip_blkid.bi_hi, ip_blkid.bi_lo, ip_posid));
                Ok(())
            })?;
            pg_sys::PopActiveSnapshot();
            Ok::<_, Error>(places)
        };
        // A row that was removed and another in its place cannot be: while a snapshot shows the one, it is not vacuumed.
        let is_current = rows(pg_sys::GetTransactionSnapshot())? == rows(pg_sys::GetLatestSnapshot())?;
        pg_sys::table_close(relation, pg_sys::NoLock as c_int);
        if is_current { Ok(()) } else { Err(Error::ConcurrentUpdate) }
    }
}

/// A change of a sum. The number is palloc'd, and belongs to it.
#[derive(Clone, Copy)]
struct Change {
    rows: i64,
    amount: pg_sys::Numeric,
}

type Changes = Sums<Change>;

/// Takes out all changes, and adds those of partitions that are tracked to the rollups.
///
/// `_view`: the lock on `client_type_sum_mv`, which whoever writes the rollups holds.
///
/// # Errors
///
/// [`Error::OtherRollup`] if a table is not as this version has it; [`Error::ConcurrentUpdate`] if the transaction's snapshot is
/// older than another's fold.
pub fn fold(_view: Writable, tables: Tables, tracked: &[pg_sys::Oid]) -> Result<(), Error> {
    let Tables { rollup, total, operation_type, .. } = tables;
    // SAFETY: under the lock on the view nobody else changes these tables. The types of the columns are checked as they are opened.
    unsafe {
        let by_partition = take(tables, tracked)?;
        if by_partition.is_empty() {
            return Ok(());
        }
        let mut over_all = Changes::default();
        for (key, change) in &by_partition {
            over_all.add(Key { partition: 0, ..*key }, change.rows, change.amount);
        }
        let types = [pg_sys::OIDOID, pg_sys::INT4OID, operation_type, pg_sys::INT8OID, pg_sys::NUMERICOID];
        add(rollup, Columns { types: &types, equal: &BY_PARTITION }, by_partition)?;
        add(total, Columns { types: &types[1..], equal: &BY_PARTITION[1..] }, over_all)
    }
}

/// Adds changes up.
trait AddUp {
    /// # Safety
    ///
    /// The number must be valid. It is copied.
    unsafe fn add(&mut self, key: Key, rows: i64, amount: pg_sys::Numeric);
}

impl AddUp for Changes {
    unsafe fn add(&mut self, key: Key, rows: i64, amount: pg_sys::Numeric) {
        // SAFETY: by the contract; a sum that was replaced is used by nobody else.
        unsafe {
            if let Some(change) = self.get_mut(&key) {
                let before = change.amount;
                change.rows += rows;
                change.amount = pg_sys::numeric_add_opt_error(before, amount, ptr::null_mut());
                pg_sys::pfree(before.cast());
            } else {
                let amount = pg_sys::pg_detoast_datum_copy(amount.cast()).cast();
                self.insert(key, Change { rows, amount });
            }
        }
    }
}

/// Takes all changes out, and returns those of tracked partitions, added up.
///
/// # Safety
///
/// Nobody else may take them.
unsafe fn take(tables: Tables, tracked: &[pg_sys::Oid]) -> Result<Changes, Error> {
    let types = [pg_sys::OIDOID, pg_sys::INT4OID, tables.operation_type, pg_sys::INT4OID, pg_sys::NUMERICOID];
    let mut changes = Changes::default();
    // SAFETY: the relation is open and locked until the transaction ends. A row stays in its buffer until the next is read, and
    // its values, which are of the types that were checked, are copied. Rows that a scan has found may be removed meanwhile.
    unsafe {
        let relation = pg_sys::table_open(tables.delta.oid(), pg_sys::RowExclusiveLock as c_int);
        table_rows::check_columns(relation, &types)?;
        pg_sys::CommandCounterIncrement();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let command = pg_sys::GetCurrentCommandId(true);
        table_rows::for_each_row(relation, |row| {
            let [Some(partition), Some(client_id), Some(operation_type), Some(rows), Some(stored)] = row.values else {
                return Err(table_rows::layout_error(relation, "A value is null."));
            };
            let partition = oid(partition);
            if tracked.contains(&partition) {
                let key = Key {
                    partition: partition.to_u32(),
                    client_id: client_id.value() as i32,
                    operation_type: oid(operation_type).to_u32(),
                };
                let amount = numeric(stored);
                changes.add(key, i64::from(rows.value() as i32), amount);
                free(amount, stored);
            }
            table_rows::remove(relation, row.tid, command)
        })?;
        pg_sys::PopActiveSnapshot();
        pg_sys::table_close(relation, pg_sys::NoLock as c_int);
        pg_sys::CommandCounterIncrement();
    }
    Ok(changes)
}

/// Adds changes to the sums of a table. A sum of nothing is removed.
///
/// # Safety
///
/// Nobody else may change the table.
unsafe fn add(table: RelationOid, columns: Columns<'_>, mut changes: Changes) -> Result<(), Error> {
    // SAFETY: by the contract. The columns are the key, the rows and the amount, which the table was checked for.
    unsafe {
        changes.retain(|_, change| change.rows != 0 || !is_zero(change.amount));
        let of_key = columns.equal.len();
        let sums = KeptRows::begin(table, columns)?;
        if sums.is_better_read_whole(changes.len()) {
            sums.for_each_row(|row| {
                let Some(key) = Key::of(&row.values[..of_key]) else { return Ok(()) };
                changes.remove(&key).map_or(Ok(()), |change| add_one(&sums, key, of_key, change, Some(row)))
            })?;
        }
        // In the order of the index, neighbours of which are in one page.
        let mut changes: Vec<_> = changes.into_iter().collect();
        changes.sort_unstable_by_key(|(key, _)| *key);
        for (key, change) in changes {
            check_for_interrupts!();
            let datums = key.datums();
            sums.find(&datums[datums.len() - of_key..], |row| add_one(&sums, key, of_key, change, row))?;
        }
        sums.end();
    }
    Ok(())
}

/// # Safety
///
/// `row` must be that of the key in `sums`, or none if there is none.
unsafe fn add_one(sums: &KeptRows, key: Key, of_key: usize, change: Change, row: Option<&Row>) -> Result<(), Error> {
    let stored = row.and_then(|row| Some((row.values[of_key]?, row.values[of_key + 1]?)));
    // SAFETY: by the contract; the values of a row, which are of the types that the table was checked for, stay meanwhile.
    unsafe {
        let (rows, amount) = match stored {
            Some((rows, stored)) => {
                let before = numeric(stored);
                let amount = pg_sys::numeric_add_opt_error(before, change.amount, ptr::null_mut());
                free(before, stored);
                pg_sys::pfree(change.amount.cast());
                (rows.value() as i64 + change.rows, amount)
            }
            None => (change.rows, change.amount),
        };
        match row {
            Some(row) if rows == 0 && is_zero(amount) => sums.remove(row.tid)?,
            _ => {
                let datums = key.datums();
                let key = &datums[datums.len() - of_key..];
                let mut values = Values::default();
                let all = key.iter().copied().chain([rows.into(), amount.into()]);
                values.iter_mut().zip(all).for_each(|(value, one)| *value = Some(one));
                sums.put(row.map(|row| row.tid), &values)?;
            }
        }
        pg_sys::pfree(amount.cast());
        Ok(())
    }
}

/// A stored number with a whole header, as arithmetic needs it: itself or a copy.
///
/// # Safety
///
/// The value must be of type numeric.
pub unsafe fn numeric(stored: pg_sys::Datum) -> pg_sys::Numeric {
    // SAFETY: by the contract.
    unsafe { pg_sys::pg_detoast_datum(stored.cast_mut_ptr()).cast() }
}

/// Frees what [`numeric`] made.
///
/// # Safety
///
/// `numeric` must have made it of `stored`, and nobody use it any more.
pub unsafe fn free(numeric: pg_sys::Numeric, stored: pg_sys::Datum) {
    if numeric != stored.cast_mut_ptr() {
        // SAFETY: by the contract, a copy.
        unsafe { pg_sys::pfree(numeric.cast()) }
    }
}

/// # Safety
///
/// The number must be valid.
unsafe fn is_zero(amount: pg_sys::Numeric) -> bool {
    // SAFETY: by the contract.
    unsafe { AnyNumeric::from_datum(amount.into(), false) }.is_some_and(|amount| amount == AnyNumeric::default())
}
