//! `change_status()` and the sums of a table that `operations_distribute()` has distributed.
//!
//! One update of `operations_shard` reaches every shard, in a transaction that all nodes commit or none, and its trigger works there:
//! see `shard`. Callers take turns: their updates of those rows would else wait for each other in any order.

use std::time::{SystemTime, UNIX_EPOCH};

use pgrx::datum::DatumWithOid;
use pgrx::{Spi, pg_sys};

use super::{OnCitus, has, require};
use crate::error::Error;
use crate::pg::catalog::{self, LockMode, RelationOid};
use crate::pg::lock::Writable;
use crate::pg::session::{self, ActingAs, Settings};
use crate::pg::statement;
use crate::query;
use crate::rights;
use crate::rollup;
use crate::schema::Schema;

pub const CLIENT_TYPE_SUM_LIVE: &str = include_str!("sql/client_type_sum_live.sql");
const KEYS: &str = include_str!("sql/keys.sql");
const FIND_KEYS: &str = include_str!("sql/find_keys.sql");
const ADD_KEYS: &str =
    "insert into @extschema@.operations_shard (key) select unnest($1::text::int[]) on conflict (key) do nothing";
const FORGET_KEYS: &str = "delete from @extschema@.operations_shard_key";
const FLIP: &str = include_str!("sql/flip.sql");
const TRACK: &str = include_str!("sql/track.sql");
const MONTHS: &str = include_str!("sql/months.sql");
const UNTRACKED: &str = include_str!("sql/untracked.sql");
const USE_MONTHS: &str =
    "update @extschema@.operations_shard_month set summed_by = null where from_day = any ($1::text::date[])";
const FORGET_MONTHS: &str = "delete from @extschema@.operations_shard_month where from_day = any ($1::text::date[])";
const ADD_MONTH: &str = "insert into @extschema@.operations_shard_month (from_day, partition, version, summed_by) \
                         values ($1::text::date, $2, $3, pg_current_xact_id())";

/// The first and the largest range of numbers in which keys are looked for.
const NUMBERS_TO_TRY: std::ops::RangeInclusive<i32> = 1 << 10..=1 << 22;

/// Changes the status of so many operations, and takes the sums into the materialized view.
pub fn change_status(schema: &Schema, place: OnCitus, parity: i64, batch: i32) -> Result<(), Error> {
    let caller = catalog::role_name(session::current_user());
    work(schema, place, |coordinator| {
        let months = coordinator.months()?;
        coordinator.flip(&caller, parity, batch.into(), &months.followed)?;
        coordinator.follow(&months)
    })
}

/// Sums all partitions up anew.
pub fn repair(schema: &Schema, place: OnCitus) -> Result<(), Error> {
    work(schema, place, |coordinator| {
        let months = coordinator.months()?;
        let all = months.followed.into_iter().chain(months.forgotten).collect();
        coordinator.follow(&Months { followed: Vec::new(), usable: Vec::new(), forgotten: all })
    })
}

/// Sees to it that each shard has its row in `operations_shard`.
pub fn find_keys(schema: &Schema) -> Result<Vec<i32>, Error> {
    let keys = || {
        Spi::connect_mut(|client| {
            let row = client.update(schema.sql(KEYS).as_str(), Some(1), &[])?.first();
            let is_complete = row.get::<bool>(1)?.unwrap_or(false);
            Ok::<_, Error>((is_complete, row.get::<Vec<i32>>(2)?.unwrap_or_default()))
        })
    };
    let (mut is_complete, mut found) = keys()?;
    if is_complete {
        return Ok(found);
    }
    query::run(&schema.sql(FORGET_KEYS), &[])?;
    let mut numbers = *NUMBERS_TO_TRY.start();
    while !is_complete && NUMBERS_TO_TRY.contains(&numbers) {
        query::run(&schema.sql(FIND_KEYS), &[DatumWithOid::from(numbers)])?;
        (is_complete, found) = keys()?;
        numbers = numbers.saturating_mul(4);
    }
    query::run(&schema.sql(ADD_KEYS), &[DatumWithOid::from(array(&found).as_str())])?;
    Ok(found)
}

/// Works as the role that owns the sums, while nobody else changes them, and then takes what has changed into the view.
fn work(
    schema: &Schema,
    place: OnCitus,
    work: impl FnOnce(&Coordinator<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    // The nodes show what is committed by now, and what is known of their sums has to be as new.
    if session::has_fixed_snapshot() {
        return Err(Error::FixedSnapshot);
    }
    let view = Writable::take(schema.client_type_sum_mv()?);
    let operations = schema.operations()?;
    // Nobody takes a month off meanwhile.
    operations.lock(LockMode::RowExclusive);
    require(schema, place)?;
    let Some(_nodes) = work_on_nodes(schema, operations)? else { return Ok(()) };
    require_as_made(schema)?;
    work(&Coordinator { schema, keys: find_keys(schema)? })?;
    rollup::merge_sums_of_shards(schema, view)
}

/// The rights of the role that owns the sums, here and on the nodes, and settings of ours, until the value is dropped.
#[derive(Debug)]
#[must_use]
pub struct OnNodes {
    // In the order in which they are given back.
    _dates: Settings,
    _search_path: Settings,
    _owner: ActingAs,
}

/// Takes on the rights of the role that owns the sums, for work on the shards.
///
/// # Errors
///
/// As [`require_may_work`].
pub fn work_on_nodes(schema: &Schema, operations: RelationOid) -> Result<Option<OnNodes>, Error> {
    let Some(owner) = require_may_work(schema, operations)? else { return Ok(None) };
    let nodes = OnNodes {
        _owner: ActingAs::role(owner),
        _search_path: Settings::safe_search_path(),
        _dates: Settings::set(&[(c"datestyle", c"ISO, YMD")]),
    };
    set_search_path_of_nodes()?;
    Ok(Some(nodes))
}

/// The role that owns the sums, if the session may work on the shards as that.
///
/// # Errors
///
/// [`Error::ForeignPartition`], [`Error::NotAlone`]
pub fn require_may_work(schema: &Schema, operations: RelationOid) -> Result<Option<pg_sys::Oid>, Error> {
    let Some(owner) = schema.rollup_live()?.owner() else { return Ok(None) };
    require_trusted(schema, operations, owner)?;
    require_may_act_as(owner)?;
    Ok(Some(owner))
}

/// Asks that both views are as set-up makes them.
///
/// # Errors
///
/// [`Error::OtherViews`]
pub fn require_as_made(schema: &Schema) -> Result<(), Error> {
    if rollup::are_as_made(schema, schema.client_type_sum_mv()?, CLIENT_TYPE_SUM_LIVE)? {
        Ok(())
    } else {
        Err(Error::OtherViews { schema: schema.quoted_name() })
    }
}

/// Whether this session may work on the nodes as the role. Citus sends to each session that it opens there, whosever it is, the text of all
/// messages with a SET LOCAL in the transaction, with the statements that came in one message with it: code of the caller's would run with
/// the role's rights. So it takes a caller who has these, or a transaction that nothing of the caller's was in before.
pub fn may_act_as(role: pg_sys::Oid) -> bool {
    catalog::has_rights_of(session::current_user(), role) || statement::is_alone()
}

/// # Errors
///
/// [`Error::NotAlone`] if the session may not work on the nodes as the role.
pub fn require_may_act_as(role: pg_sys::Oid) -> Result<(), Error> {
    if may_act_as(role) { Ok(()) } else { Err(Error::NotAlone { role: catalog::role_name(role) }) }
}

/// The same where somebody acts as the owner of a table: only one of Citus is on other nodes, too. Without Citus this is one look into a cache.
///
/// # Errors
///
/// [`Error::NotAlone`]
pub fn require_may_act_as_owner_of(table: RelationOid, owner: pg_sys::Oid) -> Result<(), Error> {
    if has(table) { require_may_act_as(owner) } else { Ok(()) }
}

/// Has the nodes find names as we do. Citus sends on what a transaction has set by SET LOCAL, also a search_path of the caller's, and also
/// where a session is another role's: types and operators of the caller's would be taken there, and run with that role's rights.
///
/// It is taken back with the [`Settings`] in force here, and on the nodes with the transaction.
pub fn set_search_path_of_nodes() -> Result<(), Error> {
    session::set_by_statement(c"set local citus.propagate_set_commands = 'local'")?;
    session::set_by_statement(c"set local search_path = pg_catalog, pg_temp")
}

/// Asks that who owns the operations and the views has the rights of the role that works on the shards. All that a transaction of
/// Citus does with a shard it does as one role.
pub fn require_trusted(schema: &Schema, operations: RelationOid, role: pg_sys::Oid) -> Result<(), Error> {
    rights::require_owners_with_rights_of(operations, role)?;
    let views = [schema.client_type_sum_live()?, schema.client_type_sum_mv()?];
    views.into_iter().try_for_each(|view| rights::require_owner_with_rights_of(view, role))
}

/// Partitions by their first days.
struct Months {
    /// Whose changes are followed.
    followed: Vec<String>,
    /// Whose sums all nodes have by now.
    usable: Vec<String>,
    /// Which are gone, or are not what they were.
    forgotten: Vec<String>,
}

struct Coordinator<'a> {
    schema: &'a Schema,
    keys: Vec<i32>,
}

impl Coordinator<'_> {
    fn months(&self) -> Result<Months, Error> {
        Spi::connect_mut(|client| {
            let row = client.update(self.schema.sql(MONTHS).as_str(), Some(1), &[])?.first();
            let days = |column| Ok::<_, Error>(row.get::<Vec<String>>(column)?.unwrap_or_default());
            Ok(Months { followed: days(1)?, usable: days(2)?, forgotten: days(3)? })
        })
    }

    /// Exactly as many as there are, at most the batch: what one shard has not got the others are asked for.
    fn flip(&self, role: &str, parity: i64, batch: i64, followed: &[String]) -> Result<(), Error> {
        let followed = array(followed);
        let mut keys = self.keys.clone();
        // So that a small batch is another shard's each time.
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let first = seconds.checked_rem(keys.len() as u64).and_then(|first| usize::try_from(first).ok());
        keys.rotate_left(first.unwrap_or(0));
        let mut missing = batch;
        while missing > 0 && !keys.is_empty() {
            let count = i64::try_from(keys.len()).unwrap_or(i64::MAX);
            let (each, rest) = (missing / count, missing % count);
            let (more, _) = keys.split_at(usize::try_from(rest).unwrap_or(0));
            let asked = if each == 0 { more } else { keys.as_slice() };
            let arguments = [
                DatumWithOid::from(asked.to_vec()),
                DatumWithOid::from(each),
                DatumWithOid::from(more.to_vec()),
                DatumWithOid::from(role),
                DatumWithOid::from(i32::try_from(parity).unwrap_or(0)),
                DatumWithOid::from(followed.as_str()),
            ];
            let answers = self.ask(FLIP, &arguments)?;
            if answers.len() != asked.len() {
                return Err(Error::ShardsMissing { shards: asked.len(), answers: answers.len() });
            }
            missing -= answers.iter().map(|(_, flipped, _)| flipped).sum::<i64>();
            let exhausted = |key: &i32| answers.iter().any(|(of, flipped, batch)| of == key && flipped < batch);
            keys.retain(|key| !exhausted(key));
        }
        Ok(())
    }

    fn ask(&self, statement: &str, arguments: &[DatumWithOid<'_>]) -> Result<Vec<(i32, i64, i64)>, Error> {
        Spi::connect_mut(|client| {
            let rows = client.update(self.schema.sql(statement).as_str(), None, arguments)?;
            rows.map(|row| Ok((row.get(1)?.unwrap_or(0), row.get(2)?.unwrap_or(0), row.get(3)?.unwrap_or(0)))).collect()
        })
    }

    /// Sums up what is not followed yet. A sum is used only once another transaction knows that all nodes have committed it.
    fn follow(&self, months: &Months) -> Result<(), Error> {
        self.run(FORGET_MONTHS, &months.forgotten)?;
        let new = self.untracked()?;
        if new.is_empty() && months.forgotten.is_empty() && months.usable.is_empty() {
            return Ok(());
        }
        let days = |day: fn(&Untracked) -> &String| array(new.iter().map(day).collect::<Vec<_>>().as_slice());
        let forgotten: Vec<_> = months.forgotten.iter().chain(new.iter().map(|month| &month.from_day)).collect();
        let arguments =
            [array(&self.keys), days(|month| &month.from_day), days(|month| &month.to_day), array(&forgotten)];
        let answers = self.ask(TRACK, &arguments.each_ref().map(|text| DatumWithOid::from(text.as_str())))?;
        if answers.len() != self.keys.len() {
            return Err(Error::ShardsMissing { shards: self.keys.len(), answers: answers.len() });
        }
        // A shard that was split before it was locked would have no sums.
        if find_keys(self.schema)? != self.keys {
            return Err(Error::ConcurrentUpdate);
        }
        // By now each shard has answered: none waits for the second phase of an earlier commit.
        self.run(USE_MONTHS, &months.usable)?;
        for month in &new {
            let arguments = [
                DatumWithOid::from(month.from_day.as_str()),
                DatumWithOid::from(month.partition),
                DatumWithOid::from(month.version.as_str()),
            ];
            query::run(&self.schema.sql(ADD_MONTH), &arguments)?;
        }
        Ok(())
    }

    fn untracked(&self) -> Result<Vec<Untracked>, Error> {
        let found: Vec<_> = Spi::connect_mut(|client| {
            let rows = client.update(self.schema.sql(UNTRACKED).as_str(), None, &[])?;
            let found = rows.map(|row| {
                Ok::<_, Error>(Untracked {
                    partition: row.get(1)?.unwrap_or(pg_sys::InvalidOid),
                    from_day: row.get(2)?.unwrap_or_default(),
                    to_day: row.get(3)?.unwrap_or_default(),
                    version: row.get(4)?.unwrap_or_default(),
                    transactions: row.get(5)?.unwrap_or_default(),
                })
            });
            found.collect::<Result<_, _>>()
        })?;
        let can_be_tracked = |month: &Untracked| rollup::can_be_tracked(month.partition, &month.transactions);
        Ok(found.into_iter().filter(can_be_tracked).collect())
    }

    fn run(&self, statement: &str, days: &[String]) -> Result<(), Error> {
        if !days.is_empty() {
            query::run(&self.schema.sql(statement), &[DatumWithOid::from(array(days))])?;
        }
        Ok(())
    }
}

/// A partition that is not followed.
struct Untracked {
    partition: pg_sys::Oid,
    from_day: String,
    to_day: String,
    version: String,
    transactions: Vec<i64>,
}

/// As PostgreSQL writes an array of dates or numbers.
pub fn array<T: std::fmt::Display>(elements: &[T]) -> String {
    let elements: Vec<_> = elements.iter().map(T::to_string).collect();
    format!("{{{}}}", elements.join(","))
}
