//! Bringing the rollups and the materialized view up to date.

use std::ffi::CStr;

use pgrx::datum::DatumWithOid;
use pgrx::spi::quote_identifier;
use pgrx::{Spi, pg_sys};

use crate::citus::{self, OnCitus};
use crate::error::Error;
use crate::pg::catalog::{self, RelationOid};
use crate::pg::lock::Writable;
use crate::pg::session::{self, ActingAs, Settings};
use crate::pg::view_rule;
use crate::query;
use crate::rights;
use crate::rollup::copy_total::copy_total;
use crate::rollup::counting::{self, CountingTriggers};
use crate::rollup::fold::{self, Tables};
use crate::rollup::matview::{Mergeable, Shape};
use crate::schema::Schema;

const UNTRACK: &str = include_str!("sql/untrack.sql");
const UNTRACKED: &str = include_str!("sql/untracked.sql");
const TRACK: &str = include_str!("sql/track.sql");
const REMOVE_EMPTY: &str = include_str!("sql/remove_empty.sql");
const FORGET: &str = include_str!("sql/forget.sql");
const MERGE: &str = include_str!("sql/merge.sql");
const MERGE_SUMS_OF_SHARDS: &str = include_str!("../citus/sql/merge.sql");
const CLIENT_TYPE_SUM_LIVE: &str = include_str!("../setup/sql/client_type_sum_live.sql");
const CLIENT_TYPE_SUM_MV: &str = include_str!("../setup/sql/client_type_sum_mv.sql");
const REFRESH: &str = include_str!("sql/refresh.sql");
const POPULATE: &str = include_str!("sql/populate.sql");

/// What costs more to set up than it saves here.
const PLANNER: [(&CStr, &CStr); 3] =
    [(c"search_path", c"pg_catalog, pg_temp"), (c"jit", c"off"), (c"max_parallel_workers_per_gather", c"0")];

/// The table whose changes are counted: the one that `client_type_sum_live` reads, also under another name or in another
/// schema; before there is one, `operations`.
pub fn table(schema: &Schema) -> Option<RelationOid> {
    let read = schema.client_type_sum_live().ok().and_then(view_rule::partitioned_table_of);
    read.or_else(|| schema.operations().ok()).filter(|table| table.is_partitioned())
}

/// Whether the rollups, which hold all rows, may stand for those that the owner of `client_type_sum_live` sees.
pub fn may_be_kept(schema: &Schema, table: RelationOid) -> bool {
    let owner = schema.client_type_sum_live().ok().and_then(RelationOid::owner).or_else(|| table.owner());
    owner.is_some_and(|owner| table.may_be_read_by(owner) && !table.has_policies_for(owner))
}

/// Folds what was changed into the rollups, and takes into the materialized view what differs from its query.
pub fn bring_up_to_date(schema: &Schema, place: OnCitus) -> Result<(), Error> {
    let view = lock(schema, place)?;
    let _settings = Settings::set(&PLANNER);
    let is_whole = as_owner_of_the_rollups(schema, || fold(schema, view))?;
    refresh(schema, view, is_whole)
}

/// Sums all partitions up anew.
pub fn repair(schema: &Schema, place: OnCitus) -> Result<(), Error> {
    let view = lock(schema, place)?;
    let _settings = Settings::set(&PLANNER);
    let is_whole = as_owner_of_the_rollups(schema, || {
        query::run(&schema.sql(FORGET), &[])?;
        fold(schema, view)
    })?;
    refresh(schema, view, is_whole)
}

/// REFRESH takes this lock itself, but only after it has its snapshot: a session that waited for another's refresh would
/// then overwrite it with what was true before. Taken here, the snapshots of all that is read come after the wait.
///
/// A transaction whose snapshot is older than that is told to try again where it would go wrong.
fn lock(schema: &Schema, place: OnCitus) -> Result<Writable, Error> {
    let view = Writable::take(schema.client_type_sum_mv()?);
    // While this waited, a table may have become one of Citus.
    citus::require(schema, place)?;
    fold::require_current(view, Tables::of(schema)?)?;
    Ok(view)
}

/// Runs with the rights of the role that owns the rollups, and nobody else's objects are used meanwhile: the rows of
/// partitions are read by `operations_direct_sums()`, which takes on the rights of their owners.
pub fn as_owner_of_the_rollups<T>(schema: &Schema, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let _owner = schema.rollup_live()?.owner().map(ActingAs::role);
    work()
}

/// Folds the deltas and untracks what has changed. Returns whether every partition is tracked, so that the total is complete.
fn fold(schema: &Schema, view: Writable) -> Result<bool, Error> {
    let (tracked, empty) = Spi::connect_mut(|client| {
        let row = client.update(schema.sql(UNTRACK).as_str(), None, &[])?.first();
        let tracked = row.get::<Vec<pg_sys::Oid>>(1)?.unwrap_or_default();
        Ok::<_, Error>((tracked, row.get::<bool>(2)?.unwrap_or(true)))
    })?;
    fold::fold(view, Tables::of(schema)?, &tracked)?;
    if empty {
        query::run(&schema.sql(REMOVE_EMPTY), &[])?;
    }
    let untracked = untracked(schema)?;
    track(schema, &untracked)?;
    Ok(untracked.is_empty())
}

/// A partition whose changes are not followed.
struct Untracked {
    partition: pg_sys::Oid,
    counted: bool,
    transactions: Vec<i64>,
}

/// Whether a partition that is counted can be followed from now on. What this transaction itself made it could change again without
/// another version: the file, by an in-place TRUNCATE; the state of the triggers, back and forth.
///
/// `transactions`: who made or last altered its triggers and columns.
pub fn can_be_tracked(partition: pg_sys::Oid, transactions: &[i64]) -> bool {
    !catalog::has_new_file(partition)
        // Which locked it, so that it stays one while its rows are read.
        && catalog::is_partition(partition)
        && !transactions.iter().any(|number| session::is_current_transaction(*number))
}

fn untracked(schema: &Schema) -> Result<Vec<Untracked>, Error> {
    Spi::connect_mut(|client| {
        let rows = client.update(schema.sql(UNTRACKED).as_str(), None, &[])?;
        rows.map(|row| {
            Ok(Untracked {
                partition: row.get(1)?.unwrap_or(pg_sys::InvalidOid),
                counted: row.get(2)?.unwrap_or(false),
                transactions: row.get(3)?.unwrap_or_default(),
            })
        })
        .collect()
    })
}

fn track(schema: &Schema, untracked: &[Untracked]) -> Result<(), Error> {
    let partitions: Vec<_> = untracked
        .iter()
        .filter(|one| one.counted && can_be_tracked(one.partition, &one.transactions))
        .map(|one| one.partition)
        .collect();
    if partitions.is_empty() {
        return Ok(());
    }
    let arguments = [DatumWithOid::from(partitions)];
    query::run(&schema.sql(TRACK), &arguments)?;
    Ok(())
}

/// Takes into the view what its query gives now, with the rights of its owner and as restricted as REFRESH is: whoever was
/// granted the procedure may have it done.
fn refresh(schema: &Schema, locked: Writable, is_whole: bool) -> Result<(), Error> {
    let view = locked.relation();
    let Some(owner) = view.owner() else { return Ok(()) };
    let_read(schema, owner)?;
    let _owner = as_owner_of_the_view(schema, owner)?;
    let Some(mergeable) = mergeable(schema, locked)? else {
        // A view that holds nothing has no readers to spare, and CONCURRENTLY refuses it.
        let refresh = if view.is_populated() { REFRESH } else { POPULATE };
        query::run(&schema.sql(refresh), &[])?;
        return Ok(());
    };
    if is_whole && views_are_total(schema, view, owner)? {
        return copy_total(Tables::of(schema)?, locked);
    }
    let merge = schema.sql(MERGE).replace("@query@", &catalog::view_definition(view)?);
    mergeable.merge(&merge)?;
    Ok(())
}

fn mergeable(schema: &Schema, view: Writable) -> Result<Option<Mergeable>, Error> {
    const KEY: [u32; 2] = [pg_sys::F_INT4EQ, pg_sys::F_ENUM_EQ];
    let types = [pg_sys::INT4OID, CountingTriggers::of(schema)?.operation_type, pg_sys::NUMERICOID];
    Ok(Mergeable::of(view, Shape { types, key: KEY }))
}

/// Takes the sums of shards into the view, with the rights of the moment, since both views are as set-up makes them.
pub fn merge_sums_of_shards(schema: &Schema, view: Writable) -> Result<(), Error> {
    match mergeable(schema, view)? {
        Some(mergeable) => mergeable.merge(&schema.sql(MERGE_SUMS_OF_SHARDS)).map(|_| ()),
        None => Ok(query::run(&schema.sql(POPULATE), &[])?),
    }
}

/// Takes on the rights of the owner of `client_type_sum_mv`, restricted as REFRESH is, to read what it is made of.
///
/// # Errors
///
/// [`Error::ForeignPartition`] if somebody with fewer rights has a part in that.
pub fn as_owner_of_the_view(schema: &Schema, owner: pg_sys::Oid) -> Result<ActingAs, Error> {
    // What partitions' owners put on them is evaluated by the query.
    if let Some(table) = table(schema) {
        rights::require_trusted(table, owner)?;
    }
    // And so is what the owner of the view that it reads puts there, at any time, whoever calls.
    if let Ok(live) = schema.client_type_sum_live() {
        rights::require_owner_with_rights_of(live, owner)?;
    }
    Ok(ActingAs::restricted(owner))
}

/// Whether both views are as set-up makes them, and their owners may read what they read, so that where all partitions are in the
/// total, the total is what the query of the materialized view gives.
fn views_are_total(schema: &Schema, view: RelationOid, owner: pg_sys::Oid) -> Result<bool, Error> {
    let live = schema.client_type_sum_live()?;
    let table = schema.operations()?;
    let rollup = schema.rollup_live()?;
    Ok(table.is_partitioned()
        && live.may_be_read_by(owner)
        && live.owner().is_some_and(|owner| rollup.may_be_read_by(owner) && table.may_be_read_by(owner))
        // The statements name these columns, and cannot be understood without.
        && counting::numbers_of_columns(table.oid()).is_some()
        && catalog::column(table.oid(), c"operation_date").is_some()
        && are_as_made(schema, view, CLIENT_TYPE_SUM_LIVE)?)
}

/// Whether `client_type_sum_mv` and `client_type_sum_live` are as set-up makes them, the latter by this file.
pub fn are_as_made(schema: &Schema, view: RelationOid, live: &str) -> Result<bool, Error> {
    Ok(view_rule::is_made_by(view, &schema.sql(CLIENT_TYPE_SUM_MV))
        && view_rule::is_made_by(schema.client_type_sum_live()?, &schema.sql(live)))
}

/// Lets the owner of a view over the rollups read them, if it may read the rows themselves.
pub fn let_read(schema: &Schema, owner: pg_sys::Oid) -> Result<(), Error> {
    const GRANT: &str = "grant select on @extschema@.operations_rollup_live to ";
    const GRANT_ON_CITUS: &str = "grant select on @extschema@.operations_rollup_live, @extschema@.operations_shard_state, \
                                  @extschema@.operations_shard_rollup, @extschema@.operations_shard_delta to ";
    // Only for the table that the live view reads, not for one that has taken its name.
    let may_read = table(schema).map_or_else(|| schema.operations(), Ok)?.may_be_read_by(owner);
    if !may_read || schema.rollup_live()?.may_be_read_by(owner) {
        return Ok(());
    }
    let grant = if citus::is_sharded(schema) { GRANT_ON_CITUS } else { GRANT };
    let grant = schema.sql(grant) + &quote_identifier(catalog::role_name(owner));
    as_owner_of_the_rollups(schema, || {
        query::run(&grant, &[])?;
        Ok(())
    })
}
