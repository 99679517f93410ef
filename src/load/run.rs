//! A load from its beginning to its end.

use operations_model::calendar::Month;
use operations_model::copy_binary;
use operations_model::test_data::TestData;
use pgrx::debug1;

use super::progress::Progress;
use super::strategy::BulkLoad;
use super::{copy, processes, sharded, staging, standard};
use crate::citus::{self, OnCitus};
use crate::error::Error;
use crate::orphans;
use crate::pg::catalog::LockMode;
use crate::pg::copy as pg_copy;
use crate::schema::Schema;

/// The procedure that messages name.
pub const PROCEDURE: &str = "operations_test_data";

/// Of another table of Citus, COPY in the server would put all rows where no query finds them.
pub const ON_CITUS: OnCitus = OnCitus::ShardedOfCoordinator("operations_test_data()");

/// Loads the whole set, dated in these months, in as many processes as asked for, or as seem right.
pub fn load(schema: &Schema, data: &TestData, months: &[Month], processes: Option<usize>) -> Result<(), Error> {
    let operations = schema.operations()?;
    // The lock that INSERT takes. While it is held nobody alters the table.
    operations.lock(LockMode::RowExclusive);
    citus::require(schema, ON_CITUS)?;
    pg_copy::require_insert_right(PROCEDURE, operations, &copy_binary::COLUMNS)?;
    let progress = Progress::begin(operations.oid(), data.rows());
    if citus::is_sharded(schema) {
        return sharded::load(schema, operations, data, months, processes, &progress);
    }
    orphans::remove()?;
    let mut deviation = standard::deviation(schema, operations, months)?;
    if deviation.is_none() {
        let with_rows: Vec<Month> = months.iter().copied().filter(|month| !data.rows_of(*month).is_empty()).collect();
        let processes = processes::count(processes, with_rows.len());
        deviation = match BulkLoad::begin(schema, operations, data, processes, &progress) {
            Ok(bulk) => bulk.load(&with_rows)?,
            Err(deviation) => Some(deviation),
        };
    }
    // After the rows, if it can be: it locks others out of making partitions.
    staging::create_missing(schema, operations, months)?;
    if let Some(deviation) = deviation {
        debug1!("operations_test_data uses COPY: {deviation}");
        copy::load(operations, data, &progress);
    }
    Ok(())
}
