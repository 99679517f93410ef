//! Loading a table that `operations_distribute()` has distributed: each node makes the rows and writes those of its own shards.
//!
//! The coordinator reserves the ids and sends what the set is, by updates of `operations_shard_load`, whose trigger does the work: see
//! `shard`. First each shard tells which session of its node works on it in this transaction. Then one row of each such session is
//! updated for each part of the set, so that a session makes the rows of a part once, for all of its shards.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::ops::Range;
use std::time::Instant;

use operations_model::calendar::Month;
use operations_model::test_data::TestData;
use pgrx::Spi;
use pgrx::datum::DatumWithOid;

use super::progress::{Phase, Progress, report};
use crate::citus::sharded::{self, find_keys};
use crate::error::Error;
use crate::partitions;
use crate::pg::catalog::{self, RelationOid};
use crate::pg::hidden_rows::HiddenRows;
use crate::pg::sequence;
use crate::pg::session::{self, Settings};
use crate::pg::statement;
use crate::query;
use crate::schema::Schema;

const ADD: &str =
    "insert into @extschema@.operations_shard_load (key, load) select unnest($1::text::int[]), $2::text::bigint";
const JOIN: &str = include_str!("sql/join.sql");
const SHARDS: &str = "select key, shard from @extschema@.operations_shard_key";
const WRITE: &str = include_str!("sql/write.sql");
const REMOVE: &str = "delete from @extschema@.operations_shard_load where load = $1";

/// So many rows of the set for each session that works are a part. Between two parts the progress is told, and all sessions wait for
/// the last one.
const ROWS_PER_PART: u64 = 100_000;

/// The group of nodes that the coordinator is.
const COORDINATOR: i64 = 0;

/// Loads the whole set, dated in these months, in so many sessions on each node as asked for, or in one, if it may be.
pub fn load(
    schema: &Schema,
    operations: RelationOid,
    data: &TestData,
    months: &[Month],
    asked_for: Option<usize>,
    progress: &Progress,
) -> Result<(), Error> {
    // The shards of now are asked for.
    if session::has_fixed_snapshot() {
        return Err(Error::FixedSnapshot);
    }
    if let Some(table) = catalog::with_partitions(operations).into_iter().find(|table| HiddenRows::of(*table).exist()) {
        return Err(Error::RowsOnCoordinator { table: catalog::qualified_name(table.oid()) });
    }
    let caller = catalog::role_name(session::current_user());
    sharded::require_may_work(schema, operations)?;
    let first_id = reserve_ids(operations, data.rows())?;
    let wanted = asked_for.unwrap_or(1);
    let number = CString::new(wanted.to_string()).unwrap_or_default();
    let _number = Settings::set(&[(c"citus.max_adaptive_executor_pool_size", &number)]);
    // Else it takes a session a shard to make a month. After a parallel query of the same transaction Citus refuses to.
    let one = wanted == 1 && statement::is_only_call();
    let _one = one.then(|| Settings::set(&[(c"citus.multi_shard_modify_mode", c"sequential")]));
    // Before the rows: a session that makes the shards of a month also fills them.
    partitions::create_missing(schema, operations, months.iter().copied())?;
    let Some(_nodes) = sharded::work_on_nodes(schema, operations)? else { return Ok(()) };
    let answers = sessions_of_shards(schema, data, first_id, &caller)?;
    if let Some(sessions) = asked_for {
        require_sessions(&answers, sessions)?;
    }
    let load = Load { schema, data, first_id, progress, sessions: by_session(schema, &answers)? };
    months.iter().try_for_each(|month| load.month(*month))?;
    query::run(&schema.sql(REMOVE), &[DatumWithOid::from(first_id)])?;
    Ok(())
}

/// # Errors
///
/// [`Error::OtherIdentity`]
fn reserve_ids(operations: RelationOid, rows: u64) -> Result<i64, Error> {
    let id =
        catalog::column(operations.oid(), c"id").and_then(|id| sequence::of_identity_column(operations, id.number));
    let id = match id {
        Some(sequence) if sequence.counts_up_by_one()? => Some(sequence),
        _ => None,
    };
    let first = id.and_then(|sequence| sequence::reserve(sequence, rows));
    first.ok_or_else(|| Error::OtherIdentity { table: catalog::qualified_name(operations.oid()) })
}

/// The sessions of the nodes by a key of each: the shards that it works on, numbers of `operations_shard`.
type Sessions = BTreeMap<i32, Vec<i64>>;

/// Tells each shard of the load, by its key, and asks which session works on it.
fn sessions_of_shards(schema: &Schema, data: &TestData, first_id: i64, caller: &str) -> Result<Vec<(i32, i64)>, Error> {
    let keys = find_keys(schema)?;
    let list = DatumWithOid::from(sharded::array(&keys).as_str().to_owned());
    query::run(&schema.sql(ADD), &[list, DatumWithOid::from(first_id.to_string())])?;
    let (first, last) = data.interval();
    let arguments = [
        DatumWithOid::from(keys.clone()),
        DatumWithOid::from(first_id),
        DatumWithOid::from(caller),
        DatumWithOid::from(data.seed()),
        DatumWithOid::from(first.to_string()),
        DatumWithOid::from(last.to_string()),
        DatumWithOid::from(i64::try_from(data.rows()).unwrap_or(i64::MAX)),
    ];
    let answers = pairs::<i64>(schema, JOIN, &arguments)?;
    if answers.len() != keys.len() {
        return Err(Error::ShardsMissing { shards: keys.len(), answers: answers.len() });
    }
    // A shard that was split before it was locked would get no rows.
    if find_keys(schema)? != keys {
        return Err(Error::ConcurrentUpdate);
    }
    Ok(answers)
}

/// Asks that each node works in as many sessions as it was asked to, or has shards. On shards of the coordinator this session works alone.
///
/// # Errors
///
/// [`Error::OtherSessions`]: what was in the transaction before, or made its months, has other sessions on the shards.
fn require_sessions(answers: &[(i32, i64)], asked_for: usize) -> Result<(), Error> {
    let mut nodes: BTreeMap<i64, (usize, BTreeSet<i64>)> = BTreeMap::new();
    for (_, session) in answers {
        let (shards, sessions) = nodes.entry(session >> 32).or_default();
        *shards += 1;
        sessions.insert(*session);
    }
    let other = nodes
        .into_iter()
        .find(|(group, (shards, sessions))| *group != COORDINATOR && sessions.len() != asked_for.min(*shards));
    match other {
        Some((group, (_, sessions))) => Err(Error::OtherSessions { asked_for, group, sessions: sessions.len() }),
        None => Ok(()),
    }
}

/// The same by session.
fn by_session(schema: &Schema, answers: &[(i32, i64)]) -> Result<Sessions, Error> {
    let shards: BTreeMap<i32, i64> = pairs::<i64>(schema, SHARDS, &[])?.into_iter().collect();
    let mut leaders = BTreeMap::new();
    let mut sessions = Sessions::new();
    for (key, session) in answers {
        let leader = *leaders.entry(*session).or_insert(*key);
        sessions.entry(leader).or_default().extend(shards.get(key));
    }
    Ok(sessions)
}

/// What a query answers: rows of a key and a number. A row without the number is left out.
fn pairs<N: pgrx::FromDatum + pgrx::IntoDatum>(
    schema: &Schema,
    statement: &str,
    arguments: &[DatumWithOid<'_>],
) -> Result<Vec<(i32, N)>, Error> {
    Spi::connect_mut(|client| {
        let rows = client.update(schema.sql(statement).as_str(), None, arguments)?;
        rows.map(|row| Ok(row.get::<i32>(1)?.zip(row.get::<N>(2)?))).filter_map(Result::transpose).collect()
    })
}

struct Load<'a> {
    schema: &'a Schema,
    data: &'a TestData,
    first_id: i64,
    progress: &'a Progress,
    sessions: Sessions,
}

impl Load<'_> {
    fn month(&self, month: Month) -> Result<(), Error> {
        let Range { start, end } = self.data.rows_of(month);
        let began = Instant::now();
        // This one waits for those of the nodes.
        self.progress.enter(Phase::Inserting, Some(month), self.sessions.len() + 1);
        let size = ROWS_PER_PART.saturating_mul(self.sessions.len() as u64).max(1);
        let mut from = start;
        while from < end {
            let to = end.min(from.saturating_add(size));
            self.write(from, to)?;
            self.progress.counter().add(to - from);
            self.progress.counter().report();
            from = to;
        }
        if start < end {
            report(month, end - start, "in the shards", began.elapsed());
        }
        Ok(())
    }

    fn write(&self, from: u64, to: u64) -> Result<(), Error> {
        let shards: Vec<_> =
            self.sessions.iter().map(|(key, shards)| format!(r#""{key}":"{}""#, sharded::array(shards))).collect();
        let arguments = [
            DatumWithOid::from(self.sessions.keys().copied().collect::<Vec<_>>()),
            DatumWithOid::from(self.first_id),
            DatumWithOid::from(format!("{{{}}}", shards.join(","))),
            DatumWithOid::from(i64::try_from(from).unwrap_or(i64::MAX)),
            DatumWithOid::from(i64::try_from(to).unwrap_or(i64::MAX)),
        ];
        let answers = pairs::<i64>(self.schema, WRITE, &arguments)?;
        let written = answers.iter().map(|(_, rows)| rows).sum::<i64>().unsigned_abs();
        if answers.len() != self.sessions.len() || written != to - from {
            return Err(Error::RowsMissing { rows: to - from, written });
        }
        Ok(())
    }
}
