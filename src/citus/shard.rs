//! What a node does with the shards on it: it changes operations and keeps the sums, shard by shard.

use operations_model::calendar::Day;
use operations_model::test_data::TestData;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{Spi, pg_extern, pg_sys};

use crate::error::Error;
use crate::load::shard::{Part, Shards};
use crate::pg::call::Call;
use crate::pg::catalog::{self, RelationOid};
use crate::pg::citus::Catalogs;
use crate::pg::session::{self, ActingAs, Settings};
use crate::pg::trigger_row::TriggerRow;
use crate::query;
use crate::schema::Schema;

const SHARD_GROUP: &str = include_str!("sql/shard_group.sql");
const FLIP: &str = include_str!("sql/flip_shard.sql");
const FOLD: &str = include_str!("sql/fold_shard.sql");
const FORGET: &str = include_str!("sql/forget_shard.sql");
const TRACK: &str = include_str!("sql/track_shard.sql");

/// The shards of this server that have the same clients.
#[derive(Clone, Copy, Debug)]
pub struct ShardGroup {
    /// The table that the shard is of, or that this one is a partition of.
    pub table: RelationOid,
    pub operations: RelationOid,
    pub delta: RelationOid,
    pub rollup: RelationOid,
}

impl ShardGroup {
    /// The group of a shard of this server; `None` if the relation is no shard, or not one of a group in which sums are kept.
    pub fn of(schema: &Schema, shard: RelationOid) -> Result<Option<Self>, Error> {
        let name = catalog::relation_name(shard.oid());
        let number = name.rsplit_once('_').and_then(|(_, number)| number.parse::<i64>().ok());
        let Some(number) = number.filter(|_| Catalogs::find().is_some()) else { return Ok(None) };
        // The name alone says nothing: anybody may have given it to a table.
        Ok(Self::numbered(schema, number)?.filter(|(numbered, _)| *numbered == shard).map(|(_, group)| group))
    }

    /// The shard of that number in `pg_dist_shard`, and its group; `None` if it is not on this server, or not one of such a group.
    fn numbered(schema: &Schema, number: i64) -> Result<Option<(RelationOid, Self)>, Error> {
        let _settings = Settings::safe_search_path();
        Spi::connect(|client| {
            let rows = client.select(schema.sql(SHARD_GROUP).as_str(), Some(1), &[DatumWithOid::from(number)])?;
            if rows.is_empty() {
                return Ok(None);
            }
            let row = rows.first();
            let relation = |column| Ok::<_, Error>(row.get::<pg_sys::Oid>(column)?.and_then(RelationOid::from_oid));
            let parts = [relation(1)?, relation(2)?, relation(3)?, relation(4)?, relation(5)?];
            let [Some(shard), Some(table), Some(operations), Some(delta), Some(rollup)] = parts else {
                return Ok(None);
            };
            Ok(Some((shard, Self { table, operations, delta, rollup })))
        })
    }

    /// The file with the names of the shards. A name may have a placeholder in it: what was put in is not looked at again.
    fn sql(self, file: &str) -> String {
        let tables = [("operations", self.operations), ("delta", self.delta), ("rollup", self.rollup)];
        let name = |part: &str| {
            tables.iter().find(|(name, _)| *name == part).map(|(_, table)| catalog::qualified_name(table.oid()))
        };
        file.split('@').map(|part| name(part).unwrap_or_else(|| part.to_owned())).collect()
    }
}

#[pg_extern(sql = r#"
create function @extschema@.operations_shard_work()
returns trigger
language c as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';

revoke all on function @extschema@.operations_shard_work() from public;

comment on function @extschema@.operations_shard_work() is
    'On Citus: changes operations of the shard whose row of operations_shard is updated, or sums them up, as the row says; writes the rows of a load where a row of operations_shard_load is. Called by the triggers of the two.';
"#)]
fn operations_shard_work(call: Call<'_>) -> Result<TriggerRow, ErrorReport> {
    Ok(work(call)?)
}

fn work(call: Call<'_>) -> Result<TriggerRow, Error> {
    let schema = Schema::of(call, super::OnCitus::Everywhere)?;
    let row = TriggerRow::of(call).ok_or(Error::NotATrigger)?;
    let shard = row.table().ok_or(Error::NotATrigger)?;
    let group = ShardGroup::of(&schema, shard)?.ok_or(Error::NotATrigger)?;
    let is_of = |table| schema.relation_named(table) == Some(group.table);
    let is_load = is_of("operations_shard_load");
    if !(is_load || is_of("operations_shard")) {
        return Err(Error::NotATrigger);
    }
    // Whoever may write the table is not by that somebody who may act as any role.
    if !group.rollup.owner().is_some_and(|owner| catalog::has_rights_of(session::current_user(), owner)) {
        return Err(Error::NotSuperuser { procedure: "operations_shard_work" });
    }
    if is_load {
        return load(&schema, row);
    }
    let days = |column| row.text(column).unwrap_or_else(|| "{}".into());
    let _settings =
        Settings::set(&[(c"jit", c"off"), (c"max_parallel_workers_per_gather", c"0"), (c"datestyle", c"ISO, YMD")]);
    match row.text(c"command").as_deref() {
        Some("flip") => {
            let number = |column| row.text(column).and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
            let flipped = flip(group, &row.text(c"role").unwrap_or_default(), number(c"parity"), number(c"batch"))?;
            run(group, FOLD, &[days(c"tracked")])?;
            Ok(row.with(c"flipped", flipped))
        }
        Some("track") => {
            run(group, FORGET, &[days(c"forgotten")])?;
            let [from, until] = [days(c"tracked"), days(c"until")].map(|list| elements(&list));
            for (from, until) in from.into_iter().zip(until) {
                run(group, TRACK, &[from, until])?;
            }
            Ok(row)
        }
        _ => Ok(row),
    }
}

/// Writes the rows that a load has for shards of this node, or says which session would.
fn load(schema: &Schema, row: TriggerRow) -> Result<TriggerRow, Error> {
    let number = |column| row.number(column).unwrap_or(0);
    let Some(numbers) = row.text(c"shards") else {
        let node = Catalogs::find().and_then(Catalogs::worker_group).unwrap_or(0);
        return Ok(row.with(c"session", i64::from(node) << 32 | i64::from(session::pid())));
    };
    let day = |column| i32::try_from(number(column)).ok().and_then(Day::from_postgres);
    let (Some(first), Some(last)) = (day(c"first_day"), day(c"last_day")) else { return Err(Error::NotATrigger) };
    let part = Part {
        data: TestData::new(number(c"seed").cast_unsigned(), first, last, number(c"rows").unsigned_abs()),
        first_id: number(c"load"),
        rows: number(c"from_row").unsigned_abs()..number(c"to_row").unsigned_abs(),
    };
    let mut shards = Vec::new();
    for number in elements(&numbers).iter().filter_map(|number| number.parse::<i64>().ok()) {
        // One that is not here is left out: the coordinator counts the rows.
        shards.extend(ShardGroup::numbered(schema, number)?.map(|(_, group)| (number, group.operations)));
    }
    let shards = Shards::new(schema, &shards)?;
    let _caller = as_caller("operations_test_data", &row.text(c"role").unwrap_or_default())?;
    let written = shards.write(&part)?;
    Ok(row.with(c"loaded", i64::try_from(written).unwrap_or(i64::MAX)))
}

/// Takes on the rights of who called the procedure on the coordinator. The session is that of the role that the coordinator sent: of
/// what the table's owner put on the shard nothing may run later, with its rights.
fn as_caller(procedure: &'static str, role: &str) -> Result<ActingAs, Error> {
    let caller = std::ffi::CString::new(role).ok().and_then(|role| catalog::role(&role));
    let caller = caller.ok_or_else(|| Error::MissingRole { job: procedure, name: role.into() })?;
    Ok(ActingAs::restricted(caller))
}

/// Changes operations with the rights of who called `change_status()`.
fn flip(group: ShardGroup, role: &str, parity: i64, batch: i64) -> Result<i64, Error> {
    let _settings = Settings::set(&crate::workload::PLANNER);
    let _caller = as_caller("change_status", role)?;
    let arguments = [DatumWithOid::from(parity), DatumWithOid::from(batch)];
    Spi::connect_mut(|client| {
        Ok(client.update(group.sql(FLIP).as_str(), None, &arguments)?.first().get(1)?.unwrap_or(0))
    })
}

fn run(group: ShardGroup, file: &str, arguments: &[String]) -> Result<(), Error> {
    let _settings = Settings::safe_search_path();
    let arguments: Vec<_> = arguments.iter().map(|text| DatumWithOid::from(text.as_str())).collect();
    query::run(&group.sql(file), &arguments)?;
    Ok(())
}

/// The elements of an array of dates, as text.
fn elements(array: &str) -> Vec<String> {
    let array = array.trim_matches(['{', '}']);
    array.split(',').filter(|element| !element.is_empty()).map(|element| element.trim_matches('"').to_owned()).collect()
}
