//! A function that returns the rows of queries.

use std::ffi::{CString, c_int};

use pgrx::pg_sys;

use crate::error::Error;

/// The result of a function that returns SETOF record, as it is filled.
#[derive(Debug)]
pub struct ResultSet {
    call: *mut pg_sys::ReturnSetInfo,
}

impl ResultSet {
    /// For the call of a function that was declared with the columns that it returns.
    pub fn new(fcinfo: pg_sys::FunctionCallInfo) -> Self {
        // SAFETY: pgrx hands on what PostgreSQL passed to the function. InitMaterializedSRF raises an error where the
        // caller takes no set, and otherwise leaves a ReturnSetInfo with a tuplestore that lives as long as the query.
        unsafe {
            pg_sys::InitMaterializedSRF(fcinfo, 0);
            Self { call: (*fcinfo).resultinfo.cast() }
        }
    }

    /// Adds a row, of as many columns as the function was declared with, in their types; `None` is null.
    pub fn put<const COLUMNS: usize>(&mut self, row: [Option<pg_sys::Datum>; COLUMNS]) {
        let mut nulls = row.map(|value| value.is_none());
        let mut values = row.map(|value| value.unwrap_or(pg_sys::Datum::from(0)));
        // SAFETY: `call` is valid for as long as the function runs, and the tuplestore copies the row. Its descriptor is that
        // of the declaration; a row of another number of columns is left out.
        unsafe {
            let (store, descriptor) = ((*self.call).setResult, (*self.call).setDesc);
            debug_assert_eq!((*descriptor).natts as usize, COLUMNS);
            if (*descriptor).natts as usize == COLUMNS {
                pg_sys::tuplestore_putvalues(store, descriptor, values.as_mut_ptr(), nulls.as_mut_ptr());
            }
        }
    }

    /// Adds the rows of a query, which must give the columns and types that the function was declared with. With
    /// `read_only` it sees what the query sees that calls the function.
    pub fn add(&mut self, query: &str, read_only: bool) -> Result<u64, Error> {
        let query = CString::new(query).map_err(|_| Error::Spi(pgrx::spi::SpiErrorCodes::Argument.into()))?;
        // SAFETY: SPI is connected and finished here; an error in between finishes it with the transaction. The rows
        // stay valid until SPI_finish, and the tuplestore copies them. `call` is valid for as long as the function runs.
        unsafe {
            check(pg_sys::SPI_connect())?;
            check(pg_sys::SPI_execute(query.as_ptr(), read_only, 0))?;
            let (rows, table) = (pg_sys::SPI_processed, pg_sys::SPI_tuptable);
            if !table.is_null() {
                for index in 0..rows as usize {
                    pg_sys::tuplestore_puttuple((*self.call).setResult, *(*table).vals.add(index));
                }
            }
            check(pg_sys::SPI_finish())?;
            Ok(rows)
        }
    }
}

fn check(code: c_int) -> Result<(), Error> {
    pgrx::Spi::check_status(code).map(|_| ()).map_err(Error::Spi)
}
