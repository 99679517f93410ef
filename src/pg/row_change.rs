//! What a row trigger is told: which row of which partition was inserted, updated or deleted, and what of it counts.

use std::ffi::{CStr, c_int};
use std::ptr;

use pgrx::pg_sys;

use crate::error::Error;
use crate::pg::catalog;

/// The columns that count, with their types; `None` is the type that the extension brings.
const COLUMNS: [(&CStr, Option<pg_sys::Oid>); 4] = [
    (c"client_id", Some(pg_sys::INT4OID)),
    (c"operation_type", None),
    (c"amount", Some(pg_sys::NUMERICOID)),
    (c"status", Some(pg_sys::INT2OID)),
];

/// The status of operations that are done.
const DONE: i16 = 1;

/// The columns of `operations_delta`.
const DELTA_COLUMNS: usize = 5;

/// What holds for all rows of a partition that one statement changes. Lives in memory that PostgreSQL frees.
#[derive(Clone, Copy, Debug)]
struct Place {
    delta: pg_sys::Oid,
    client_id: c_int,
    operation_type: c_int,
    amount: c_int,
    status: c_int,
    last: c_int,
}

/// A row as far as it counts. Its values point into the row.
#[derive(Clone, Copy)]
struct Counted {
    client_id: pg_sys::Datum,
    operation_type: pg_sys::Datum,
    amount: pg_sys::Datum,
}

impl Counted {
    fn has_key_of(&self, other: &Self) -> bool {
        self.client_id == other.client_id && self.operation_type == other.operation_type
    }
}

/// Appends to `operations_delta` what a row trigger was called for.
///
/// It takes no right of the writer, no lock that another writer waits for, and no command of SQL.
///
/// # Safety
///
/// `fcinfo` must be what PostgreSQL passed to the function that it is calling.
pub unsafe fn count(fcinfo: pg_sys::FunctionCallInfo) -> Result<(), Error> {
    // SAFETY: by the contract. A function that is called as a trigger has TriggerData as its context, which is valid
    // during the call; row triggers that fire AFTER have the old or the new row in tg_trigslot and, for UPDATE, the
    // new one in tg_newslot.
    unsafe {
        let data = (*fcinfo).context.cast::<pg_sys::TriggerData>();
        if data.is_null() || (*data).type_ != pg_sys::NodeTag::T_TriggerData {
            return Err(Error::NotATrigger);
        }
        let event = (*data).tg_event;
        if event & pg_sys::TRIGGER_EVENT_ROW == 0
            || event & pg_sys::TRIGGER_EVENT_TIMINGMASK != pg_sys::TRIGGER_EVENT_AFTER
        {
            return Err(Error::NotATrigger);
        }
        let place = place(fcinfo, (*data).tg_relation)?;
        let (old, new) = match event & pg_sys::TRIGGER_EVENT_OPMASK {
            pg_sys::TRIGGER_EVENT_INSERT => (None, counted(&place, (*data).tg_trigslot)),
            pg_sys::TRIGGER_EVENT_DELETE => (counted(&place, (*data).tg_trigslot), None),
            pg_sys::TRIGGER_EVENT_UPDATE => (counted(&place, (*data).tg_trigslot), counted(&place, (*data).tg_newslot)),
            _ => return Err(Error::NotATrigger),
        };
        let new = new.transpose().map_err(|()| Error::NotSummable)?;
        // A row that no sum can follow came past this trigger, so that its partition is not tracked.
        let old = old.and_then(Result::ok);
        append(&place, (*(*data).tg_relation).rd_id, old, new);
        Ok(())
    }
}

/// Looks the place up once for each statement, partition and trigger.
///
/// # Safety
///
/// `fcinfo` must be that of a call as a trigger of `relation`, which is open.
unsafe fn place(fcinfo: pg_sys::FunctionCallInfo, relation: pg_sys::Relation) -> Result<Place, Error> {
    // SAFETY: by the contract. flinfo lives as long as the statement uses the trigger; fn_extra is ours alone, NULL at
    // first, and what it points to is allocated in the memory context that lives as long as flinfo.
    unsafe {
        let function = (*fcinfo).flinfo;
        let known = (*function).fn_extra.cast::<Place>();
        if !known.is_null() {
            return Ok(*known);
        }
        let place = look_up((*function).fn_oid, relation)?;
        let memory = pg_sys::MemoryContextAlloc((*function).fn_mcxt, size_of::<Place>()).cast::<Place>();
        memory.write(place);
        (*function).fn_extra = memory.cast();
        Ok(place)
    }
}

/// # Safety
///
/// `relation` must be open.
unsafe fn look_up(function: pg_sys::Oid, relation: pg_sys::Relation) -> Result<Place, Error> {
    let schema = catalog::function_schema(function);
    let missing = |kind, name| Error::MissingRelation { kind, schema: catalog::schema_name(schema), name };
    let operations = catalog::relation(schema, c"operations").ok_or_else(|| missing("table", "operations"))?;
    let delta = catalog::relation(schema, c"operations_delta").ok_or_else(|| missing("table", "operations_delta"))?;
    // SAFETY: by the contract.
    let oid = unsafe { (*relation).rd_id };
    // Whoever may call a function may make it a trigger of a table of his own; it counts nothing there. A partition that
    // is being detached is its own root already, but its rows are seen by who began before.
    let root = catalog::partition_root(oid);
    if root != Some(operations.oid()) && root != Some(oid) {
        return Err(Error::NotATrigger);
    }
    let operation_type = catalog::column(delta.oid(), c"operation_type").map(|column| column.of_type);
    let numbers = COLUMNS.map(|(name, of_type)| {
        catalog::column(oid, name)
            .filter(|column| Some(column.of_type) == of_type.or(operation_type))
            .map_or(Err(name), |column| Ok(c_int::from(column.number)))
    });
    let [client_id, operation_type, amount, status] = numbers;
    let other = |name: &CStr| Error::OtherColumn {
        table: catalog::relation_name(oid),
        column: name.to_string_lossy().into_owned(),
    };
    let (client_id, operation_type) = (client_id.map_err(other)?, operation_type.map_err(other)?);
    let (amount, status) = (amount.map_err(other)?, status.map_err(other)?);
    let last = client_id.max(operation_type).max(amount).max(status);
    Ok(Place { delta: delta.oid(), client_id, operation_type, amount, status, last })
}

/// What counts of a row: nothing, if it is not done; an error, if no sum can follow it.
///
/// # Safety
///
/// `slot` must hold a row of the partition that `place` was looked up for.
unsafe fn counted(place: &Place, slot: *mut pg_sys::TupleTableSlot) -> Option<Result<Counted, ()>> {
    // SAFETY: by the contract; the arrays of the slot have an entry for each column, and up to `last` they are filled.
    // A value that is not null is of its column's type, and PG_DETOAST leaves a numeric that is not toasted where it is.
    unsafe {
        if c_int::from((*slot).tts_nvalid) < place.last {
            pg_sys::slot_getsomeattrs_int(slot, place.last);
        }
        let value = |column: c_int| {
            let index = column as usize - 1;
            (!*(*slot).tts_isnull.add(index)).then(|| *(*slot).tts_values.add(index))
        };
        if value(place.status).is_none_or(|status| status.value() as i16 != DONE) {
            return None;
        }
        let (Some(client_id), Some(operation_type), Some(amount)) =
            (value(place.client_id), value(place.operation_type), value(place.amount))
        else {
            return Some(Err(()));
        };
        let amount: pg_sys::Datum = pg_sys::pg_detoast_datum(amount.cast_mut_ptr()).into();
        if pg_sys::numeric_is_nan(amount.cast_mut_ptr()) || pg_sys::numeric_is_inf(amount.cast_mut_ptr()) {
            return Some(Err(()));
        }
        Some(Ok(Counted { client_id, operation_type, amount }))
    }
}

/// # Safety
///
/// The values must be valid, and `place` that of the partition.
unsafe fn append(place: &Place, partition: pg_sys::Oid, old: Option<Counted>, new: Option<Counted>) {
    // SAFETY: by the contract. The relation is locked, as by INSERT, until the transaction ends, and closed before we
    // return; the numerics that are made are palloc'd, and go with the memory context of the call.
    unsafe {
        let difference = |minuend: pg_sys::Datum, subtrahend: pg_sys::Datum| {
            let no_flag = ptr::null_mut();
            pg_sys::numeric_sub_opt_error(minuend.cast_mut_ptr(), subtrahend.cast_mut_ptr(), no_flag).into()
        };
        let changes = match (old, new) {
            (Some(old), Some(new)) if old.has_key_of(&new) => {
                [None, Some((0, Counted { amount: difference(new.amount, old.amount), ..new }))]
            }
            (old, new) => {
                let minus = |amount| difference(pg_sys::int64_to_numeric(0).into(), amount);
                [old.map(|old| (-1, Counted { amount: minus(old.amount), ..old })), new.map(|new| (1, new))]
            }
        };
        let relation = pg_sys::table_open(place.delta, pg_sys::RowExclusiveLock as i32);
        for (rows, change) in changes.into_iter().flatten() {
            let rows: i32 = rows;
            let mut values: [pg_sys::Datum; DELTA_COLUMNS] =
                [partition.into(), change.client_id, change.operation_type, rows.into(), change.amount];
            let mut nulls = [false; DELTA_COLUMNS];
            let tuple = pg_sys::heap_form_tuple((*relation).rd_att, values.as_mut_ptr(), nulls.as_mut_ptr());
            pg_sys::heap_insert(relation, tuple, pg_sys::GetCurrentCommandId(true), 0, ptr::null_mut());
            pg_sys::heap_freetuple(tuple);
        }
        pg_sys::table_close(relation, pg_sys::NoLock as i32);
    }
}
