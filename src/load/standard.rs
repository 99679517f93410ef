//! Whether `operations` is the table that operations_setup() makes, so that rows may go past what COPY does for others.

use operations_model::calendar::Month;
use pgrx::datum::DatumWithOid;
use pgrx::{Spi, pg_sys};

use crate::error::Error;
use crate::partitions;
use crate::pg::catalog::{self, RelationOid};
use crate::pg::partition_bounds::{Bound, Partitions};
use crate::pg::session::Settings;
use crate::schema::Schema;

const NOT_STANDARD: &str = include_str!("sql/not_standard.sql");

/// What about the table, or about the partitions of the months, is not as it should be; `None` if all is.
pub fn deviation(schema: &Schema, operations: RelationOid, months: &[Month]) -> Result<Option<String>, Error> {
    let present = partitions::partitions_of(schema, operations)?;
    let mut relations = vec![operations.oid()];
    for month in months {
        match partition_of(&present, *month) {
            Ok(partition) => relations.extend(partition),
            Err(other) => {
                let name = catalog::relation_name(other);
                return Ok(Some(format!("{name} does not hold exactly {month}")));
            }
        }
    }
    relation_deviation(schema, &relations)
}

/// What about the relations, `operations` and partitions, is not as it should be.
pub fn relation_deviation(schema: &Schema, relations: &[pg_sys::Oid]) -> Result<Option<String>, Error> {
    let _settings = Settings::safe_search_path();
    let arguments = [DatumWithOid::from(relations.to_vec())];
    Ok(Spi::connect(|client| {
        let found = client.select(schema.sql(NOT_STANDARD).as_str(), Some(1), &arguments)?;
        if found.is_empty() { Ok(None) } else { found.first().get_one::<String>() }
    })?)
}

/// The partition that holds that month and no other; an error is one that holds more or less.
pub fn partition_of(partitions: &Partitions, month: Month) -> Result<Option<pg_sys::Oid>, pg_sys::Oid> {
    let (from, to) = (month.first_day().to_postgres(), month.plus(1).first_day().to_postgres());
    match partitions.overlapping(from, to) {
        None => Ok(None),
        Some(partition) if (partition.from, partition.to) == (Bound::Day(from), Bound::Day(to)) => {
            Ok(Some(partition.oid))
        }
        Some(partition) => Err(partition.oid),
    }
}
