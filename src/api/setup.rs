//! `operations_setup()`

use operations_model::calendar::{Day, Month};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{Spi, pg_extern, pg_sys};

use crate::api::partitions;
use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::catalog;
use crate::pg::session::{self, Settings};
use crate::schema::Schema;

/// What the demo needs and the extension must not own, in the order in which it is created.
const FILES: [&str; 2] =
    [include_str!("../../sql/setup/operations.sql"), include_str!("../../sql/setup/client_type_sum_mv.sql")];

/// 2025-08-01, the first of the months that every new table has, and how many these are.
const FIRST_DAY: i32 = 9344;
const FIRST_MONTHS: i32 = 4;

#[pg_extern(sql = r#"
create procedure @extschema@.operations_setup()
language c as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';

revoke all on procedure @extschema@.operations_setup() from public;

comment on procedure @extschema@.operations_setup() is
    'Creates, in the schema of the extension, what is missing of: the table operations with its index, its partitions for 2025-08 to 2025-11 (if the table is new), the current month and 3 months ahead, and the materialized view client_type_sum_mv. The caller owns them; the extension does not.';
"#)]
fn operations_setup(fcinfo: pg_sys::FunctionCallInfo) -> Result<(), ErrorReport> {
    session::require_writable("operations_setup")?;
    Ok(set_up(&Schema::of(&Call::new(fcinfo)))?)
}

fn set_up(schema: &Schema) -> Result<(), Error> {
    let _settings = Settings::set(&[
        (c"search_path", c"pg_catalog, pg_temp"),
        // "already exists, skipping" is what an idempotent procedure is for.
        (c"client_min_messages", c"warning"),
    ]);
    catalog::lock_extension();
    let is_new = schema.operations().is_err();
    Spi::connect_mut(|client| {
        FILES.iter().try_for_each(|file| client.update(schema.sql(file).as_str(), None, &[]).map(|_| ()))
    })?;
    let today = partitions::today()?;
    let first = Day::from_postgres(FIRST_DAY).map_or(today, Day::month);
    // Not again for a table that was there: what was detached from it is not missing.
    let first_months = Month::range_inclusive(first, first.plus(FIRST_MONTHS - 1)).filter(|_| is_new);
    let months_ahead = Month::range_inclusive(today, today.plus(partitions::MONTHS_AHEAD));
    partitions::create_missing(schema, schema.operations()?, first_months.chain(months_ahead))
}
