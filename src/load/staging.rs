//! Tables that are filled beside `operations` and become its partitions when they are done.

use std::time::{Duration, Instant};

use operations_model::calendar::Month;
use pgrx::datum::DatumWithOid;
use pgrx::spi::quote_identifier;
use pgrx::{Spi, notice, pg_sys};

use super::standard;
use crate::error::Error;
use crate::load::storage::exchange::Exchange;
use crate::orphans;
use crate::partitions::{self, with_month};
use crate::pg::catalog::RelationOid;
use crate::pg::lock::Exclusive;
use crate::pg::relation_files;
use crate::pg::session::{self, Settings};
use crate::query;
use crate::rights;
use crate::schema::Schema;

const CREATE: &str = include_str!("sql/staging_table.sql");
const ATTACH: &str = include_str!("sql/attach.sql");
const MOVE: &str = include_str!("sql/move.sql");
const DROP: &str = include_str!("sql/drop.sql");
const INDEXES: &str = include_str!("sql/indexes.sql");
const INDEX_NAMES: &str = include_str!("sql/index_names.sql");
const RENAME_INDEX: &str = include_str!("sql/rename_index.sql");
const INDEX_PAIRS: &str = include_str!("sql/index_pairs.sql");

/// How long to wait until nobody reads the empty partitions that are to get their rows. Nobody waits behind us meanwhile.
const EMPTY_WITHIN: Duration = Duration::from_secs(10);

/// How long to wait between two looks.
const POLL: Duration = Duration::from_millis(10);

/// The indexes of two tables on the same columns.
type IndexPair = (RelationOid, RelationOid);

/// A table with the rows of a month.
pub struct StagingTable {
    month: Month,
    rows: u64,
    name: String,
    table: RelationOid,
}

impl StagingTable {
    /// Makes an empty one; where the partition exists, in its tablespace and not in the one that the session prefers.
    pub fn create(schema: &Schema, month: Month, rows: u64, exists: bool) -> Result<Self, Error> {
        let _settings =
            Settings::set(&[(c"search_path", c"pg_catalog, pg_temp"), (c"default_table_access_method", c"heap")]);
        let _tablespace = exists.then(|| Settings::set(&[(c"default_tablespace", c"")]));
        let name = schema.free_name(&format!("operations_load_{}_{}", session::pid(), month.partition_name()));
        query::run(&with_month(&Self::named(schema, CREATE, &name), month), &[])?;
        let table = schema
            .relation_named(&name)
            .ok_or_else(|| Error::StageIsGone { schema: schema.name().into(), name: name.clone() })?;
        Ok(Self { month, rows, name, table })
    }

    /// The table.
    pub fn table(&self) -> RelationOid {
        self.table
    }

    fn named(schema: &Schema, sql: &str, name: &str) -> String {
        schema.sql(sql).replace("@staging_table@", &quote_identifier(name))
    }

    fn run(&self, schema: &Schema, sql: &str) -> Result<(), Error> {
        query::run(&with_month(&Self::named(schema, sql, &self.name), self.month), &[])?;
        Ok(())
    }

    /// Makes it the partition of its month.
    fn attach(self, schema: &Schema) -> Result<(), Error> {
        let partition = partitions::free_name(schema, self.month);
        self.run(schema, &ATTACH.replace("@partition@", &quote_identifier(&partition)))?;
        // Named after the partition, as those that ATTACH makes.
        for (index, rest) in index_names(self.table, &self.name)? {
            let name = schema.free_name(&format!("{partition}{rest}"));
            let sql = schema.sql(RENAME_INDEX).replace("@index@", &quote_identifier(&index));
            query::run(&sql.replace("@name@", &quote_identifier(&name)), &[])?;
        }
        Ok(())
    }

    /// Puts its rows into the table the usual way.
    fn move_rows(self, schema: &Schema) -> Result<(), Error> {
        notice!("{}: others use its partition: its rows go there one by one", self.month);
        self.run(schema, MOVE)?;
        self.run(schema, DROP)
    }

    /// Gives the partition, which is locked and has no page, its rows and their indexes, each for that beside it.
    fn replace(self, schema: &Schema, partition: Exclusive, exchanges: &[Exchange]) -> Result<(), Error> {
        exchanges.iter().copied().for_each(Exchange::run);
        relation_files::take_statistics(partition, Exclusive::take(self.table), self.rows);
        self.run(schema, DROP)
    }
}

/// Makes partitions of the tables, or gives their rows to the partitions that there are by now.
///
/// The lock that making partitions takes must be held. It comes before any lock on a partition, so that two loads never wait
/// for each other.
pub fn publish(schema: &Schema, operations: RelationOid, stages: Vec<StagingTable>) -> Result<(), Error> {
    let _settings = Settings::safe_search_path();
    let _owner = rights::act_as_owner(operations)?;
    let (mut existing, mut partitions) = (Vec::new(), Vec::new());
    for stage in stages {
        match partition_of(schema, operations, &stage)? {
            None => stage.attach(schema)?,
            Some(partition) => {
                existing.push(stage);
                partitions.push(partition);
            }
        }
    }
    let locked = lock_all(&partitions, EMPTY_WITHIN).unwrap_or_default();
    for (index, stage) in existing.into_iter().enumerate() {
        let exchanged = match locked.get(index) {
            Some(partition) => replaceable(schema, &stage, *partition)?.map(|exchanges| (*partition, exchanges)),
            None => None,
        };
        match exchanged {
            Some((partition, exchanges)) => stage.replace(schema, partition, &exchanges)?,
            None => stage.move_rows(schema)?,
        }
    }
    Ok(())
}

fn partition_of(schema: &Schema, operations: RelationOid, stage: &StagingTable) -> Result<Option<RelationOid>, Error> {
    let partitions = partitions::partitions_of(schema, operations)?;
    Ok(standard::partition_of(&partitions, stage.month).unwrap_or(None).and_then(RelationOid::from_oid))
}

/// What is to be exchanged, if nobody has ever written to the partition, nor is about to read it, and it is like those that the
/// extension makes, with all of its files beside those of the staging table.
fn replaceable(schema: &Schema, stage: &StagingTable, locked: Exclusive) -> Result<Option<Vec<Exchange>>, Error> {
    let partition = locked.relation();
    let is_ready = relation_files::pages(partition) == 0
        && !relation_files::is_in_use_here(partition)
        && standard::relation_deviation(schema, &[partition.oid()])?.is_none();
    if !is_ready {
        return Ok(None);
    }
    let table = Exchange::of(locked, Exclusive::take(stage.table));
    let indexes = index_pairs(stage.table, partition)?;
    let indexes =
        indexes.into_iter().map(|(ours, theirs)| Exchange::of(Exclusive::take(theirs), Exclusive::take(ours)));
    Ok(std::iter::once(table).chain(indexes).collect())
}

/// Creates the partitions that months lack, for rows that are to come.
pub fn create_missing(schema: &Schema, operations: RelationOid, months: &[Month]) -> Result<(), Error> {
    let created = partitions::create_missing(schema, operations, months.iter().copied())?;
    orphans::note(&orphans::files_of(created)?)
}

/// Locks all of the partitions exclusively, or, if that cannot be had in time, none. It never waits in the queue for a lock,
/// where others would have to wait behind it.
pub fn lock_all(partitions: &[RelationOid], within: Duration) -> Option<Vec<Exclusive>> {
    let began = Instant::now();
    loop {
        let locked = Exclusive::try_take_all(partitions);
        if locked.is_some() || began.elapsed() >= within {
            return locked;
        }
        session::pause(Some(POLL));
    }
}

/// The indexes of a table.
pub fn indexes(table: RelationOid) -> Result<Vec<RelationOid>, Error> {
    relations(INDEXES, &[DatumWithOid::from(table.oid())], 1).map(|rows| rows.into_iter().flatten().collect())
}

/// The names of a table's indexes, each with what follows the name that the table had.
fn index_names(table: RelationOid, former: &str) -> Result<Vec<(String, String)>, Error> {
    let _settings = Settings::safe_search_path();
    let arguments = [DatumWithOid::from(table.oid()), DatumWithOid::from(former)];
    Ok(Spi::connect(|client| {
        client
            .select(INDEX_NAMES, None, &arguments)?
            .map(|row| Ok(row.get::<String>(1)?.zip(row.get::<String>(2)?)))
            .filter_map(Result::transpose)
            .collect::<Result<Vec<_>, pgrx::spi::Error>>()
    })?)
}

fn index_pairs(one: RelationOid, other: RelationOid) -> Result<Vec<IndexPair>, Error> {
    let rows = relations(INDEX_PAIRS, &[DatumWithOid::from(one.oid()), DatumWithOid::from(other.oid())], 2)?;
    Ok(rows.into_iter().filter_map(|row| Some((*row.first()?, *row.get(1)?))).collect())
}

/// What a query answers whose columns are relations.
fn relations(query: &str, arguments: &[DatumWithOid<'_>], columns: usize) -> Result<Vec<Vec<RelationOid>>, Error> {
    let _settings = Settings::safe_search_path();
    Ok(Spi::connect(|client| {
        client
            .select(query, None, arguments)?
            .map(|row| {
                (1..=columns)
                    .map(|column| Ok(row.get::<pg_sys::Oid>(column)?.and_then(RelationOid::from_oid)))
                    .collect::<Result<Option<Vec<_>>, pgrx::spi::Error>>()
            })
            .filter_map(Result::transpose)
            .collect::<Result<Vec<_>, pgrx::spi::Error>>()
    })?)
}
