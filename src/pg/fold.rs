//! Moves the changes of done operations from `operations_delta` into the rollups: each is read once, and each sum that changed
//! is written once.

use std::collections::HashMap;
use std::ffi::c_int;
use std::ptr;

use pgrx::{AnyNumeric, FromDatum, check_for_interrupts, pg_sys};

use crate::error::Error;
use crate::pg::catalog::RelationOid;
use crate::pg::kept_rows::{self, Columns, KeptRows, Row, Values};

/// The functions of `=` of partition, client and type.
const BY_PARTITION: [u32; 3] = [pg_sys::F_OIDEQ, pg_sys::F_INT4EQ, pg_sys::F_ENUM_EQ];

/// What the aggregate is kept in.
#[derive(Clone, Copy, Debug)]
pub struct Tables {
    /// `operations_delta`
    pub delta: RelationOid,
    /// `operations_rollup`
    pub rollup: RelationOid,
    /// `operations_rollup_total`
    pub total: RelationOid,
    /// The type of `operation_type`.
    pub operation_type: pg_sys::Oid,
}

/// What a sum is of; in the total, of no partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    partition: u32,
    client_id: i32,
    operation_type: u32,
}

impl Key {
    /// From the columns of a table: with the partition or without. None, if one is null.
    fn of(columns: &[Option<pg_sys::Datum>]) -> Option<Self> {
        let (partition, [client_id, operation_type]) = match columns {
            [partition, rest @ ..] if rest.len() == 2 => (oid((*partition)?).to_u32(), [rest[0], rest[1]]),
            [client_id, operation_type] => (0, [*client_id, *operation_type]),
            _ => return None,
        };
        let operation_type = oid(operation_type?).to_u32();
        Some(Self { partition, client_id: client_id?.value() as i32, operation_type })
    }

    /// The values of the columns.
    fn datums(self) -> [pg_sys::Datum; 3] {
        [self.partition.into(), self.client_id.into(), self.operation_type.into()]
    }

    /// A row of the view.
    fn with(self, amount: pg_sys::Numeric) -> Values {
        let [_, client_id, operation_type] = self.datums();
        [Some(client_id), Some(operation_type), Some(amount.into()), None, None]
    }
}

/// A change of a sum. The number is palloc'd, and belongs to it.
#[derive(Clone, Copy)]
struct Change {
    rows: i64,
    amount: pg_sys::Numeric,
}

type Changes = HashMap<Key, Change>;

/// Takes out all changes, and adds those of partitions that are tracked to the rollups.
///
/// The rollups must be locked by the lock on the view.
///
/// # Errors
///
/// [`Error::OtherRollup`] if a table is not as this version has it; [`Error::ConcurrentUpdate`] if the transaction's snapshot is
/// older than another's fold.
pub fn fold(tables: Tables, tracked: &[pg_sys::Oid]) -> Result<(), Error> {
    let Tables { rollup, total, operation_type, .. } = tables;
    // SAFETY: by the contract, nobody else changes these tables. The types of the columns are checked as they are opened.
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
        kept_rows::check_columns(relation, &types)?;
        pg_sys::CommandCounterIncrement();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let command = pg_sys::GetCurrentCommandId(true);
        kept_rows::each(relation, |row| {
            let [Some(partition), Some(client_id), Some(operation_type), Some(rows), Some(stored)] = row.values else {
                return Err(kept_rows::other(relation, "A value is null."));
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
            kept_rows::remove(relation, row.place, command)
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
            sums.each(|row| {
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
            Some(row) if rows == 0 && is_zero(amount) => sums.remove(row.place)?,
            _ => {
                let datums = key.datums();
                let key = &datums[datums.len() - of_key..];
                let mut values = Values::default();
                let all = key.iter().copied().chain([rows.into(), amount.into()]);
                values.iter_mut().zip(all).for_each(|(value, one)| *value = Some(one));
                sums.put(row.map(|row| row.place), &values)?;
            }
        }
        pg_sys::pfree(amount.cast());
        Ok(())
    }
}

/// Gives a view with the columns of the key and the amount the sums of the total, where they differ.
///
/// # Errors
///
/// As [`fold`].
pub fn copy_total(tables: Tables, view: RelationOid) -> Result<(), Error> {
    let types = [pg_sys::INT4OID, tables.operation_type, pg_sys::INT8OID, pg_sys::NUMERICOID];
    // SAFETY: as in `fold`. A number is copied from its row, which does not stay.
    unsafe {
        let mut sums = Changes::default();
        let total = KeptRows::begin(tables.total, Columns { types: &types, equal: &BY_PARTITION[1..] })?;
        total.each(|row| {
            let [Some(rows), Some(stored)] = [row.values[2], row.values[3]] else { return Ok(()) };
            if let Some(key) = Key::of(&row.values[..2])
                && rows.value() as i64 != 0
            {
                sums.add(key, rows.value() as i64, stored.cast_mut_ptr());
            }
            Ok(())
        })?;
        total.end();
        let types = [types[0], types[1], types[3]];
        let view = KeptRows::begin(view, Columns { types: &types, equal: &BY_PARTITION[1..] })?;
        view.each(|row| {
            let sum = Key::of(&row.values[..2]).and_then(|key| Some((key, sums.remove(&key)?)));
            let Some((key, sum)) = sum else { return view.remove(row.place) };
            let is_same = row.values[2].is_some_and(|stored| is_same(stored, sum.amount));
            if is_same { Ok(()) } else { view.put(Some(row.place), &key.with(sum.amount)) }
        })?;
        for (key, sum) in sums {
            check_for_interrupts!();
            view.put(None, &key.with(sum.amount))?;
        }
        view.end();
    }
    Ok(())
}

fn oid(value: pg_sys::Datum) -> pg_sys::Oid {
    pg_sys::Oid::from_u32(value.value() as u32)
}

/// A stored number with a whole header, as arithmetic needs it: itself or a copy.
///
/// # Safety
///
/// The value must be of type numeric.
unsafe fn numeric(stored: pg_sys::Datum) -> pg_sys::Numeric {
    // SAFETY: by the contract.
    unsafe { pg_sys::pg_detoast_datum(stored.cast_mut_ptr()).cast() }
}

/// Frees what [`numeric`] made.
///
/// # Safety
///
/// `numeric` must have made it of `stored`, and nobody use it any more.
unsafe fn free(numeric: pg_sys::Numeric, stored: pg_sys::Datum) {
    if numeric != stored.cast_mut_ptr() {
        // SAFETY: by the contract, a copy.
        unsafe { pg_sys::pfree(numeric.cast()) }
    }
}

/// Whether a stored number is equal to another.
///
/// # Safety
///
/// Both must be of type numeric.
unsafe fn is_same(stored: pg_sys::Datum, amount: pg_sys::Numeric) -> bool {
    // SAFETY: by the contract; numeric_eq is a function of SQL that takes two of them.
    unsafe {
        let before = numeric(stored);
        let sizes = [before, amount].map(|number| pgrx::varlena::varsize_any(number.cast()));
        let bytes = |number: pg_sys::Numeric, size| std::slice::from_raw_parts(number.cast::<u8>(), size);
        let is_same = bytes(before, sizes[0]) == bytes(amount, sizes[1])
            || pgrx::direct_function_call(pg_sys::numeric_eq, &[Some(before.into()), Some(amount.into())])
                .unwrap_or(false);
        free(before, stored);
        is_same
    }
}

/// # Safety
///
/// The number must be valid.
unsafe fn is_zero(amount: pg_sys::Numeric) -> bool {
    // SAFETY: by the contract.
    unsafe { AnyNumeric::from_datum(amount.into(), false) }.is_some_and(|amount| amount == AnyNumeric::default())
}
