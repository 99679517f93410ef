//! Loading a set of test data, each month the fastest way that is right for it.
//!
//! | a month that | is loaded |
//! |---|---|
//! | has no partition | into a table of its own, indexed afterwards and attached at the end |
//! | has an empty partition | likewise; at the end the partition gets the file of that table |
//! | has far fewer rows than come | in place, its indexes made anew afterwards, while it is locked |
//! | has many rows, is the current one, or must not be locked for the jobs' sake | in place, its indexes kept row by row |
//!
//! All of it is the caller's transaction, also what parallel workers write. A table that is not the one that
//! operations_setup() makes is loaded by COPY (`copy`), which knows triggers, constraints and other columns.

mod bulk;
mod copy;
mod fill;
pub mod orphans;
mod processes;
mod stage;
mod standard;

use std::time::Duration;

use operations_model::calendar::Month;
use operations_model::copy_binary;
use operations_model::test_data::TestData;
use pgrx::{debug1, notice};

use crate::error::Error;
use crate::load::bulk::Bulk;
use crate::partitions;
use crate::pg::catalog::{LockMode, RelationOid};
use crate::pg::copy as pg_copy;
use crate::pg::load_progress::Progress;
use crate::schema::Schema;

/// More months than this, each of them a partition and some locks, are too many for one load.
pub const MOST_MONTHS: usize = 240;

/// As errors name it.
pub const PROCEDURE: &str = "operations_test_data";

/// Loads the whole set, dated in these months, in as many processes as asked for, or as seem right.
pub fn load(schema: &Schema, data: &TestData, months: &[Month], processes: Option<usize>) -> Result<(), Error> {
    let operations = schema.operations()?;
    // The lock that INSERT takes. While it is held nobody alters the table.
    operations.lock(LockMode::RowExclusive);
    pg_copy::require_insert_right(PROCEDURE, operations, &copy_binary::COLUMNS)?;
    let progress = Progress::begin(operations.oid(), data.rows());
    orphans::remove()?;
    let mut deviation = standard::deviation(schema, operations, months)?;
    if deviation.is_none() {
        let with_rows: Vec<Month> = months.iter().copied().filter(|month| !data.rows_of(*month).is_empty()).collect();
        let processes = processes::count(processes, with_rows.len());
        deviation = match Bulk::begin(schema, operations, data, processes, &progress) {
            Ok(bulk) => bulk.load(&with_rows)?,
            Err(deviation) => Some(deviation),
        };
    }
    // After the rows, if it can be: it locks others out of making partitions.
    create_missing(schema, operations, months)?;
    if let Some(deviation) = deviation {
        debug1!("operations_test_data uses COPY: {deviation}");
        copy::load(operations, data, &progress);
    }
    Ok(())
}

/// Creates the partitions that months lack, for rows that are to come.
fn create_missing(schema: &Schema, operations: RelationOid, months: &[Month]) -> Result<(), Error> {
    let created = partitions::create_missing(schema, operations, months.iter().copied())?;
    orphans::note(&orphans::files_of(created)?)
}

/// Tells the caller that a month is done.
fn report(month: Month, rows: u64, how: &str, took: Duration) {
    let rate = (rows as f64 / took.as_secs_f64().max(1e-6)).round();
    notice!("{month}: {rows} rows {how}, {rate} rows/s");
}
