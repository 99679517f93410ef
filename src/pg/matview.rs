//! Changes of single rows of a materialized view. SQL has only REFRESH, which for CONCURRENTLY makes, fills and drops a table
//! each time, and writes rows of the catalogs for it.

use std::ffi::{CString, c_int};
use std::ptr;

use pgrx::{check_for_interrupts, pg_sys};

use crate::error::Error;
use crate::pg::catalog::RelationOid;
use crate::pg::descriptor;

/// The columns of the view.
const COLUMNS: usize = 3;

/// What [`merge`] needs to know of the view.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The types of its columns.
    pub types: [pg_sys::Oid; COLUMNS],
    /// How many of them, from the first on, its unique index has.
    pub key: usize,
}

/// Whether the view holds rows of heap with these columns, and has the unique index, and no other that would call
/// functions.
pub fn has_shape(view: RelationOid, shape: Shape) -> bool {
    // SAFETY: AccessShareLock is the weakest lock under which a relation may be opened; try_relation_open answers NULL for
    // one that has gone. The descriptor has natts columns; each index of the list is opened under the lock that its table
    // has, and described by its row of pg_index.
    unsafe {
        let relation = pg_sys::try_relation_open(view.oid(), pg_sys::AccessShareLock as c_int);
        if relation.is_null() {
            return false;
        }
        let class = &*(*relation).rd_rel;
        let descriptor = (*relation).rd_att;
        let columns = descriptor::columns(descriptor);
        let mut fits = class.relkind as u8 == pg_sys::RELKIND_MATVIEW
            && class.relispopulated
            && ptr::eq((*relation).rd_tableam, pg_sys::GetHeapamTableAmRoutine())
            && columns.len() == COLUMNS
            && columns
                .iter()
                .zip(shape.types)
                .all(|(column, of_type)| !column.attisdropped && column.atttypid == of_type);
        let indexes = pg_sys::RelationGetIndexList(relation);
        let mut is_unique = false;
        if let Some(list) = indexes.as_ref() {
            for place in 0..usize::try_from(list.length).unwrap_or(0) {
                let index = pg_sys::index_open((*list.elements.add(place)).oid_value, pg_sys::AccessShareLock as c_int);
                let form = &*(*index).rd_index;
                let attributes = form.indkey.values.as_slice(form.indkey.dim1 as usize);
                fits &=
                    attributes.iter().all(|number| *number > 0) && pg_sys::RelationGetIndexPredicate(index).is_null();
                let is_key = (1..).zip(attributes).all(|(number, attribute): (i16, _)| number == *attribute)
                    && attributes.len() == shape.key;
                is_unique |= is_key && form.indisunique && form.indisvalid && form.indisready && form.indimmediate;
                pg_sys::index_close(index, pg_sys::NoLock as c_int);
            }
        }
        pg_sys::list_free(indexes);
        pg_sys::relation_close(relation, pg_sys::NoLock as c_int);
        fits && is_unique
    }
}

/// Applies what a query says: rows of `ctid` (null: a row to add), whether the row stays, and the columns.
///
/// The view must have the shape that [`has_shape`] found, and be locked against all but readers since before the query's
/// snapshot was taken. Answers how many rows were changed.
pub fn merge(view: RelationOid, query: &str, shape: Shape) -> Result<u64, Error> {
    let query = CString::new(query).map_err(|_| Error::Spi(pgrx::spi::SpiErrorCodes::Argument.into()))?;
    // SAFETY: SPI is connected and finished here; an error in between finishes it with the transaction. Its rows stay valid
    // until SPI_finish.
    unsafe {
        check(pg_sys::SPI_connect())?;
        check(pg_sys::SPI_execute(query.as_ptr(), false, 0))?;
        let (rows, table) = (pg_sys::SPI_processed, pg_sys::SPI_tuptable);
        if rows > 0 && !table.is_null() {
            let descriptor = (*table).tupdesc;
            let types = (3..).take(COLUMNS).map(|column| pg_sys::SPI_gettypeid(descriptor, column));
            if !types.eq(shape.types) {
                return Err(Error::Spi(pgrx::spi::SpiErrorCodes::Argument.into()));
            }
            let changes = Changes::begin(view);
            // Room in the unique index first: a row whose key has a null is found again by nothing.
            for removing in [true, false] {
                for index in 0..rows as usize {
                    check_for_interrupts!();
                    changes.apply(*(*table).vals.add(index), descriptor, removing)?;
                }
            }
            changes.end();
        }
        check(pg_sys::SPI_finish())?;
        Ok(rows)
    }
}

/// The view, open for changes.
struct Changes {
    relation: pg_sys::Relation,
    info: *mut pg_sys::ResultRelInfo,
    executor: *mut pg_sys::EState,
    slot: *mut pg_sys::TupleTableSlot,
    command: pg_sys::CommandId,
}

impl Changes {
    /// # Safety
    ///
    /// The view must be locked, and [`Self::end`] be called, or the transaction abort.
    unsafe fn begin(view: RelationOid) -> Self {
        // SAFETY: the relation and all that is made for it are used until `end`. ExecOpenIndices fills the ResultRelInfo
        // that InitResultRelInfo initialised. A snapshot must be active while values that were moved out of rows are
        // removed.
        unsafe {
            let relation = pg_sys::table_open(view.oid(), pg_sys::RowExclusiveLock as c_int);
            let info = pg_sys::palloc0(size_of::<pg_sys::ResultRelInfo>()).cast::<pg_sys::ResultRelInfo>();
            (*info).type_ = pg_sys::NodeTag::T_ResultRelInfo;
            pg_sys::InitResultRelInfo(info, relation, 0, ptr::null_mut(), 0);
            pg_sys::ExecOpenIndices(info, false);
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            Self {
                relation,
                info,
                executor: pg_sys::CreateExecutorState(),
                slot: pg_sys::MakeSingleTupleTableSlot((*relation).rd_att, &raw const pg_sys::TTSOpsHeapTuple),
                command: pg_sys::GetCurrentCommandId(true),
            }
        }
    }

    /// # Safety
    ///
    /// `row` must be one of the query of [`merge`], with the columns that it must have.
    unsafe fn apply(&self, row: pg_sys::HeapTuple, descriptor: pg_sys::TupleDesc, removing: bool) -> Result<(), Error> {
        // SAFETY: by the contract; the columns are of the types of the view's own. A tid is passed by a pointer that is
        // valid as long as the row. The tuple is freed after its entries in the indexes were made.
        unsafe {
            let value = |column: c_int| {
                let mut is_null = false;
                let value = pg_sys::SPI_getbinval(row, descriptor, column, &raw mut is_null);
                (!is_null).then_some(value)
            };
            let place = value(1).map(|tid| tid.cast_mut_ptr::<pg_sys::ItemPointerData>());
            let stays = value(2).is_some_and(|stays| stays.value() & 1 == 1);
            if stays == removing {
                return Ok(());
            }
            let mut failure = pg_sys::TM_FailureData::default();
            let no_snapshot = ptr::null_mut();
            if !stays {
                let Some(place) = place else { return Ok(()) };
                let result =
                    pg_sys::heap_delete(self.relation, place, self.command, no_snapshot, true, &raw mut failure, false);
                return done(result);
            }
            let mut values = [pg_sys::Datum::from(0); COLUMNS];
            let mut nulls = [true; COLUMNS];
            for (index, column) in (0..COLUMNS).zip(3..) {
                if let Some(value) = value(column) {
                    values[index] = value;
                    nulls[index] = false;
                }
            }
            let tuple = pg_sys::heap_form_tuple((*self.relation).rd_att, values.as_mut_ptr(), nulls.as_mut_ptr());
            (*tuple).t_tableOid = (*self.relation).rd_id;
            let mut indexes = pg_sys::TU_UpdateIndexes::TU_All;
            match place {
                Some(place) => {
                    let mut mode = pg_sys::LockTupleMode::LockTupleExclusive;
                    done(pg_sys::heap_update(
                        self.relation,
                        place,
                        tuple,
                        self.command,
                        no_snapshot,
                        true,
                        &raw mut failure,
                        &raw mut mode,
                        &raw mut indexes,
                    ))?;
                }
                None => pg_sys::heap_insert(self.relation, tuple, self.command, 0, ptr::null_mut()),
            }
            if indexes != pg_sys::TU_UpdateIndexes::TU_None {
                let only_summarizing = indexes == pg_sys::TU_UpdateIndexes::TU_Summarizing;
                pg_sys::ExecStoreHeapTuple(tuple, self.slot, false);
                pg_sys::ExecInsertIndexTuples(
                    self.info,
                    self.slot,
                    self.executor,
                    place.is_some(),
                    false,
                    ptr::null_mut(),
                    ptr::null_mut(),
                    only_summarizing,
                );
                pg_sys::ExecClearTuple(self.slot);
                let context = (*self.executor).es_per_tuple_exprcontext;
                if !context.is_null() {
                    pg_sys::MemoryContextReset((*context).ecxt_per_tuple_memory);
                }
            }
            pg_sys::heap_freetuple(tuple);
            Ok(())
        }
    }

    fn end(self) {
        // SAFETY: releases what `begin` made, once. The lock is kept.
        unsafe {
            pg_sys::ExecDropSingleTupleTableSlot(self.slot);
            pg_sys::PopActiveSnapshot();
            pg_sys::ExecCloseIndices(self.info);
            pg_sys::FreeExecutorState(self.executor);
            pg_sys::table_close(self.relation, pg_sys::NoLock as c_int);
            pg_sys::CommandCounterIncrement();
        }
    }
}

/// Whether a row could be changed. Under the lock of the view it was, unless the transaction's snapshot is older than the lock
/// and another transaction has changed it since.
fn done(result: pg_sys::TM_Result::Type) -> Result<(), Error> {
    if result == pg_sys::TM_Result::TM_Ok { Ok(()) } else { Err(Error::ConcurrentUpdate) }
}

fn check(code: c_int) -> Result<(), Error> {
    pgrx::Spi::check_status(code).map(|_| ()).map_err(Error::Spi)
}
