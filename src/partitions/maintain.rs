//! `operations_maintain_partitions()`

use operations_model::calendar::{Day, Month};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::spi::quote_qualified_identifier;
use pgrx::{notice, pg_extern};

use crate::arguments;
use crate::citus::{self, OnCitus};
use crate::error::Error;
use crate::orphans;
use crate::partitions::{create_missing, partitions_of, today};
use crate::pg::call::Call;
use crate::pg::catalog::{self, RelationOid};
use crate::pg::partition_bounds::{self, Bound, Partition};
use crate::pg::session::{self, Settings};
use crate::query;
use crate::rights;
use crate::schema::Schema;

const DETACH: &str = include_str!("sql/detach.sql");

const ON_CITUS: OnCitus = OnCitus::DistributedOperations("operations_maintain_partitions()");

/// How many months after the current one have a partition, if nobody says otherwise.
pub const MONTHS_AHEAD: i32 = 3;

/// The most months that may be asked for, ahead or to retain: a hundred years.
const MAX_MONTHS: i32 = 1200;

#[pg_extern(sql = r#"
create procedure @extschema@.operations_maintain_partitions(
    p_months_ahead integer default 3,
    p_retain_months integer default null
)
language c as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';

revoke all on procedure @extschema@.operations_maintain_partitions(integer, integer) from public;

comment on procedure @extschema@.operations_maintain_partitions(integer, integer) is
    'Creates the monthly partitions of operations that are missing, from the oldest month that has one to p_months_ahead months after the current one. With p_retain_months, first detaches, but never drops, those that hold only months more than p_retain_months before the current one. Also removes files that a load has left behind in a crash. Does nothing on a replica.';
"#)]
fn operations_maintain_partitions(
    call: Call<'_>,
    p_months_ahead: Option<i32>,
    p_retain_months: Option<i32>,
) -> Result<(), ErrorReport> {
    let ahead = arguments::required("p_months_ahead", p_months_ahead)?;
    let ahead = arguments::in_range("p_months_ahead", ahead, 0..=MAX_MONTHS)?;
    let retain =
        p_retain_months.map(|retain| arguments::in_range("p_retain_months", retain, 0..=MAX_MONTHS)).transpose()?;
    if session::is_replica() {
        notice!("operations_maintain_partitions() does nothing on a replica: partitions come from the primary");
        return Ok(());
    }
    session::require_writable("operations_maintain_partitions")?;
    let schema = Schema::of(call, ON_CITUS)?;
    orphans::remove()?;
    Ok(maintain(&schema, ahead, retain)?)
}

fn maintain(schema: &Schema, ahead: i32, retain: Option<i32>) -> Result<(), Error> {
    let operations = schema.operations()?;
    let today = today()?;
    partition_bounds::lock(operations);
    citus::require(schema, ON_CITUS)?;
    if let Some(retain) = retain {
        let first_kept = Bound::Day(today.plus(-retain).first_day().to_postgres());
        for partition in partitions_of(schema, operations)?.ranges.iter().filter(|p| p.to <= first_kept) {
            detach(schema, operations, partition)?;
        }
    }
    let oldest = partitions_of(schema, operations)?
        .ranges
        .iter()
        .find_map(|partition| match partition.from {
            Bound::Day(day) => Day::from_postgres(day).map(Day::month),
            Bound::Min | Bound::Max => None,
        })
        .map_or(today, |oldest| oldest.min(today));
    create_missing(schema, operations, Month::range_inclusive(oldest, today.plus(ahead)))?;
    // Also those that somebody else has attached.
    citus::guard_months(schema, operations)
}

fn detach(schema: &Schema, operations: RelationOid, partition: &Partition) -> Result<(), Error> {
    let name = catalog::relation_name(partition.oid);
    let partition_schema = catalog::schema_name(catalog::relation_schema(partition.oid));
    let sql = schema.sql(DETACH).replace("@partition@", &quote_qualified_identifier(partition_schema, name.clone()));
    let _settings = Settings::safe_search_path();
    let _ddl = citus::settings_of_ddl(schema);
    let _owner = rights::act_as_owner(operations)?;
    query::run(&sql, &[])?;
    notice!("detached partition \"{name}\"; its rows are kept in the table of that name");
    Ok(())
}
