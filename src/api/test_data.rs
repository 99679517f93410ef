//! `operations_test_data()`

use operations_model::calendar::Month;
use operations_model::copy_binary;
use operations_model::test_data::TestData;
use pgrx::datum::Date;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{pg_extern, pg_sys};

use crate::api::{arguments, partitions};
use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::copy;
use crate::pg::session;
use crate::random;
use crate::schema::Schema;

/// More rows than this are a typing error: they would fill some terabytes.
const MOST_ROWS: i64 = 10_000_000_000;

/// More months than this, each of them a partition and some locks, are refused.
const MOST_MONTHS: i32 = 240;

/// Rows encoded at a time, so that COPY does not ask for each alone.
const ROWS_PER_READ: usize = 256;

const PROCEDURE: &str = "operations_test_data";

#[pg_extern(sql = r#"
create procedure @extschema@.operations_test_data(
    p_start_date date,
    p_end_date date,
    p_rows_total bigint,
    p_seed bigint default null
)
language c as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';

revoke all on procedure @extschema@.operations_test_data(date, date, bigint, bigint) from public;

comment on procedure @extschema@.operations_test_data(date, date, bigint, bigint) is
    'Adds p_rows_total new operations (status 0), dated evenly over the days from p_start_date to p_end_date, both included, and creates the partitions they need. All rows or none. The same seed, dates and count give the same rows on every machine; without a seed they are new ones. Watch it in pg_stat_progress_copy.';
"#)]
fn operations_test_data(
    fcinfo: pg_sys::FunctionCallInfo,
    p_start_date: Option<Date>,
    p_end_date: Option<Date>,
    p_rows_total: Option<i64>,
    p_seed: Option<i64>,
) -> Result<(), ErrorReport> {
    let start = arguments::day("p_start_date", arguments::required("p_start_date", p_start_date)?)?;
    let end = arguments::day("p_end_date", arguments::required("p_end_date", p_end_date)?)?;
    let rows = arguments::required("p_rows_total", p_rows_total)?;
    let rows = arguments::number("p_rows_total", rows, 1..=MOST_ROWS)?.unsigned_abs();
    if end < start {
        return Err(Error::EndBeforeStart { start: start.to_string(), end: end.to_string() }.into());
    }
    let (first, last) = (start.month(), end.month());
    let months = last.months_since(first) + 1;
    if months > MOST_MONTHS {
        return Err(Error::TooManyMonths { first, last, months, limit: MOST_MONTHS }.into());
    }
    session::require_writable(PROCEDURE)?;
    let seed = p_seed.map_or_else(random::seed, |seed| Ok(seed.cast_unsigned()))?;

    let schema = Schema::of(&Call::new(fcinfo));
    let operations = schema.operations()?;
    partitions::create_missing(&schema, operations, Month::range_inclusive(first, last))?;
    Ok(load(operations, &TestData::new(seed, start, end, rows))?)
}

fn load(operations: crate::pg::catalog::RelationOid, data: &TestData) -> Result<(), Error> {
    let mut rows = data.range(0, data.rows());
    let mut begun = false;
    let mut ended = false;
    copy::copy_binary(PROCEDURE, operations, &copy_binary::COLUMNS, &mut |buffer| {
        if !begun {
            copy_binary::header(buffer);
            begun = true;
        }
        let before = buffer.len();
        rows.by_ref().take(ROWS_PER_READ).for_each(|operation| copy_binary::row(&operation, buffer));
        if buffer.len() == before && !ended {
            copy_binary::trailer(buffer);
            ended = true;
        }
    })?;
    Ok(())
}
