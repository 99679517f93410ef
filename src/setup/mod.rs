//! `operations_setup()`

pgrx::extension_sql_file!("sql/operation_type_enum.sql", name = "operation_type_enum", bootstrap);

use operations_model::calendar::{Day, Month};
use pgrx::datum::DatumWithOid;
use pgrx::pg_extern;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::spi::quote_identifier;

use crate::citus::{self, OnCitus};
use crate::error::Error;
use crate::partitions;
use crate::partitions::maintain::MONTHS_AHEAD;
use crate::pg::call::Call;
use crate::pg::catalog::{self, RelationOid};
use crate::pg::session::{self, Settings};
use crate::pg::view_rule;
use crate::query;
use crate::rights;
use crate::rollup;
use crate::rollup::counting::{self, CountingTriggers};
use crate::schema::Schema;

/// What the demo needs and the extension must not own.
const OPERATIONS: &str = include_str!("sql/operations.sql");
const HAS_INDEX: &str = include_str!("sql/has_index.sql");
const INDEX: &str = include_str!("sql/index.sql");
const COUNT_TRIGGERS: &str = include_str!("sql/count_triggers.sql");
const CLIENT_TYPE_SUM_LIVE: &str = include_str!("sql/client_type_sum_live.sql");
const LIVE_VIEW_READS: &str = include_str!("sql/live_view_reads.sql");
const CLIENT_TYPE_SUM_MV: &str = include_str!("sql/client_type_sum_mv.sql");

const ON_CITUS: OnCitus = OnCitus::ShardedOfCoordinator("operations_setup()");

/// 2025-08-01, the first of the months that every new table has, and how many these are.
const FIRST_DAY: i32 = 9344;
const FIRST_MONTHS: i32 = 4;

#[pg_extern(sql = r#"
create procedure @extschema@.operations_setup()
language c as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';

revoke all on procedure @extschema@.operations_setup() from public;

comment on procedure @extschema@.operations_setup() is
    'Creates, in the schema of the extension, what is missing of: the table operations with its index, its partitions for 2025-08 to 2025-11 (if the table is new), the current month and 3 months ahead, the triggers that count its changes, the view client_type_sum_live and the materialized view client_type_sum_mv. The caller owns them; the extension does not.';
"#)]
fn operations_setup(call: Call<'_>) -> Result<(), ErrorReport> {
    session::require_writable("operations_setup")?;
    // Before anything is looked at: what one looks at is locked, and the other replaces it.
    catalog::lock_extension();
    Schema::of(call, OnCitus::Everywhere)?.require_columns()?;
    Ok(set_up(&Schema::of(call, ON_CITUS)?)?)
}

fn set_up(schema: &Schema) -> Result<(), Error> {
    let _settings = Settings::set(&[
        (c"search_path", c"pg_catalog, pg_temp"),
        // "already exists, skipping" is what an idempotent procedure is for.
        (c"client_min_messages", c"warning"),
    ]);
    let is_new = schema.operations().is_err();
    // Whoever can make tables in the schema may have made this one. What is on it is not for a superuser to run.
    if let Ok(operations) = schema.operations()
        && catalog::is_superuser(session::current_user())
    {
        rights::require_owners_with_rights_of(operations, session::current_user())?;
    }
    if citus::is_sharded(schema) {
        citus::run_each(schema, CLIENT_TYPE_SUM_MV)?;
        citus::distribute(schema)?;
        create_index(schema)?;
        return create_months(schema, std::iter::empty());
    }
    run(schema, OPERATIONS)?;
    create_index(schema)?;
    // Citus may be set to take each new table, or those of this schema.
    citus::require(schema, ON_CITUS)?;
    create_views(schema)?;
    let first = Day::from_postgres(FIRST_DAY).map(Day::month);
    // Not again for a table that was there: what was detached from it is not missing.
    let first_months = first.map(|first| Month::range_inclusive(first, first.plus(FIRST_MONTHS - 1)));
    create_months(schema, first_months.filter(|_| is_new).into_iter().flatten())
}

/// The index that finds the oldest new operations, unless there is one: another table may have its name.
fn create_index(schema: &Schema) -> Result<(), Error> {
    if query::is(&schema.sql(HAS_INDEX), &[])? {
        return Ok(());
    }
    let name = quote_identifier(schema.free_name("operations_status_id_idx"));
    citus::run_each(schema, &INDEX.replace("@index@", &name))
}

fn create_months(schema: &Schema, first_months: impl Iterator<Item = Month>) -> Result<(), Error> {
    let today = partitions::today()?;
    let months_ahead = Month::range_inclusive(today, today.plus(MONTHS_AHEAD));
    let months = first_months.chain(months_ahead);
    partitions::create_missing(schema, schema.operations()?, months)?;
    Ok(())
}

/// The triggers that count changes, and the two views of the sums.
fn create_views(schema: &Schema) -> Result<(), Error> {
    rollup::let_read(schema, session::current_user())?;
    let operations = schema.operations()?;
    let counter = CountingTriggers::of(schema)?;
    if !counter.has_triggers(operations) || counter.leaves(operations).iter().any(|leaf| !leaf.has_triggers) {
        run(schema, COUNT_TRIGGERS)?;
    }
    if !live_view_reads(schema, operations)? {
        run(schema, CLIENT_TYPE_SUM_LIVE)?;
    }
    if schema.client_type_sum_mv().is_err() {
        // Whoever owns the one view would put there what the owner of the other evaluates from now on.
        rights::require_owner_with_rights_of(schema.client_type_sum_live()?, session::current_user())?;
    }
    run(schema, CLIENT_TYPE_SUM_MV)?;
    let views = [schema.client_type_sum_live()?, schema.client_type_sum_mv()?];
    views.into_iter().filter_map(RelationOid::owner).try_for_each(|owner| rollup::let_read(schema, owner))
}

/// Whether the view is there and reads this table, and the columns that have the names now.
fn live_view_reads(schema: &Schema, operations: RelationOid) -> Result<bool, Error> {
    let Ok(live) = schema.client_type_sum_live() else { return Ok(false) };
    if view_rule::partitioned_table_of(live) != Some(operations) {
        return Ok(false);
    }
    let arguments = [
        DatumWithOid::from(live.oid()),
        DatumWithOid::from(operations.oid()),
        DatumWithOid::from(counting::numbers_of_columns(operations.oid())),
    ];
    // Another set-up may have been waited for.
    Ok(query::is(LIVE_VIEW_READS, &arguments)?)
}

fn run(schema: &Schema, file: &str) -> Result<(), Error> {
    query::run(&schema.sql(file), &[])?;
    Ok(())
}
