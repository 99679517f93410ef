//! `operations_test_data()`

use operations_model::calendar::Month;
use operations_model::test_data::TestData;
use pgrx::datum::Date;
use pgrx::pg_extern;
use pgrx::pg_sys::panic::ErrorReport;

use super::{fill, run};
use crate::arguments;
use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::session;
use crate::random;
use crate::schema::Schema;

/// More rows than this are a typing error: they would fill some terabytes.
const MAX_ROWS: i64 = 10_000_000_000;

/// More months than this are refused.
const MAX_MONTHS: i32 = fill::MAX_MONTHS as i32;

/// PostgreSQL's own limit of parallel workers for a command.
const MAX_WORKERS: i32 = 1024;

#[pg_extern(sql = r#"
create procedure @extschema@.operations_test_data(
    p_start_date date,
    p_end_date date,
    p_rows_total bigint,
    p_seed bigint default null,
    p_workers integer default null
)
language c as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';

revoke all on procedure @extschema@.operations_test_data(date, date, bigint, bigint, integer) from public;

comment on procedure @extschema@.operations_test_data(date, date, bigint, bigint, integer) is
    'Adds p_rows_total new operations (status 0), dated evenly over the days from p_start_date to p_end_date, both included, and creates the partitions they need. All rows or none. The same seed, dates and count give the same rows on every machine; without a seed they are new ones. Watch it in pg_stat_progress_copy.';
"#)]
fn operations_test_data(
    call: Call<'_>,
    p_start_date: Option<Date>,
    p_end_date: Option<Date>,
    p_rows_total: Option<i64>,
    p_seed: Option<i64>,
    p_workers: Option<i32>,
) -> Result<(), ErrorReport> {
    let start = arguments::day("p_start_date", arguments::required("p_start_date", p_start_date)?)?;
    let end = arguments::day("p_end_date", arguments::required("p_end_date", p_end_date)?)?;
    let rows = arguments::required("p_rows_total", p_rows_total)?;
    let rows = arguments::in_range("p_rows_total", rows, 1..=MAX_ROWS)?.unsigned_abs();
    if end < start {
        return Err(Error::EndBeforeStart { start: start.to_string(), end: end.to_string() }.into());
    }
    let (first, last) = (start.month(), end.month());
    let months = last.months_since(first) + 1;
    if months > MAX_MONTHS {
        return Err(Error::TooManyMonths { first, last, months, limit: MAX_MONTHS }.into());
    }
    let processes = p_workers.map(|workers| arguments::in_range("p_workers", workers, 1..=MAX_WORKERS)).transpose()?;
    let processes = processes.and_then(|workers| usize::try_from(workers).ok());
    session::require_writable(run::PROCEDURE)?;
    let seed = p_seed.map_or_else(random::seed, |seed| Ok(seed.cast_unsigned()))?;

    let schema = Schema::of(call, run::ON_CITUS)?;
    let months: Vec<Month> = Month::range_inclusive(first, last).collect();
    Ok(run::load(&schema, &TestData::new(seed, start, end, rows), &months, processes)?)
}
