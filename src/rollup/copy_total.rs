//! Takes the total into the materialized view.
#![expect(unsafe_code, reason = "as fold")]

use std::ptr;

use pgrx::{check_for_interrupts, pg_sys};

use crate::error::Error;
use crate::pg::lock::Writable;
use crate::rollup::fold::Tables;
use crate::rollup::kept_rows::{Columns, KeptRows};
use crate::rollup::sum_key::{BY_PARTITION, Key, Sums};
use crate::rollup::table_rows::Values;

/// Gives a view with the columns of the key and the amount the sums of the total, where they differ. All are compared.
///
/// # Errors
///
/// As `fold::fold`.
pub fn copy_total(tables: Tables, view: Writable) -> Result<(), Error> {
    let types = [pg_sys::INT4OID, tables.operation_type, pg_sys::INT8OID, pg_sys::NUMERICOID];
    // SAFETY: under the lock on the view nobody else changes it nor the total; the types of the columns are checked as the tables are opened. A number is copied from its row,
    // which does not stay.
    unsafe {
        let mut sums = Sums::default();
        let total = KeptRows::begin(tables.total, Columns { types: &types, equal: &BY_PARTITION[1..] })?;
        total.for_each_row(|row| {
            let [Some(rows), Some(amount)] = [row.values[2], row.values[3]] else { return Ok(()) };
            if let Some(key) = Key::of(&row.values[..2])
                && rows.value() as i64 != 0
            {
                sums.insert(key, copied(amount));
            }
            Ok(())
        })?;
        total.end();
        let types = [types[0], types[1], types[3]];
        let view = KeptRows::begin(view.relation(), Columns { types: &types, equal: &BY_PARTITION[1..] })?;
        view.for_each_row(|row| {
            let sum = Key::of(&row.values[..2]).and_then(|key| Some((key, sums.remove(&key)?)));
            let Some((key, amount)) = sum else { return view.remove(row.tid) };
            let is_same = row.values[2].is_some_and(|before| is_same(before, amount));
            if is_same { Ok(()) } else { view.put(Some(row.tid), &row_of(key, amount)) }
        })?;
        for (key, amount) in sums {
            check_for_interrupts!();
            view.put(None, &row_of(key, amount))?;
        }
        view.end();
    }
    Ok(())
}

fn row_of(key: Key, amount: pg_sys::Datum) -> Values {
    let [_, client_id, operation_type] = key.datums();
    [Some(client_id), Some(operation_type), Some(amount), None, None]
}

/// A copy of a stored number, which needs nothing of its table. Its header is as it is stored, so that most are compared as they are.
///
/// # Safety
///
/// The value must be of type numeric.
unsafe fn copied(stored: pg_sys::Datum) -> pg_sys::Datum {
    // SAFETY: by the contract. A number that is not stored elsewhere has its length in its header.
    unsafe {
        let packed = pg_sys::pg_detoast_datum_packed(stored.cast_mut_ptr());
        if packed != stored.cast_mut_ptr() {
            return packed.into();
        }
        let size = pgrx::varlena::varsize_any(packed);
        let copy = pg_sys::palloc(size);
        ptr::copy_nonoverlapping(packed.cast::<u8>(), copy.cast(), size);
        copy.into()
    }
}

/// Whether two numbers are equal.
///
/// # Safety
///
/// Both must be of type numeric, and `amount` be one that [`copied`] made.
unsafe fn is_same(stored: pg_sys::Datum, amount: pg_sys::Datum) -> bool {
    // SAFETY: by the contract. A number that is not stored elsewhere has its length in its header; numeric_eq is a function of
    // SQL that takes two of them.
    unsafe {
        let before = pg_sys::pg_detoast_datum_packed(stored.cast_mut_ptr());
        let bytes = |number: *mut pg_sys::varlena| {
            std::slice::from_raw_parts(number.cast::<u8>(), pgrx::varlena::varsize_any(number))
        };
        let numbers = [before, amount.cast_mut_ptr()];
        bytes(numbers[0]) == bytes(numbers[1])
            || pgrx::direct_function_call(pg_sys::numeric_eq, &numbers.map(|number| Some(number.into()))) == Some(true)
    }
}
