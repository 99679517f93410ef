//! What a row trigger is told: which row of which partition was inserted, updated or deleted, and what of it counts.
#![expect(unsafe_code, reason = "it reads what PostgreSQL passes to a trigger, and appends rows")]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::c_int;
use std::ptr;

use pgrx::{pg_guard, pg_sys};

use crate::citus;
use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::catalog::{self, RelationOid};
use crate::pg::descriptor;
use crate::pg::view_rule;
use crate::rollup::counting::{Columns, CountingTriggers, Fires};
use crate::rollup::trigger_condition::DONE;

/// The columns of `operations_delta`.
const DELTA_COLUMNS: usize = 5;

/// What holds for all rows of a partition until its catalog entries change.
#[derive(Clone, Copy, Debug)]
struct CountedPartition {
    delta: pg_sys::Oid,
    /// What the first column of the deltas says of it, and the type of that.
    key: (pg_sys::Datum, pg_sys::Oid),
    operation_type: pg_sys::Oid,
    columns: Columns,
    last: c_int,
}

thread_local! {
    /// What was looked up, by function and partition; `None` where the triggers do not count all changes, so that the sums
    /// come from the rows and nothing is to be appended. Emptied when a relation changes.
    static PARTITIONS: RefCell<HashMap<(pg_sys::Oid, pg_sys::Oid), Option<CountedPartition>>> = RefCell::default();
    /// Rises when PostgreSQL says that a relation may have changed.
    static CHANGES: Cell<u64> = const { Cell::new(0) };
    /// What it was when PARTITIONS was filled.
    static SEEN: Cell<u64> = const { Cell::new(0) };
    static IS_REGISTERED: Cell<bool> = const { Cell::new(false) };
}

#[pg_guard]
unsafe extern "C-unwind" fn relation_changed(_argument: pg_sys::Datum, _relation: pg_sys::Oid) {
    CHANGES.set(CHANGES.get().wrapping_add(1));
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

/// Appends to `operations_delta` what a row trigger was called for. Before TRUNCATE it asks whether the sums will know of that.
///
/// It takes no right of the writer, no lock that another writer waits for, and no command of SQL.
///
/// # Errors
///
/// [`Error::NotATrigger`] if the call is none of such a trigger; [`Error::NotSummable`] if the amount is not;
/// [`Error::WorkerNode`] for TRUNCATE on a worker node of Citus.
pub fn count(call: Call<'_>) -> Result<(), Error> {
    // SAFETY: a function that is called as a trigger has TriggerData as its context, which is valid
    // during the call; row triggers that fire AFTER have the old or the new row in tg_trigslot and, for UPDATE, the
    // new one in tg_newslot.
    unsafe {
        let data = (*call.info()).context.cast::<pg_sys::TriggerData>();
        if data.is_null() || (*data).type_ != pg_sys::NodeTag::T_TriggerData {
            return Err(Error::NotATrigger);
        }
        let event = (*data).tg_event;
        if event & pg_sys::TRIGGER_EVENT_OPMASK == pg_sys::TRIGGER_EVENT_TRUNCATE {
            return match event & pg_sys::TRIGGER_EVENT_TIMINGMASK {
                pg_sys::TRIGGER_EVENT_BEFORE => may_be_truncated((*(*data).tg_relation).rd_id),
                _ => Err(Error::NotATrigger),
            };
        }
        if event & pg_sys::TRIGGER_EVENT_ROW == 0
            || event & pg_sys::TRIGGER_EVENT_TIMINGMASK != pg_sys::TRIGGER_EVENT_AFTER
        {
            return Err(Error::NotATrigger);
        }
        let Some(partition) = counted_partition(call, (*data).tg_relation)? else { return Ok(()) };
        let (old, new) = match event & pg_sys::TRIGGER_EVENT_OPMASK {
            pg_sys::TRIGGER_EVENT_INSERT => (None, counted(&partition, (*data).tg_trigslot)),
            pg_sys::TRIGGER_EVENT_DELETE => (counted(&partition, (*data).tg_trigslot), None),
            pg_sys::TRIGGER_EVENT_UPDATE => {
                (counted(&partition, (*data).tg_trigslot), counted(&partition, (*data).tg_newslot))
            }
            _ => return Err(Error::NotATrigger),
        };
        let new = new.transpose().map_err(|()| Error::NotSummable)?;
        // A row that no sum can follow came past this trigger, so that its partition is not tracked.
        let old = old.and_then(Result::ok);
        if let (Some(old), Some(new)) = (&old, &new)
            && old.has_key_of(new)
            && bytes(old.amount) == bytes(new.amount)
        {
            return Ok(());
        }
        append(&partition, old, new)
    }
}

/// The catalogs of the coordinator tell that a partition was truncated, and there only those. A month that was detached is no partition, and
/// those of a shard are partitions of no table of Citus.
fn may_be_truncated(partition: pg_sys::Oid) -> Result<(), Error> {
    let root = catalog::partition_root(partition).and_then(RelationOid::from_oid);
    match root.is_some_and(citus::has) {
        true => citus::require_coordinator("TRUNCATE of operations"),
        false => Ok(()),
    }
}

/// A numeric as it is stored. Numbers that are equal may differ in it; then a change by 0 is appended.
///
/// # Safety
///
/// `numeric` must be one that is not toasted, and stay while the answer is used.
unsafe fn bytes<'a>(numeric: pg_sys::Datum) -> &'a [u8] {
    // SAFETY: by the contract.
    unsafe {
        let start = numeric.cast_mut_ptr::<pg_sys::varlena>();
        std::slice::from_raw_parts(start.cast::<u8>(), pgrx::varlena::varsize_any(start))
    }
}

/// Looks up once for each partition whether it is counted, until a relation changes: a statement of one row would else cost more for the
/// look-up than for the row.
///
/// # Safety
///
/// `relation` must be open.
unsafe fn counted_partition(call: Call<'_>, relation: pg_sys::Relation) -> Result<Option<CountedPartition>, Error> {
    // SAFETY: by the contract. The callback stays registered for as long as the process lives, as the library does.
    let key = unsafe {
        if !IS_REGISTERED.replace(true) {
            pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), pg_sys::Datum::from(0));
        }
        (call.function(), (*relation).rd_id)
    };
    let changes = CHANGES.get();
    if SEEN.replace(changes) != changes {
        PARTITIONS.with_borrow_mut(HashMap::clear);
    }
    if let Some(partition) = PARTITIONS.with_borrow(|partitions| partitions.get(&key).copied()) {
        return Ok(partition);
    }
    // SAFETY: by the contract.
    let partition = unsafe { look_up(key.0, relation) }?;
    // The look-up itself may have been told of changes; then the next call looks again.
    PARTITIONS.with_borrow_mut(|partitions| partitions.insert(key, partition));
    Ok(partition)
}

/// # Safety
///
/// `relation` must be open.
unsafe fn look_up(function: pg_sys::Oid, relation: pg_sys::Relation) -> Result<Option<CountedPartition>, Error> {
    let schema = catalog::function_schema(function);
    let missing = |kind, name| Error::MissingRelation { kind, schema: catalog::schema_name(schema), name };
    let delta = catalog::relation(schema, c"operations_delta").ok_or_else(|| missing("table", "operations_delta"))?;
    // SAFETY: by the contract.
    let oid = unsafe { (*relation).rd_id };
    let shard = citus::counted_shard(schema, delta, oid)?;
    if shard.is_none() && !is_ours(schema, oid) {
        return Err(Error::NotATrigger);
    }
    let operation_type = catalog::column(delta.oid(), c"operation_type").map(|column| column.of_type);
    let Some(operation_type) = operation_type else { return Err(other_delta("The column operation_type is missing.")) };
    let fires = if shard.is_some() { Fires::AtOrigin } else { Fires::Always };
    let counter = CountingTriggers { function, operation_type, fires };
    let Ok(columns) = Columns::of(oid, operation_type) else { return Ok(None) };
    // SAFETY: by the contract.
    if !unsafe { counter.triggers_count(relation, columns.status) } {
        return Ok(None);
    }
    let last = columns.numbers().into_iter().max().unwrap_or(0);
    let (delta, key) = match shard {
        Some(shard) => (shard.delta, (pg_sys::Datum::from(shard.from_day), pg_sys::DATEOID)),
        None => (delta, (oid.into(), pg_sys::OIDOID)),
    };
    Ok(Some(CountedPartition { delta: delta.oid(), key, operation_type, columns, last: c_int::from(last) }))
}

/// Whether the relation belongs to the table that is summed up. Whoever may call a function may make it a trigger of a table of
/// his own; it counts nothing there.
///
/// A partition that is being detached is its own root already, but its rows are seen by who began before. A table that was
/// renamed, and that no view reads for now, is known by its owner, who may read the rollups as [`crate::rollup::let_read`] gave it.
fn is_ours(schema: pg_sys::Oid, relation: pg_sys::Oid) -> bool {
    let Some(root) = catalog::partition_root(relation) else { return false };
    let is_operations = |table: RelationOid| table.oid() == root;
    let summed = || catalog::relation(schema, c"client_type_sum_live").and_then(view_rule::partitioned_table_of);
    catalog::relation(schema, c"operations").is_some_and(is_operations)
        || summed().is_some_and(is_operations)
        || RelationOid::from_oid(root).and_then(RelationOid::owner).is_some_and(|owner| {
            catalog::relation(schema, c"operations_rollup_live").is_some_and(|view| view.may_be_read_by(owner))
        })
}

fn other_delta(facts: impl Into<String>) -> Error {
    Error::OtherDelta { facts: facts.into() }
}

/// Whether the table takes what [`append`] writes: another version of the extension, whose library this session does not have
/// yet, may have changed it.
///
/// # Safety
///
/// `relation` must be open.
unsafe fn check_delta(relation: pg_sys::Relation, partition: &CountedPartition) -> Result<(), Error> {
    let types = [partition.key.1, pg_sys::INT4OID, partition.operation_type, pg_sys::INT4OID, pg_sys::NUMERICOID];
    // SAFETY: by the contract; the descriptor has natts columns.
    unsafe {
        let descriptor = (*relation).rd_att;
        let columns = descriptor::columns(descriptor);
        if columns.len() != DELTA_COLUMNS {
            return Err(other_delta(format!(
                "It has {} columns, also counting those dropped; 5 are written.",
                columns.len()
            )));
        }
        let fits =
            |(column, of_type): (&pg_sys::FormData_pg_attribute, _)| !column.attisdropped && column.atttypid == of_type;
        if let Some(index) = columns.iter().zip(types).position(|pair| !fits(pair)) {
            return Err(other_delta(format!("Column {} is of another type than is written.", index + 1)));
        }
        if (*(*relation).rd_rel).relhasindex {
            let indexes = pg_sys::RelationGetIndexList(relation);
            if !indexes.is_null() {
                return Err(other_delta("It has an index, which would miss what is written."));
            }
        }
        Ok(())
    }
}

/// What counts of a row: nothing, if it is not done; an error, if no sum can follow it.
///
/// # Safety
///
/// `slot` must hold a row of the partition that `partition` was looked up for.
unsafe fn counted(partition: &CountedPartition, slot: *mut pg_sys::TupleTableSlot) -> Option<Result<Counted, ()>> {
    // SAFETY: by the contract; the arrays of the slot have an entry for each column, and up to `last` they are filled.
    // A value that is not null is of its column's type, and PG_DETOAST leaves a numeric that is not toasted where it is.
    unsafe {
        if c_int::from((*slot).tts_nvalid) < partition.last {
            pg_sys::slot_getsomeattrs_int(slot, partition.last);
        }
        let value = |column: pg_sys::AttrNumber| {
            let index = column as usize - 1;
            (!*(*slot).tts_isnull.add(index)).then(|| *(*slot).tts_values.add(index))
        };
        if value(partition.columns.status).is_none_or(|status| status.value() as i16 != DONE) {
            return None;
        }
        let (Some(client_id), Some(operation_type), Some(amount)) = (
            value(partition.columns.client_id),
            value(partition.columns.operation_type),
            value(partition.columns.amount),
        ) else {
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
/// The values must be valid.
unsafe fn append(counted: &CountedPartition, old: Option<Counted>, new: Option<Counted>) -> Result<(), Error> {
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
        let relation = pg_sys::table_open(counted.delta, pg_sys::RowExclusiveLock as i32);
        check_delta(relation, counted)?;
        for (rows, change) in changes.into_iter().flatten() {
            let rows: i32 = rows;
            let mut values: [pg_sys::Datum; DELTA_COLUMNS] =
                [counted.key.0, change.client_id, change.operation_type, rows.into(), change.amount];
            let mut nulls = [false; DELTA_COLUMNS];
            let tuple = pg_sys::heap_form_tuple((*relation).rd_att, values.as_mut_ptr(), nulls.as_mut_ptr());
            pg_sys::heap_insert(relation, tuple, pg_sys::GetCurrentCommandId(true), 0, ptr::null_mut());
            pg_sys::heap_freetuple(tuple);
        }
        pg_sys::table_close(relation, pg_sys::NoLock as i32);
        Ok(())
    }
}
