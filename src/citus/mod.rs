//! Whether the tables are Citus's, and what then works: see docs/scaling.md.
//!
//! Of a table that Citus has made its own the file that PostgreSQL knows is empty, and the rows are in shards, on this server or on
//! others. A statement that PostgreSQL plans finds them, since Citus takes part in that. What goes past the planner finds nothing, and
//! what it writes nobody finds. So each procedure and function says, where it asks for its schema, what it can work on.

mod distribute;
mod functions;
mod shard;
pub mod sharded;

pgrx::extension_sql_file!("sql/tables.sql", name = "shard_tables", requires = ["rollup_tables"]);

pub use distribute::{distribute, guard, guard_months, run_each};

use std::ffi::CStr;

use pgrx::pg_sys;

use crate::error::{Error, WayBack};
use crate::pg::catalog::{self, RelationOid};
use crate::pg::citus::{Catalogs, Kind};
use crate::pg::partition_bounds::{Bound, Partitions};
use crate::pg::session::Settings;
use crate::rollup;
use crate::schema::Schema;

/// The column that operations are distributed by: each sum is of one client, and so of one shard.
const DISTRIBUTION_COLUMN: &str = "client_id";

/// Tables with a row in each shard, by `key`: who updates it has the trigger on it work on the shard.
const ORDERS: [&str; 2] = ["operations_shard", "operations_shard_load"];

/// Where a procedure or function works, of which errors have the name.
#[derive(Clone, Copy, Debug)]
pub enum OnCitus {
    /// It works wherever its objects are: it touches none of the tables, or by single statements.
    Everywhere,
    /// It changes the history of the jobs, if that is a table of PostgreSQL.
    PlainHistory(&'static str),
    /// It reads tables of PostgreSQL, or those that `operations_distribute()` has distributed.
    Sharded(&'static str),
    /// It works on tables of PostgreSQL, or on those that `operations_distribute()` has distributed, and not on a worker node.
    ShardedOfCoordinator(&'static str),
    /// Its statements are right on `operations` distributed by `client_id`, too, but not on a worker node.
    DistributedOperations(&'static str),
}

/// A table of Citus.
struct Found {
    /// The table, or a partition of it.
    table: RelationOid,
    /// The table that is distributed or not, with all its partitions.
    root: RelationOid,
    kind: Kind,
}

/// Fails where Citus keeps a procedure or function from doing what it says. Without Citus this is one look into a cache.
///
/// By the catalogs as they are now: for a table that is locked it holds until the transaction ends.
///
/// # Errors
///
/// [`Error::WorkerNode`], [`Error::CitusTable`], [`Error::OtherDistribution`]
pub fn require(schema: &Schema, place: OnCitus) -> Result<(), Error> {
    let what = match place {
        OnCitus::Everywhere => return Ok(()),
        OnCitus::PlainHistory(what)
        | OnCitus::Sharded(what)
        | OnCitus::ShardedOfCoordinator(what)
        | OnCitus::DistributedOperations(what) => what,
    };
    let Some(catalogs) = Catalogs::find() else { return Ok(()) };
    let of_operations = || tables_of_operations(schema).into_iter().find_map(|root| first_found(catalogs, root));
    let anew = |Found { table, kind, .. }: Found| {
        let (table, kind) = (name(table), description(&kind));
        let way_back = match of_operations() {
            Some(_) => WayBack::OperationsFirst,
            None => WayBack::CreateAnew { schema: schema.quoted_name() },
        };
        Err(Error::CitusTable { what, table, kind, way_back })
    };
    if matches!(place, OnCitus::PlainHistory(_)) {
        let history = schema.relation_named("operations_job_run_details");
        return history.and_then(|table| found(catalogs, table, table)).map_or(Ok(()), anew);
    }
    if !matches!(place, OnCitus::Sharded(_)) {
        require_coordinator(what)?;
    }
    if let Some(kept) = kept_tables(schema).find_map(|table| found(catalogs, table, table)) {
        return anew(kept);
    }
    let Some(Found { table, root, kind }) = of_operations() else { return Ok(()) };
    let (table, root, schema_name) = (name(table), name(root), schema.quoted_name());
    let way_back = match place {
        OnCitus::DistributedOperations(_) if is_by_client(&kind) => return Ok(()),
        OnCitus::Sharded(_) | OnCitus::ShardedOfCoordinator(_) if is_by_client(&kind) => {
            if is_sharded(schema) {
                return require_coordinator(what);
            }
            WayBack::Complete { table: root, schema: schema_name }
        }
        _ => WayBack::Rename { table: root, schema: schema_name },
    };
    match (kind, place) {
        (Kind::DistributedBy(column), OnCitus::DistributedOperations(_)) => {
            Err(Error::OtherDistribution { what, table, column, way_back })
        }
        (kind, _) => Err(Error::CitusTable { what, table, kind: description(&kind), way_back }),
    }
}

/// Whether Citus has made the table its own. Without Citus this is one look into a cache.
pub fn has(table: RelationOid) -> bool {
    Catalogs::find().is_some_and(|catalogs| catalogs.kind_of(table).is_some())
}

/// What has Citus send DDL to all nodes: settings of the caller's could keep it from them.
const TO_ALL_NODES: [(&CStr, &CStr); 2] =
    [(c"citus.enable_ddl_propagation", c"on"), (c"citus.enable_metadata_sync", c"on")];

/// Settings for DDL that Citus sends on, where it has `operations`.
pub fn settings_of_ddl(schema: &Schema) -> Option<Settings> {
    schema.operations().ok().filter(|operations| has(*operations))?;
    // A new month gets the triggers of the table, also in its shards.
    let triggers = is_sharded(schema).then_some((c"citus.enable_unsafe_triggers", c"on"));
    Some(Settings::set(&TO_ALL_NODES.into_iter().chain(triggers).collect::<Vec<_>>()))
}

/// Fails on a worker node. Without Citus this is one look into a cache.
///
/// # Errors
///
/// [`Error::WorkerNode`]
pub fn require_coordinator(what: &'static str) -> Result<(), Error> {
    Catalogs::find().and_then(Catalogs::worker_group).map_or(Ok(()), |group| Err(Error::WorkerNode { what, group }))
}

fn is_by_client(kind: &Kind) -> bool {
    matches!(kind, Kind::DistributedBy(column) if column == DISTRIBUTION_COLUMN)
}

/// Whether `operations_distribute()` has distributed the table. Without Citus this is one look into a cache.
pub fn is_sharded(schema: &Schema) -> bool {
    let Some(catalogs) = Catalogs::find() else { return false };
    let is = |name, kind: &str| {
        schema.relation_named(name).and_then(|table| catalogs.kind_of(table)) == Some(Kind::DistributedBy(kind.into()))
    };
    is("operations", DISTRIBUTION_COLUMN) && ORDERS.into_iter().all(|table| is(table, "key"))
}

/// The query of what differs between the sums and the rows of a table that was distributed. All of it is asked as one role, who is to
/// be trusted by those whose tables it reads.
pub fn differences(schema: &Schema) -> Result<String, Error> {
    if let Some(owner) = schema.rollup_live()?.owner() {
        sharded::require_trusted(schema, schema.operations()?, owner)?;
    }
    sharded::set_search_path_of_nodes()?;
    Ok(schema.sql(include_str!("sql/differences.sql")))
}

/// Where the changes of a shard are counted.
#[derive(Clone, Copy, Debug)]
pub struct CountedShard {
    /// The shard of `operations_shard_delta` with the same clients.
    pub delta: RelationOid,
    /// The first day of the partition, as PostgreSQL has it.
    pub from_day: i32,
}

/// The shard, if the partition is one and its changes are counted beside it. Without Citus this is one look into a cache.
///
/// # Errors
///
/// [`Error::ShardNotCounted`] where they would be counted in a table of this server that belongs to other rows: on a shard of a table
/// that was distributed otherwise, and where the deltas are Citus's.
pub fn counted_shard(
    schema: pg_sys::Oid,
    delta: RelationOid,
    partition: pg_sys::Oid,
) -> Result<Option<CountedShard>, Error> {
    let Some(catalogs) = Catalogs::find() else { return Ok(None) };
    let schema = Schema::at(schema);
    let operations = schema.operations().ok();
    if let Some(relation) = RelationOid::from_oid(partition)
        && let Some(group) = shard::ShardGroup::of(&schema, relation)?
        && Some(group.table) == operations
    {
        let ranges = Partitions::of(group.operations).map_or_else(Vec::new, |partitions| partitions.ranges);
        let range = ranges.into_iter().find(|range| range.oid == partition);
        let from_day = range.map_or(Bound::Min, |range| range.from).to_postgres();
        return Ok(Some(CountedShard { delta: group.delta, from_day }));
    }
    let shard = |facts: String| Error::ShardNotCounted { table: catalog::qualified_name(partition), facts };
    if let Some(group) = catalogs.worker_group() {
        return Err(shard(format!("this server is a worker node, of group {group}")));
    }
    let root = catalog::partition_root(partition).and_then(RelationOid::from_oid);
    let mut tables = [Some(delta), operations, root].into_iter().flatten();
    match tables.find_map(|table| found(catalogs, table, table)) {
        Some(Found { table, kind, .. }) => Err(shard(format!("{} is {}", name(table), description(&kind)))),
        None => Ok(None),
    }
}

/// What the sums are kept in.
fn kept_tables(schema: &Schema) -> impl Iterator<Item = RelationOid> {
    let tables = [schema.delta(), schema.rollup_partition(), schema.rollup(), schema.rollup_total()];
    tables.into_iter().filter_map(Result::ok)
}

/// `operations`, and the table that the sums are of if that is another one.
fn tables_of_operations(schema: &Schema) -> Vec<RelationOid> {
    let (operations, summed) = (schema.operations().ok(), rollup::table(schema));
    operations.into_iter().chain(summed.filter(|table| Some(*table) != operations)).collect()
}

fn first_found(catalogs: Catalogs, root: RelationOid) -> Option<Found> {
    catalog::with_partitions(root).into_iter().find_map(|table| found(catalogs, table, root))
}

fn found(catalogs: Catalogs, table: RelationOid, root: RelationOid) -> Option<Found> {
    catalogs.kind_of(table).map(|kind| Found { table, root, kind })
}

fn name(table: RelationOid) -> String {
    catalog::qualified_name(table.oid())
}

fn description(kind: &Kind) -> String {
    match kind {
        Kind::DistributedBy(column) => format!("distributed by {column}"),
        Kind::OneShard => "a distributed table of one shard".into(),
        Kind::Reference => "a reference table".into(),
        Kind::Managed => "a local table that Citus manages".into(),
    }
}
