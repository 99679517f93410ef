//! A function that returns the rows of queries.

use std::ffi::{CString, c_int};
use std::marker::PhantomData;

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;

use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::descriptor;
use crate::pg::hidden_rows::HiddenRows;

/// The result of a function that returns SETOF record, as it is filled.
#[derive(Debug)]
pub struct ResultSet<'call> {
    info: *mut pg_sys::ReturnSetInfo,
    _call: PhantomData<Call<'call>>,
}

impl<'call> ResultSet<'call> {
    /// For the call of a function that was declared with the columns that it returns.
    pub fn new(call: Call<'call>) -> Self {
        let call = call.info();
        // SAFETY: it is what PostgreSQL passed to the function. InitMaterializedSRF raises an error where the caller takes no
        // set, and otherwise leaves a ReturnSetInfo with a tuplestore that lives as long as the query.
        let info = unsafe {
            pg_sys::InitMaterializedSRF(call, 0);
            (*call).resultinfo.cast()
        };
        Self { info, _call: PhantomData }
    }

    /// Adds a row, of the columns that the function was declared with.
    ///
    /// # Errors
    ///
    /// If a value is of another type than the column.
    pub fn put<const COLUMNS: usize>(&mut self, row: [DatumWithOid<'_>; COLUMNS]) -> Result<(), Error> {
        self.require_types(row.iter().map(DatumWithOid::oid))?;
        let mut nulls = row.each_ref().map(|value| value.datum().is_none());
        let mut values = row.map(|value| value.datum().map_or(pg_sys::Datum::from(0), |datum| datum.sans_lifetime()));
        // SAFETY: `info` is valid for as long as the function runs, and the tuplestore copies the row, which has the columns
        // of the descriptor.
        unsafe {
            let (store, descriptor) = ((*self.info).setResult, (*self.info).setDesc);
            pg_sys::tuplestore_putvalues(store, descriptor, values.as_mut_ptr(), nulls.as_mut_ptr());
        }
        Ok(())
    }

    /// The types of the columns that the function was declared with.
    pub fn types(&self) -> Vec<pg_sys::Oid> {
        // SAFETY: as above; the descriptor has natts columns.
        let columns = unsafe { descriptor::columns((*self.info).setDesc) };
        columns.iter().map(|column| column.atttypid).collect()
    }

    /// Adds the rows in the file of a table, of its columns of these numbers, which must be of the types that the function was
    /// declared with.
    ///
    /// # Errors
    ///
    /// If there are more or fewer columns.
    pub fn put_hidden<const COLUMNS: usize>(
        &mut self,
        rows: HiddenRows,
        columns: [pg_sys::AttrNumber; COLUMNS],
    ) -> Result<(), Error> {
        if self.types().len() != COLUMNS || columns.iter().any(|number| *number < 1) {
            return Err(mismatch());
        }
        // SAFETY: `info` is valid for as long as the function runs, and the tuplestore copies the row. The slot holds a row of the
        // table, all of whose columns are read before the values are taken.
        rows.for_each(|slot| unsafe {
            pg_sys::slot_getallattrs(slot);
            let index = |number: pg_sys::AttrNumber| number as usize - 1;
            let mut values = columns.map(|number| *(*slot).tts_values.add(index(number)));
            let mut nulls = columns.map(|number| *(*slot).tts_isnull.add(index(number)));
            let (store, descriptor) = ((*self.info).setResult, (*self.info).setDesc);
            pg_sys::tuplestore_putvalues(store, descriptor, values.as_mut_ptr(), nulls.as_mut_ptr());
            true
        });
        Ok(())
    }

    /// Adds the rows of a query, which has the columns that the function was declared with. With `read_only` it sees what the
    /// query sees that calls the function.
    ///
    /// # Errors
    ///
    /// If a column of the query is of another type.
    pub fn add(&mut self, query: &str, read_only: bool) -> Result<u64, Error> {
        let query = CString::new(query).map_err(|_| mismatch())?;
        // SAFETY: SPI is connected and finished here; an error in between finishes it with the transaction. The rows
        // stay valid until SPI_finish, and the tuplestore copies them. `info` is valid for as long as the function runs.
        unsafe {
            check(pg_sys::SPI_connect())?;
            check(pg_sys::SPI_execute(query.as_ptr(), read_only, 0))?;
            let (rows, table) = (pg_sys::SPI_processed, pg_sys::SPI_tuptable);
            if !table.is_null() {
                let descriptor = (*table).tupdesc;
                self.require_types((1..=(*descriptor).natts).map(|column| pg_sys::SPI_gettypeid(descriptor, column)))?;
                for index in 0..rows as usize {
                    pg_sys::tuplestore_puttuple((*self.info).setResult, *(*table).vals.add(index));
                }
            }
            check(pg_sys::SPI_finish())?;
            Ok(rows)
        }
    }

    /// Whoever reads the rows goes by the types of the declaration.
    fn require_types(&self, types: impl Iterator<Item = pg_sys::Oid>) -> Result<(), Error> {
        // SAFETY: as above; the descriptor has natts columns.
        let columns = unsafe { descriptor::columns((*self.info).setDesc) };
        if types.eq(columns.iter().map(|column| column.atttypid)) { Ok(()) } else { Err(mismatch()) }
    }
}

fn mismatch() -> Error {
    Error::Spi(pgrx::spi::SpiErrorCodes::Argument.into())
}

fn check(code: c_int) -> Result<(), Error> {
    pgrx::Spi::check_status(code).map(|_| ()).map_err(Error::Spi)
}
