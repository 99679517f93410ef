//! Rows appended to a table that others may use meanwhile, in whole new pages, by a parallel worker.
//!
//! heapam.c lets no parallel worker insert. What a worker may do is what PostgreSQL's own do when they build an index: extend a
//! relation, fill new pages in the shared buffers and log them. The number and the command of the transaction are the leader's,
//! and fixed before. Each page is logged whole, which no logical decoder can read: where `wal_level` is `logical`, and in a
//! SERIALIZABLE transaction, whose conflicts a worker's writes would not count in, only the leader fills a table in place.

use std::ffi::c_int;
use std::ptr;

use operations_model::operation::Operation;
use pgrx::itemptr::item_pointer_set_all;
use pgrx::pg_sys;

use crate::load::storage::heap_page::{Page, TupleBuilder, Visibility, move_to};
use crate::load::storage::stored_row::{COLUMNS, Target, Values};
use crate::pg::index_entries::IndexEntries;
use crate::pg::{major, wal};

/// Pages that are formed before they are written.
const BATCH: usize = 16;

/// A table that pages are being appended to.
pub struct NewPages {
    relation: pg_sys::Relation,
    former: TupleBuilder,
    needs_wal: bool,
    target: Target,
    /// As in [`super::bulk_insert::BulkInsert::open`]; NULL stands for the whole of shared_buffers.
    strategy: pg_sys::BufferAccessStrategy,
    indexes: Option<(IndexEntries, *mut pg_sys::TupleTableSlot)>,
    values: Values,
    /// The values of the rows that are in pages, if there are indexes.
    rows: Vec<[pg_sys::Datum; COLUMNS]>,
    /// The rows of each page that is not written yet, and the page.
    pages: Vec<(u16, Page)>,
}

impl NewPages {
    /// Opens and locks the table. `indexes`, `ring`: as [`super::bulk_insert::BulkInsert::open`] has it.
    pub fn open(target: Target, indexes: bool, ring: bool) -> Self {
        // SAFETY: the relation, which has the columns of `operations`, and all that is made for it are used until `close`, or
        // released by the abort of the transaction.
        unsafe {
            let relation = target.open();
            let strategy = if ring {
                pg_sys::GetAccessStrategy(pg_sys::BufferAccessStrategyType::BAS_BULKWRITE)
            } else {
                ptr::null_mut()
            };
            let indexes = indexes.then(|| {
                (
                    IndexEntries::open(relation),
                    pg_sys::MakeSingleTupleTableSlot((*relation).rd_att, &raw const pg_sys::TTSOpsVirtual),
                )
            });
            Self {
                relation,
                former: TupleBuilder::new(relation, &target, Visibility::OfTransaction),
                needs_wal: wal::is_needed_for(relation),
                target,
                strategy,
                indexes,
                values: Values::default(),
                rows: Vec::new(),
                pages: Vec::with_capacity(BATCH),
            }
        }
    }

    /// Puts a row in, at the latest when the table is closed.
    pub fn insert(&mut self, id: i64, operation: &Operation) {
        let mut values = self.values.of(id, operation, self.target.labels);
        self.former.form(&mut values);
        if !self.add() {
            if self.pages.len() == BATCH {
                // Gives up the values of what was written, and those of this row with them.
                self.write();
                values = self.values.of(id, operation, self.target.labels);
            }
            let mut page = Page::zero();
            page.initialize(0);
            self.pages.push((0, page));
            self.add();
        }
        if self.indexes.is_some() {
            self.rows.push(values);
        } else {
            self.values.clear();
        }
    }

    /// Puts the row that was formed into the last page; `false` if there is no room, or no page.
    fn add(&mut self) -> bool {
        // Where the page will be is not known yet.
        const NOWHERE: pg_sys::BlockNumber = 0;
        let Some((rows, page)) = self.pages.last_mut() else { return false };
        let number = self.former.add(page, NOWHERE);
        *rows = number.unwrap_or(*rows);
        number.is_some()
    }

    /// Writes all pages, makes the entries in the indexes, and returns the number of the last page.
    fn write(&mut self) -> Option<pg_sys::BlockNumber> {
        let mut blocks = Vec::with_capacity(self.pages.len());
        while blocks.len() < self.pages.len() {
            let mut buffers = [0; BATCH];
            let missing = self.pages.len() - blocks.len();
            // SAFETY: the relation is open and locked; there is room for at least one buffer.
            let (first, count) = unsafe { major::extend(self.relation, self.strategy, &mut buffers[..missing]) };
            for (block, buffer) in (first..).zip(&buffers[..count]) {
                let (_, page) = &mut self.pages[blocks.len()];
                move_to(page, block);
                // SAFETY: the buffer is pinned, of that block of the relation, and nobody needs it after.
                if unsafe { put(page, *buffer, self.needs_wal) } {
                    blocks.push(block);
                }
            }
        }
        let mut first_row = 0;
        for (block, (rows, _)) in blocks.iter().zip(&self.pages) {
            self.make_entries(first_row, *block, *rows);
            first_row += usize::from(*rows);
        }
        // SAFETY: the relation is open.
        unsafe { pg_sys::pgstat_count_heap_insert(self.relation, self.row_count()) };
        wal::hand_over();
        self.pages.clear();
        self.rows.clear();
        self.values.clear();
        blocks.pop()
    }

    fn row_count(&self) -> pg_sys::PgStat_Counter {
        self.pages.iter().map(|(rows, _)| pg_sys::PgStat_Counter::from(*rows)).sum()
    }

    /// Makes the entries of the rows of a page.
    fn make_entries(&self, first_row: usize, block: pg_sys::BlockNumber, rows: u16) {
        let Some((indexes, slot)) = &self.indexes else { return };
        for (number, values) in (1..=rows).zip(&self.rows[first_row..]) {
            // SAFETY: the slot is of the relation, which has as many columns, of these types. What the values point to lives
            // until they are cleared. The row is in the table, at that place.
            unsafe {
                ptr::copy_nonoverlapping(values.as_ptr(), (**slot).tts_values, COLUMNS);
                ptr::write_bytes((**slot).tts_isnull, 0, COLUMNS);
                pg_sys::ExecStoreVirtualTuple(*slot);
                (**slot).tts_tableOid = self.target.table;
                item_pointer_set_all(&mut (**slot).tts_tid, block, number);
                indexes.insert(*slot);
                pg_sys::ExecClearTuple(*slot);
            }
        }
    }

    /// Writes the rest and closes the table. The lock is kept.
    pub fn close(mut self) {
        let free = self.pages.last_mut().map(|(_, page)| {
            // SAFETY: the page was initialised.
            unsafe { pg_sys::PageGetHeapFreeSpace(page.as_postgres()) }
        });
        let last = self.write();
        // SAFETY: releases what `open` made, once.
        unsafe {
            if let (Some(block), Some(free)) = (last, free) {
                pg_sys::RecordPageWithFreeSpace(self.relation, block, free);
            }
            if let Some((indexes, slot)) = self.indexes {
                indexes.close();
                pg_sys::ExecDropSingleTupleTableSlot(slot);
            }
            if !self.strategy.is_null() {
                pg_sys::FreeAccessStrategy(self.strategy);
            }
            pg_sys::table_close(self.relation, pg_sys::NoLock as c_int);
        }
    }
}

/// Puts a page into a buffer that the relation was extended by, logs it and gives the buffer back; `false` if somebody has found
/// that page of the file meanwhile, and uses it.
///
/// # Safety
///
/// The buffer must be pinned, and of a relation that the page is for.
unsafe fn put(page: &Page, buffer: pg_sys::Buffer, needs_wal: bool) -> bool {
    // SAFETY: by the contract. The page is written while it is locked exclusively, and found to be new under that lock, so that
    // nobody has anything in it, nor is it marked in the visibility map. From the change to the log record is a critical
    // section: nothing in it allocates or fails. The page is marked dirty before it is logged, which sets its LSN. An error
    // before releases lock and pin through the abort of the transaction.
    unsafe {
        pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_EXCLUSIVE as c_int);
        let in_buffer = pg_sys::BufferGetPage(buffer);
        let is_new = pg_sys::PageIsNew(in_buffer);
        if is_new {
            pg_sys::CritSectionCount += 1;
            ptr::copy_nonoverlapping(page.bytes().as_ptr(), in_buffer.cast(), page.bytes().len());
            pg_sys::MarkBufferDirty(buffer);
            if needs_wal {
                pg_sys::log_newpage_buffer(buffer, true);
            }
            pg_sys::CritSectionCount -= 1;
        }
        pg_sys::UnlockReleaseBuffer(buffer);
        is_new
    }
}
