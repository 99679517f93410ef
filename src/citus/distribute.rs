//! `operations_distribute()`

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::spi::{quote_identifier, quote_literal};
use pgrx::{Spi, pg_extern};

use super::{DISTRIBUTION_COLUMN, ORDERS, OnCitus, sharded};
use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::catalog::{self, LockMode, RelationOid};
use crate::pg::citus::Catalogs;
use crate::pg::session::{self, Settings};
use crate::query;
use crate::rights;
use crate::rollup;
use crate::rollup::counting::{CountingTriggers, Fires};
use crate::schema::Schema;

const PRIMARY_KEY: &str = include_str!("sql/primary_key.sql");
const IS_COLOCATED: &str = include_str!("sql/is_colocated.sql");
const DROP_TRIGGERS: &str = include_str!("sql/drop_triggers.sql");
const TRIGGERS: &str = include_str!("sql/triggers.sql");
const SHARD_TRIGGER: &str = include_str!("sql/shard_trigger.sql");
const FORGET: &str = include_str!("sql/forget.sql");
const READERS: &str = include_str!("sql/readers.sql");

/// The tables that are distributed with `operations`, and by which column.
const COMPANIONS: [(&str, &str); 4] = [
    ("operations_shard_delta", DISTRIBUTION_COLUMN),
    ("operations_shard_rollup", DISTRIBUTION_COLUMN),
    ("operations_shard", "key"),
    ("operations_shard_load", "key"),
];

#[pg_extern(sql = r#"
create procedure @extschema@.operations_distribute()
language c as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';

revoke all on procedure @extschema@.operations_distribute() from public;

comment on procedure @extschema@.operations_distribute() is
    'On Citus: distributes operations by client_id, with all its rows, and keeps the sums in the shards. Its primary key becomes (operation_date, client_id, id). Nothing changes, if it is so already. For superusers.';
"#)]
fn operations_distribute(call: Call<'_>) -> Result<(), ErrorReport> {
    session::require_writable("operations_distribute")?;
    // Before anything is looked at: what one looks at is locked, and the other replaces it.
    catalog::lock_extension();
    Schema::of(call, OnCitus::Everywhere)?.require_columns()?;
    let schema = Schema::of(call, OnCitus::DistributedOperations("operations_distribute()"))?;
    Ok(distribute(&schema)?)
}

/// Distributes the table, or makes what is missing of that.
pub fn distribute(schema: &Schema) -> Result<(), Error> {
    let catalogs = require_for_distribution()?;
    let caller = session::current_user();
    let operations = schema.operations()?;
    let Some(owner) = schema.rollup_live()?.owner() else { return Ok(()) };
    sharded::require_trusted(schema, operations, owner)?;
    rights::require_owners_with_rights_of(operations, caller)?;
    operations.lock(LockMode::AccessExclusive);
    let _settings = Settings::set(&[
        (c"search_path", c"pg_catalog, pg_temp"),
        (c"client_min_messages", c"warning"),
        // One connection to each node: what the transaction has done so far is seen there.
        (c"citus.multi_shard_modify_mode", c"sequential"),
        (c"citus.enable_unsafe_triggers", c"on"),
    ]);
    let _nodes = Settings::set(&super::TO_ALL_NODES);
    if catalogs.kind_of(operations).is_none() {
        run_each(schema, DROP_TRIGGERS)?;
        put_client_into_the_key(operations)?;
        distribute_table(schema, "operations", DISTRIBUTION_COLUMN, companion_of(schema, catalogs))?;
        let truncate =
            format!("select truncate_local_data_after_distributing_table({})", regclass(schema, "operations"));
        query::run(&truncate, &[])?;
    }
    for (table, column) in COMPANIONS {
        if schema.relation_named(table).is_some_and(|table| catalogs.kind_of(table).is_none()) {
            distribute_table(schema, table, column, Some("operations"))?;
        }
    }
    if !query::is(&schema.sql(IS_COLOCATED), &[])? {
        return Err(Error::OtherColocation { schema: schema.quoted_name() });
    }
    put_triggers(schema, operations)?;
    sharded::find_keys(schema)?;
    let live = schema.client_type_sum_live()?;
    if !rollup::are_as_made(schema, schema.client_type_sum_mv()?, sharded::CLIENT_TYPE_SUM_LIVE)? {
        run_each(schema, FORGET)?;
        run_each(schema, sharded::CLIENT_TYPE_SUM_LIVE)?;
    }
    let_readers_read(schema, live)
}

/// Asks for Citus, and that the caller may distribute the tables of the extension.
///
/// # Errors
///
/// [`Error::NoCitus`], [`Error::NotSuperuser`]
fn require_for_distribution() -> Result<Catalogs, Error> {
    let catalogs = Catalogs::find().ok_or(Error::NoCitus)?;
    if catalog::is_superuser(session::current_user()) {
        Ok(catalogs)
    } else {
        Err(Error::NotSuperuser { procedure: "operations_distribute" })
    }
}

/// Runs the statements of a file, one by one: Citus sends them on, and there only one can be prepared at a time.
pub fn run_each(schema: &Schema, file: &str) -> Result<(), Error> {
    let sql = schema.sql(file);
    sql.split_inclusive(";\n").filter(|statement| !statement.trim().is_empty()).try_for_each(|statement| {
        query::run(statement, &[])?;
        Ok(())
    })
}

/// Citus asks that each unique key has the column that the table is distributed by.
fn put_client_into_the_key(operations: RelationOid) -> Result<(), Error> {
    let key = Spi::connect_mut(|client| {
        let found = client.update(PRIMARY_KEY, Some(1), &[DatumWithOid::from(operations.oid())])?;
        if found.is_empty() { Ok(None) } else { found.first().get::<String>(1) }
    })?;
    let Some(key) = key else { return Ok(()) };
    let (table, key) = (catalog::qualified_name(operations.oid()), quote_identifier(key));
    let statement = format!(
        "alter table {table} drop constraint {key}, add constraint {key} primary key (operation_date, client_id, id)"
    );
    query::run(&statement, &[])?;
    Ok(())
}

/// A table that is distributed already with what was `operations` before.
fn companion_of(schema: &Schema, catalogs: Catalogs) -> Option<&'static str> {
    let is_distributed = |name| schema.relation_named(name).is_some_and(|table| catalogs.kind_of(table).is_some());
    COMPANIONS.into_iter().map(|(name, _)| name).find(|name| is_distributed(name))
}

fn distribute_table(schema: &Schema, table: &str, column: &str, with: Option<&str>) -> Result<(), Error> {
    let with = with.map_or_else(|| "none".into(), |table| format!("{}.{table}", schema.quoted_name()));
    let (table, column, with) = (regclass(schema, table), quote_literal(column), quote_literal(with));
    query::run(&format!("select create_distributed_table({table}, {column}, colocate_with => {with})"), &[])?;
    Ok(())
}

fn regclass(schema: &Schema, table: &str) -> String {
    quote_literal(format!("{}.{table}", schema.quoted_name())) + "::regclass"
}

/// The triggers on the shards: made on the tables, Citus gives them to each shard, also of new months and where it is moved to.
fn put_triggers(schema: &Schema, operations: RelationOid) -> Result<(), Error> {
    const HAS_TRIGGER: &str = "select exists (select from pg_trigger where tgrelid = '@extschema@.@table@'::regclass \
                               and tgfoid = '@extschema@.operations_shard_work()'::regprocedure)";
    let counter = CountingTriggers { fires: Fires::AtOrigin, ..CountingTriggers::of(schema)? };
    if !counter.has_triggers(operations) || counter.leaves(operations).iter().any(|leaf| !leaf.has_triggers) {
        run_each(schema, DROP_TRIGGERS)?;
        run_each(schema, TRIGGERS)?;
    }
    guard_months(schema, operations)?;
    for table in ORDERS {
        let of_table = |file: &str| file.replace("@table@", table);
        if !query::is(&schema.sql(&of_table(HAS_TRIGGER)), &[])? {
            run_each(schema, &of_table(SHARD_TRIGGER))?;
        }
    }
    Ok(())
}

/// Has a TRUNCATE of each month ask which node it is on, if the table was distributed by us: on a worker node Citus takes it without
/// a word to the coordinator. PostgreSQL gives no such trigger of the table to its partitions.
///
/// A month of another owner is left out, as it is from the sums.
pub fn guard_months(schema: &Schema, operations: RelationOid) -> Result<(), Error> {
    if !super::is_sharded(schema) {
        return Ok(());
    }
    let is_of_owner = |month: &RelationOid| month.owner() == operations.owner();
    let leaves = CountingTriggers::of(schema)?.leaves(operations).into_iter().filter(|leaf| !leaf.is_guarded);
    let months: Vec<_> = leaves.filter_map(|leaf| RelationOid::from_oid(leaf.oid)).filter(is_of_owner).collect();
    guard(schema, operations, &months)
}

/// The same for months of the table that have no such trigger. One that was disabled or altered is made anew.
pub fn guard(schema: &Schema, operations: RelationOid, months: &[RelationOid]) -> Result<(), Error> {
    if months.is_empty() || !super::is_sharded(schema) {
        return Ok(());
    }
    let _settings = Settings::safe_search_path();
    let _ddl = super::settings_of_ddl(schema);
    let _owner = rights::act_as_owner(operations)?;
    let schema = schema.quoted_name();
    months.iter().try_for_each(|month| {
        let month = catalog::qualified_name(month.oid());
        let statement = format!(
            "create or replace trigger operations_guard_truncate before truncate on {month} \
             for each statement execute function {schema}.operations_count_change()"
        );
        query::run(&statement, &[])?;
        Ok(())
    })
}

fn let_readers_read(schema: &Schema, live: RelationOid) -> Result<(), Error> {
    let owners = [live, schema.client_type_sum_mv()?];
    owners.into_iter().filter_map(RelationOid::owner).try_for_each(|owner| rollup::let_read(schema, owner))?;
    let readers = Spi::connect_mut(|client| {
        client.update(READERS, Some(1), &[DatumWithOid::from(live.oid())])?.first().get::<String>(1)
    })?;
    match readers {
        Some(readers) if !readers.is_empty() => {
            let grant = "grant select on @extschema@.operations_shard_rollup, @extschema@.operations_shard_delta to ";
            query::run(&(schema.sql(grant) + &readers), &[])?;
            Ok(())
        }
        _ => Ok(()),
    }
}
