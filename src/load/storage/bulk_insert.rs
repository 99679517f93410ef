//! Operations put into a table as PostgreSQL keeps them in memory: without COPY's parsing, its triggers and its checks.
//!
//! The rows of the model satisfy the constraints of the table that operations_setup() makes; whoever uses this makes sure
//! that the table is that one (`load::standard`). Only the leader may insert so: a parallel worker appends pages (`new_pages`).

use std::ffi::c_int;
use std::ptr;

use operations_model::operation::Operation;
use pgrx::{PgMemoryContexts, pg_sys};

use crate::load::storage::stored_row::{COLUMNS, Target, Values};
use crate::pg::index_entries::IndexEntries;
use crate::pg::wal;

/// Rows that are written at a time.
const BATCH: usize = 256;

/// A table that rows are being put into.
pub struct BulkInsert {
    relation: pg_sys::Relation,
    slots: Vec<*mut pg_sys::TupleTableSlot>,
    filled: usize,
    values: Values,
    state: *mut pg_sys::BulkInsertStateData,
    indexes: Option<IndexEntries>,
    target: Target,
    /// What PostgreSQL allocates for a batch, and leaves to whoever calls it.
    memory: PgMemoryContexts,
}

/// About how many pages so many operations take.
pub fn pages_of(rows: u64) -> u64 {
    const ROWS_PER_PAGE: u64 = 19;
    rows.div_ceil(ROWS_PER_PAGE)
}

/// Whether a table of so many pages fits into half of the shared buffers, so that its indexes are better built from
/// there than from pages that were written out and are read again.
pub fn fits_in_memory(pages: u64) -> bool {
    // SAFETY: a plain read of a variable that is set before the process starts.
    u64::try_from(unsafe { pg_sys::NBuffers }).is_ok_and(|buffers| pages <= buffers / 2)
}

/// The command that what this transaction writes next belongs to. To be taken before other processes join in, which must
/// not begin one.
pub fn current_command() -> pg_sys::CommandId {
    // SAFETY: gives the transaction a number, if it has none, and marks the command as one that writes.
    unsafe {
        pg_sys::GetCurrentTransactionId();
        pg_sys::GetCurrentCommandId(true)
    }
}

impl BulkInsert {
    /// Opens and locks the table.
    ///
    /// `indexes`: make entries in the indexes, row by row. `ring`: use few of the shared buffers again and again, as COPY
    /// does, and leave the others to others.
    pub fn open(target: Target, indexes: bool, ring: bool) -> Self {
        // SAFETY: the relation, which has the columns of `operations`, and all that is made for it are used until `close`, or
        // released by the abort of the transaction.
        unsafe {
            let relation = target.open();
            let slots = (0..BATCH).map(|_| pg_sys::table_slot_create(relation, ptr::null_mut())).collect();
            let indexes = indexes.then(|| IndexEntries::open(relation));
            let state = pg_sys::GetBulkInsertState();
            if !ring {
                // What BulkInsertStateData of hio.h begins with. NULL stands for the whole of shared_buffers.
                let strategy = state.cast::<pg_sys::BufferAccessStrategy>();
                pg_sys::FreeAccessStrategy(*strategy);
                strategy.write(ptr::null_mut());
            }
            let memory = PgMemoryContexts::new("operations_ext batch");
            Self { relation, slots, filled: 0, values: Values::default(), state, indexes, target, memory }
        }
    }

    /// Puts a row in, at the latest when the table is closed.
    pub fn insert(&mut self, id: i64, operation: &Operation) {
        if self.filled == BATCH {
            self.flush();
        }
        let values = self.values.of(id, operation, self.target.labels);
        let slot = self.slots[self.filled];
        // SAFETY: the slot is of the relation, which has as many columns, of these types; it is empty, as `flush` left it.
        // What the values point to lives until `flush`.
        unsafe {
            ptr::copy_nonoverlapping(values.as_ptr(), (*slot).tts_values, COLUMNS);
            ptr::write_bytes((*slot).tts_isnull, 0, COLUMNS);
            pg_sys::ExecStoreVirtualTuple(slot);
        }
        self.filled += 1;
    }

    /// Writes what was put in and is not written yet.
    pub fn flush(&mut self) {
        const NO_OPTIONS: c_int = 0;
        let slots = &mut self.slots[..self.filled];
        let (relation, command, state) = (self.relation, self.target.command, self.state);
        // SAFETY: the slots hold rows of the relation. The command is that of this transaction. Nothing of what is allocated
        // meanwhile is used after.
        unsafe {
            self.memory.switch_to(|_| {
                let count = slots.len() as c_int;
                pg_sys::table_multi_insert(relation, slots.as_mut_ptr(), count, command, NO_OPTIONS, state);
            });
            self.memory.reset();
            wal::hand_over();
        }
        for slot in slots {
            // SAFETY: the slot holds a row that is in the table now, and says where.
            unsafe {
                if let Some(indexes) = &self.indexes {
                    indexes.insert(*slot);
                }
                pg_sys::ExecClearTuple(*slot);
            }
        }
        self.filled = 0;
        self.values.clear();
    }

    /// Writes the rest and closes the table. The lock is kept.
    pub fn close(mut self) {
        self.flush();
        // SAFETY: releases what `open` made, once.
        unsafe {
            for slot in &self.slots {
                pg_sys::ExecDropSingleTupleTableSlot(*slot);
            }
            if let Some(indexes) = self.indexes {
                indexes.close();
            }
            pg_sys::FreeBulkInsertState(self.state);
            pg_sys::table_finish_bulk_insert(self.relation, 0);
            pg_sys::table_close(self.relation, pg_sys::NoLock as c_int);
        }
    }
}
