//! What a node does of a load: it makes the rows of a part of the set, and writes those of some of its shards, by COPY, which knows
//! the triggers, constraints and partitions of a shard.

use std::ops::Range;

use operations_model::copy_binary;
use operations_model::generator::CLIENTS;
use operations_model::test_data::TestData;
use pgrx::datum::DatumWithOid;
use pgrx::{Spi, check_for_interrupts};

use super::run::PROCEDURE;
use crate::error::Error;
use crate::pg::catalog::RelationOid;
use crate::pg::copy;
use crate::pg::session::Settings;
use crate::pg::wal;
use crate::schema::Schema;

const SHARD_CLIENTS: &str = include_str!("sql/shard_clients.sql");

/// A shard gets its rows when there are so many bytes of them.
const BYTES_PER_COPY: usize = 1 << 20;

/// Rows between two looks at whether the load was cancelled.
const ROWS_PER_CHECK: u64 = 1024;

/// A part of a set.
#[derive(Debug)]
pub struct Part {
    pub data: TestData,
    /// The id of the first row of the set.
    pub first_id: i64,
    pub rows: Range<u64>,
}

/// A shard, and the rows for it that are not written yet, as a stream of COPY.
struct Shard {
    operations: RelationOid,
    stream: Vec<u8>,
}

/// The shards of this node that get rows, and which of them a client's are in.
pub struct Shards {
    shards: Vec<Shard>,
    of_client: Vec<Option<usize>>,
}

impl Shards {
    /// Shards of `operations`, each by the number of that of `operations_shard` with the same clients.
    pub fn new(schema: &Schema, shards: &[(i64, RelationOid)]) -> Result<Self, Error> {
        let _settings = Settings::safe_search_path();
        let numbers: Vec<_> = shards.iter().map(|(number, _)| *number).collect();
        let arguments = [DatumWithOid::from(CLIENTS.cast_signed()), DatumWithOid::from(numbers.clone())];
        let mut of_client = vec![None; CLIENTS as usize + 1];
        Spi::connect(|client| {
            for row in client.select(schema.sql(SHARD_CLIENTS).as_str(), None, &arguments)? {
                let (client, shard) = (row.get::<i32>(1)?.unwrap_or(0), row.get::<i64>(2)?);
                let index = numbers.iter().position(|number| Some(*number) == shard);
                if let Some(slot) = usize::try_from(client).ok().and_then(|client| of_client.get_mut(client)) {
                    *slot = index;
                }
            }
            Ok::<_, Error>(())
        })?;
        let shards = shards.iter().map(|(_, operations)| Shard { operations: *operations, stream: Vec::new() });
        Ok(Self { shards: shards.collect(), of_client })
    }

    /// Writes the rows of the part that are in these shards, as the current role, and says how many.
    pub fn write(mut self, part: &Part) -> Result<u64, Error> {
        for shard in &self.shards {
            copy::require_insert_right(PROCEDURE, shard.operations, &copy_binary::COLUMNS_WITH_ID)?;
        }
        let mut written = 0;
        for (row, operation) in part.rows.clone().zip(part.data.range(part.rows.start, part.rows.end)) {
            if row.is_multiple_of(ROWS_PER_CHECK) {
                check_for_interrupts!();
            }
            let index = usize::try_from(operation.client_id).ok().and_then(|client| self.of_client.get(client));
            let Some(shard) = index.copied().flatten().and_then(|index| self.shards.get_mut(index)) else { continue };
            if shard.stream.is_empty() {
                copy_binary::header(&mut shard.stream);
            }
            copy_binary::row_with_id(part.first_id.wrapping_add_unsigned(row), &operation, &mut shard.stream);
            written += 1;
            if shard.stream.len() >= BYTES_PER_COPY {
                shard.flush();
            }
        }
        self.shards.iter_mut().for_each(Shard::flush);
        Ok(written)
    }
}

impl Shard {
    fn flush(&mut self) {
        if self.stream.is_empty() {
            return;
        }
        copy_binary::trailer(&mut self.stream);
        let stream = &mut self.stream;
        copy::copy_binary(self.operations, &copy_binary::COLUMNS_WITH_ID, &mut |buffer| buffer.append(stream));
        wal::hand_over();
    }
}
