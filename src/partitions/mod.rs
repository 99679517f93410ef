//! The monthly partitions of `operations`.

pub mod maintain;

use operations_model::calendar::{Day, Month};
use pgrx::notice;
use pgrx::spi::{quote_identifier, quote_literal};

use crate::citus;
use crate::error::Error;
use crate::pg::catalog::{self, RelationOid};
use crate::pg::partition_bounds::{self, Bound, Partitions};
use crate::pg::session::{self, Settings};
use crate::query;
use crate::rights;
use crate::schema::Schema;

const ATTACH: &str = include_str!("sql/attach.sql");

/// The current month in the session's time zone.
pub fn today() -> Result<Month, Error> {
    let today = session::current_date();
    let argument = "the current date";
    Day::from_postgres(today)
        .map(Day::month)
        .ok_or_else(|| Error::DateOutOfRange { argument, value: format!("{today} days after 2000-01-01") })
}

/// The partitions of `operations`.
pub fn partitions_of(schema: &Schema, operations: RelationOid) -> Result<Partitions, Error> {
    Partitions::of(operations).ok_or_else(|| Error::NotPartitionedByDate { schema: schema.name().into() })
}

/// Whether a row dated that day would find a partition.
pub fn has_place_for(schema: &Schema, operations: RelationOid, day: i32) -> Result<bool, Error> {
    Partitions::has_place_for(operations, day)
        .ok_or_else(|| Error::NotPartitionedByDate { schema: schema.name().into() })
}

/// Creates a partition for each of the months that no partition holds, and returns them.
///
/// It is done with the rights of the table's owner: whoever was granted one of our procedures may have the months it
/// needs. What is executed is fixed, so that the caller gains nothing else.
pub fn create_missing(
    schema: &Schema,
    operations: RelationOid,
    months: impl Iterator<Item = Month>,
) -> Result<Vec<RelationOid>, Error> {
    let months = missing(&partitions_of(schema, operations)?, months)?;
    if months.is_empty() {
        return Ok(Vec::new());
    }
    // Another session may be creating the same months: wait for it, then look again.
    partition_bounds::lock(operations);
    let months = missing(&partitions_of(schema, operations)?, months.into_iter())?;
    let created: Vec<_> = {
        let _settings = Settings::safe_search_path();
        let _ddl = citus::settings_of_ddl(schema);
        let _owner = rights::act_as_owner(operations)?;
        let created: Result<Vec<_>, Error> = months.into_iter().map(|month| attach(schema, month)).collect();
        created?.into_iter().flatten().collect()
    };
    citus::guard(schema, operations, &created)?;
    Ok(created)
}

/// Those of the months that no partition holds.
fn missing(partitions: &Partitions, months: impl Iterator<Item = Month>) -> Result<Vec<Month>, Error> {
    let mut missing = Vec::new();
    for month in months {
        let from = month.first_day().to_postgres();
        let to = month.plus(1).first_day().to_postgres();
        match partitions.overlapping(from, to) {
            None => missing.push(month),
            Some(partition) if partition.from <= Bound::Day(from) && Bound::Day(to) <= partition.to => {}
            Some(partition) => {
                let partition = catalog::relation_name(partition.oid);
                return Err(Error::PartitionOverlap { month, partition });
            }
        }
    }
    Ok(missing)
}

/// The name of the month's partition, or, where a relation that is no partition has it (a month that was detached), that
/// name with a number: no operation is refused because of a name.
pub fn free_name(schema: &Schema, month: Month) -> String {
    let usual = month.partition_name();
    let name = schema.free_name(&usual);
    if name != usual {
        notice!("relation \"{usual}\" is not a partition of operations: {month} goes to \"{name}\"");
    }
    name
}

fn attach(schema: &Schema, month: Month) -> Result<Option<RelationOid>, Error> {
    let name = free_name(schema, month);
    // One by one: Citus sends what it is told to its workers, and there only one statement at a time can be prepared.
    for statement in ATTACH.split("\n\n") {
        let sql = schema.sql(statement).replace("@partition@", &quote_identifier(&name));
        query::run(&with_month(&sql, month), &[])?;
    }
    Ok(schema.relation_named(&name))
}

/// What a command says of a month, filled in.
pub fn with_month(sql: &str, month: Month) -> String {
    sql.replace("@from@", &quote_literal(month.first_day().to_string()))
        .replace("@to@", &quote_literal(month.plus(1).first_day().to_string()))
        .replace("@comment@", &quote_literal(format!("The operations of {month}.")))
}
