//! `operations_verify_rollup()`, and the functions behind the triggers of `operations` and the view over the rollups.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::spi::quote_literal;
use pgrx::{Spi, pg_extern, pg_sys};

use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::catalog;
use crate::pg::result_set::ResultSet;
use crate::pg::row_change;
use crate::pg::session::{self, ActingAs, Settings};
use crate::rollup;
use crate::schema::Schema;

const DIRECT_SUMS: &str = include_str!("../../sql/rollup/direct_sums.sql");
const DIFFERENCES: &str = include_str!("../../sql/rollup/differences.sql");

#[pg_extern(sql = r#"
create function @extschema@.operations_count_change()
returns trigger
language c as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';

comment on function @extschema@.operations_count_change() is
    'Appends to operations_delta what a change of a row changes in the sums. Called by the triggers of operations.';
"#)]
fn operations_count_change(fcinfo: pg_sys::FunctionCallInfo) -> Result<(), ErrorReport> {
    // SAFETY: pgrx hands on what PostgreSQL passed to this function.
    Ok(unsafe { row_change::count(fcinfo) }?)
}

/// How many triggers count the changes of a partition: for INSERT, UPDATE and DELETE.
const COUNTING_TRIGGERS: usize = 3;

#[pg_extern(sql = r#"
create function @extschema@.operations_is_counted(p_partition oid, p_file oid, p_function oid)
returns boolean
language c stable strict parallel safe
as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';

comment on function @extschema@.operations_is_counted(oid, oid, oid) is
    'Whether the relation is, by the catalogs as they are now and not by the snapshot, a partition with this file whose triggers of this function are all there and always fire.';
"#)]
fn operations_is_counted(p_partition: pg_sys::Oid, p_file: pg_sys::Oid, p_function: pg_sys::Oid) -> bool {
    catalog::is_partition_with(p_partition, p_file, COUNTING_TRIGGERS, p_function)
}

#[pg_extern(sql = r#"
create function @extschema@.operations_direct_sums(
    p_partitions oid[],
    out partition oid,
    out client_id integer,
    out operation_type @extschema@.operation_type_enum,
    out rows bigint,
    out amount numeric,
    out summable boolean
)
returns setof record
language c stable parallel restricted cost 1000 rows 100
as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';

comment on function @extschema@.operations_direct_sums(oid[]) is
    'Counts and sums the done operations (status 1) of the given partitions, or of all if that is null, from the rows themselves. For roles that may read operations, client_type_sum_live or client_type_sum_mv.';
"#)]
fn operations_direct_sums(
    fcinfo: pg_sys::FunctionCallInfo,
    p_partitions: Option<Vec<Option<pg_sys::Oid>>>,
) -> Result<(), ErrorReport> {
    Ok(direct_sums(fcinfo, p_partitions)?)
}

fn direct_sums(fcinfo: pg_sys::FunctionCallInfo, partitions: Option<Vec<Option<pg_sys::Oid>>>) -> Result<(), Error> {
    let schema = Schema::of(&Call::new(fcinfo));
    let operations = schema.operations()?;
    require_right_to_the_sums(&schema)?;
    let mut result = ResultSet::new(fcinfo);
    let query = schema.sql(DIRECT_SUMS);
    let _settings = Settings::set(&[(c"search_path", c"pg_catalog, pg_temp"), (c"row_security", c"off")]);
    let _owner = operations.owner().map(ActingAs::role);
    let Some(partitions) = partitions else {
        return result.add(&query.replace("@where@", ""), true).map(|_| ());
    };
    for partition in partitions.into_iter().flatten() {
        result.add(&query.replace("@where@", &only(partition)?), true)?;
    }
    Ok(())
}

/// A view calls its functions with the rights of its reader, so that this one must be open to all and look for itself.
fn require_right_to_the_sums(schema: &Schema) -> Result<(), Error> {
    let role = session::current_user();
    let sources =
        [schema.rollup_live(), schema.operations(), schema.client_type_sum_live(), schema.client_type_sum_mv()];
    if sources.into_iter().flatten().any(|source| source.may_be_read_by(role)) {
        return Ok(());
    }
    Err(Error::SumsNotPermitted)
}

/// The condition that rows are of this partition, and that by which the planner leaves out the others.
fn only(partition: pg_sys::Oid) -> Result<String, Error> {
    let oid = quote_literal(partition.to_u32().to_string());
    let bounds = Spi::connect(|client| {
        let query = format!("select pg_catalog.pg_get_partition_constraintdef({oid}::pg_catalog.oid)");
        client.select(query.as_str(), Some(1), &[])?.first().get::<String>(1)
    })?;
    let condition = format!("and tableoid = {oid}::oid");
    Ok(bounds.map_or_else(|| condition.clone(), |bounds| format!("{condition} and ({bounds})")))
}

#[pg_extern(sql = r#"
create function @extschema@.operations_verify_rollup(
    p_repair boolean default false,
    out client_id integer,
    out operation_type @extschema@.operation_type_enum,
    out rolled_up_amount numeric,
    out actual_amount numeric
)
returns setof record
language c
as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';

revoke all on function @extschema@.operations_verify_rollup(boolean) from public;

comment on function @extschema@.operations_verify_rollup(boolean) is
    'Compares client_type_sum_live with the sums of the rows of operations, in one snapshot, and returns what differs: nothing, unless something is broken. With p_repair it then sums up all partitions anew and refreshes client_type_sum_mv.';
"#)]
fn operations_verify_rollup(fcinfo: pg_sys::FunctionCallInfo, p_repair: Option<bool>) -> Result<(), ErrorReport> {
    Ok(verify(fcinfo, p_repair.unwrap_or(false))?)
}

fn verify(fcinfo: pg_sys::FunctionCallInfo, repair: bool) -> Result<(), Error> {
    if repair {
        session::require_writable("operations_verify_rollup")?;
    }
    let schema = Schema::of(&Call::new(fcinfo));
    let mut result = ResultSet::new(fcinfo);
    let _settings = Settings::safe_search_path();
    rollup::as_owner_of_the_rollups(&schema, || result.add(&schema.sql(DIFFERENCES), !repair))?;
    if repair { rollup::repair(&schema) } else { Ok(()) }
}
