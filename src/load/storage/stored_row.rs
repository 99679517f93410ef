//! An operation's values as PostgreSQL keeps them in memory, without their way through the types' input functions.

use std::ptr;

use operations_model::numeric::Numeric;
use operations_model::operation::{Operation, STATUS_NEW};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgTupleDesc, pg_sys};

use crate::error::Error;
use crate::pg::catalog;

/// The columns of operations, from the first to the last, which have the numbers 1 to 8.
pub const COLUMNS: usize = 8;

/// What all processes of a load have to know to put rows into a table.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// A partition, or a table like one.
    pub table: pg_sys::Oid,
    /// The enum's values for offline and online operations.
    pub labels: [pg_sys::Oid; 2],
    /// The command that the rows are inserted by.
    pub command: pg_sys::CommandId,
}

impl Target {
    /// Opens the table, under the lock that INSERT takes, for whoever writes all of its columns.
    ///
    /// # Errors
    ///
    /// [`Error::OtherColumns`], raised as PostgreSQL's, if its columns are not those that [`Values::of`] makes values for: whoever
    /// goes by them would write what is none, or past the end.
    pub fn open(&self) -> pg_sys::Relation {
        // SAFETY: takes any OID, and raises an error if that is no table. What is looked at of its description is a copy. An
        // error releases the relation.
        let (relation, are_ours) = unsafe {
            let relation = pg_sys::table_open(self.table, pg_sys::RowExclusiveLock as i32);
            let columns = PgTupleDesc::from_pg_copy((*relation).rd_att);
            let fits = |column: &pg_sys::FormData_pg_attribute, of_type: Option<pg_sys::Oid>| match of_type {
                Some(of_type) => column.atttypid == of_type,
                None => column.attbyval && column.attlen == ENUM_SIZE,
            };
            let are_ours =
                columns.len() == COLUMNS && columns.iter().zip(TYPES).all(|(column, of_type)| fits(column, of_type));
            (relation, are_ours)
        };
        if !are_ours {
            let table = catalog::relation_name(self.table);
            ErrorReport::from(Error::OtherColumns { table }).report(PgLogLevel::ERROR);
        }
        relation
    }
}

/// The types of the columns; `None` is the enum.
const TYPES: [Option<pg_sys::Oid>; COLUMNS] = [
    Some(pg_sys::INT8OID),
    Some(pg_sys::DATEOID),
    Some(pg_sys::UUIDOID),
    Some(pg_sys::INT4OID),
    None,
    Some(pg_sys::NUMERICOID),
    Some(pg_sys::INT2OID),
    Some(pg_sys::JSONBOID),
];

/// Bytes of an enum's value, which is passed by value.
const ENUM_SIZE: i16 = 4;

/// The numbers of the columns that indexes are on, beside the status.
pub mod column {
    /// `id`
    pub const ID: i16 = 1;
    /// `operation_date`
    pub const DATE: i16 = 2;
}

/// The values of some rows, which stay where they are until all are given up.
#[derive(Default)]
pub struct Values {
    arena: Arena,
    scratch: Vec<u8>,
}

impl Values {
    /// The values of the columns, none of them NULL. `labels` are the enum's values for offline and online operations.
    pub fn of(&mut self, id: i64, operation: &Operation, labels: [pg_sys::Oid; 2]) -> [pg_sys::Datum; COLUMNS] {
        self.scratch.clear();
        operation.message.write_jsonb(&mut self.scratch);
        let message = self.arena.keep(&self.scratch);
        self.scratch.clear();
        Numeric::from_cents(operation.amount.cents()).write_stored(&mut self.scratch);
        let amount = self.arena.keep(&self.scratch);
        let guid = self.arena.keep(&operation.guid);
        [
            id.into(),
            operation.date.to_postgres().into(),
            guid.into(),
            operation.client_id.into(),
            labels[operation.operation_type as usize].into(),
            amount.into(),
            STATUS_NEW.into(),
            message.into(),
        ]
    }

    /// Gives up all of them.
    pub fn clear(&mut self) {
        self.arena.clear();
    }
}

/// Memory that is given up all at once.
#[derive(Default)]
struct Arena {
    chunks: Vec<Vec<u64>>,
    current: usize,
}

impl Arena {
    const CHUNK_WORDS: usize = 8 * 1024;

    /// Copies the bytes to an address that PostgreSQL's types of every alignment may have.
    fn keep(&mut self, bytes: &[u8]) -> *const u8 {
        let words = bytes.len().div_ceil(size_of::<u64>());
        loop {
            let Some(chunk) = self.chunks.get_mut(self.current) else {
                self.chunks.push(Vec::with_capacity(Self::CHUNK_WORDS.max(words)));
                continue;
            };
            let used = chunk.len();
            if chunk.capacity() - used < words {
                self.current += 1;
                continue;
            }
            // Within the capacity, so that what was kept before is not moved.
            chunk.resize(used + words, 0);
            let place = chunk[used..].as_mut_ptr().cast::<u8>();
            // SAFETY: the place has room for that many bytes, and is new, so that it does not overlap.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) };
            return place;
        }
    }

    fn clear(&mut self) {
        self.chunks.iter_mut().for_each(Vec::clear);
        self.current = 0;
    }
}
