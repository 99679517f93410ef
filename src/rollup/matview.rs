//! Changes of single rows of a materialized view. SQL has only REFRESH, which for CONCURRENTLY makes, fills and drops a table
//! each time, and writes rows of the catalogs for it.
#![expect(unsafe_code, reason = "SQL cannot change a row of a materialized view")]

use std::ffi::{CString, c_int};
use std::ptr;

use pgrx::{check_for_interrupts, pg_sys};

use crate::error::Error;
use crate::pg::catalog::RelationOid;
use crate::pg::descriptor;
use crate::pg::lock::Writable;
use crate::rollup::kept_rows::{Columns, KeptRows};
use crate::rollup::table_rows::{self, Values};

/// The columns of the view.
const COLUMNS: usize = 3;

/// What [`merge`] needs to know of the view.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The types of its columns.
    pub types: [pg_sys::Oid; COLUMNS],
    /// The functions of `=` of those that its unique index has, which are the first.
    pub key: [u32; 2],
}

/// A view that [`Mergeable::merge`] can change: it holds rows of heap with the columns of the shape, and has its unique index,
/// and no other that would call functions.
#[derive(Clone, Copy, Debug)]
pub struct Mergeable {
    view: Writable,
    shape: Shape,
}

impl Mergeable {
    /// The view, if it is one. Nobody alters it while it is locked.
    pub fn of(view: Writable, shape: Shape) -> Option<Self> {
        has_shape(view.relation(), shape).then_some(Self { view, shape })
    }
}

fn has_shape(view: RelationOid, shape: Shape) -> bool {
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
                is_unique |= table_rows::is_unique_by_first_columns(index, shape.key.len());
                pg_sys::index_close(index, pg_sys::NoLock as c_int);
            }
        }
        pg_sys::list_free(indexes);
        pg_sys::relation_close(relation, pg_sys::NoLock as c_int);
        fits && is_unique
    }
}

impl Mergeable {
    /// Applies what a query says: rows of `ctid` (null: a row to add), whether the row stays, and the columns. Its snapshot is
    /// taken here, after the lock. Answers how many rows were changed.
    pub fn merge(self, query: &str) -> Result<u64, Error> {
        merge(self.view.relation(), query, self.shape)
    }
}

fn merge(view: RelationOid, query: &str, shape: Shape) -> Result<u64, Error> {
    let query = CString::new(query).map_err(|_| Error::Spi(pgrx::spi::SpiErrorCodes::Argument.into()))?;
    // SAFETY: SPI is connected and finished here; an error in between finishes it with the transaction. Its rows stay valid
    // until SPI_finish.
    unsafe {
        check(pg_sys::SPI_connect())?;
        check(pg_sys::SPI_execute(query.as_ptr(), false, 0))?;
        let (rows, table) = (pg_sys::SPI_processed, pg_sys::SPI_tuptable);
        if rows > 0 && !table.is_null() {
            let descriptor = (*table).tupdesc;
            let types = (1..=(*descriptor).natts).map(|column| pg_sys::SPI_gettypeid(descriptor, column));
            if !types.eq([pg_sys::TIDOID, pg_sys::BOOLOID].into_iter().chain(shape.types)) {
                return Err(Error::Spi(pgrx::spi::SpiErrorCodes::Argument.into()));
            }
            let columns = Columns { types: &shape.types, equal: &shape.key };
            let view = KeptRows::begin(view, columns)?;
            // Room in the unique index first: a row whose key has a null is found again by nothing.
            for removing in [true, false] {
                for index in 0..rows as usize {
                    check_for_interrupts!();
                    apply(&view, *(*table).vals.add(index), descriptor, removing)?;
                }
            }
            view.end();
        }
        check(pg_sys::SPI_finish())?;
        Ok(rows)
    }
}

/// # Safety
///
/// `row` must be one of the query of [`merge`], with the columns that it must have.
unsafe fn apply(
    view: &KeptRows,
    row: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
    removing: bool,
) -> Result<(), Error> {
    // SAFETY: by the contract; the columns are of the types of the view's own. A tid is passed by a pointer that is valid as
    // long as the row.
    unsafe {
        let value = |column: c_int| {
            let mut is_null = false;
            let value = pg_sys::SPI_getbinval(row, descriptor, column, &raw mut is_null);
            (!is_null).then_some(value)
        };
        let place = value(1).map(|tid| *tid.cast_mut_ptr::<pg_sys::ItemPointerData>());
        let stays = value(2).is_some_and(|stays| stays.value() & 1 == 1);
        match (stays, place) {
            _ if stays == removing => Ok(()),
            (false, None) => Ok(()),
            (false, Some(place)) => view.remove(place),
            (true, place) => {
                let mut values = Values::default();
                for (to, column) in values.iter_mut().zip(3..).take(COLUMNS) {
                    *to = value(column);
                }
                view.put(place, &values)
            }
        }
    }
}

fn check(code: c_int) -> Result<(), Error> {
    pgrx::Spi::check_status(code).map(|_| ()).map_err(Error::Spi)
}
