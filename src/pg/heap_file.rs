//! The file of a new table, written page by page without the shared buffers: as PostgreSQL's rewriteheap.c writes that of
//! VACUUM FULL and CLUSTER, and bulk_write.c, since PostgreSQL 17, those of new indexes.
//!
//! It is for a table that the current transaction made and that nobody else has looked into. A page is formed here, goes to
//! the WAL whole, and then to the file, together with others; nothing waits for the disk. Whoever uses this makes sure that
//! the table is like the one that operations_setup() makes (`load::standard`).

use std::ffi::{c_int, c_void};
use std::ptr;

use operations_model::operation::Operation;
use pgrx::pg_sys;

use crate::pg::stored_row::{COLUMNS, Target, Values};
use crate::pg::{relation_files, wal};

const PAGE_SIZE: usize = pg_sys::BLCKSZ as usize;

/// Pages that are written at a time: as many as a WAL record may have.
const BATCH: usize = pg_sys::XLR_MAX_BLOCK_ID as usize;

/// Pages after which the kernel is asked to write, if it is. A gigabyte file has a multiple of it.
const WRITE_BACK_EVERY: u32 = 16 * BATCH as u32;

/// As many pages as were written before those that the kernel is asked to forget: it is given the time to write them first.
const DROP_BEHIND: u32 = 16 * WRITE_BACK_EVERY;

/// Where the values of a row without NULLs start.
const ROW_HEADER: usize = 24;

/// The largest row there is room for: more than any operation takes.
const ROW_SIZE: usize = 2048;

/// As PostgreSQL wants memory for direct input and output.
#[repr(C, align(4096))]
#[derive(Clone)]
struct PageMemory([u8; PAGE_SIZE]);

#[repr(C, align(8))]
struct RowMemory([u8; ROW_SIZE]);

/// What is asked of the kernel about the pages that it was given to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageCache {
    /// Nothing: it keeps them, and writes them when it likes to.
    Leave,
    /// To write them as they come, so that a checkpoint, which waits for that, does not find too many of them.
    WriteBack,
    /// And then not to keep them, so that they do not take the place of others.
    DropBehind,
}

/// A file that is being written.
pub struct HeapFile {
    relation: pg_sys::Relation,
    target: Target,
    transaction: pg_sys::TransactionId,
    needs_wal: bool,
    page_cache: PageCache,
    values: Values,
    row: Box<RowMemory>,
    /// So many of them are full, and the next is the one that rows go into.
    pages: Box<[PageMemory]>,
    filled: usize,
    /// Rows in the page that is not full yet.
    in_page: u16,
    /// Where the rows of the full pages are.
    places: Places,
}

/// Where the rows are that were written, in their order.
#[derive(Default)]
pub struct Places {
    rows_of_page: Vec<u16>,
}

impl Places {
    /// The block and the number in it of each row.
    pub fn iter(&self) -> impl Iterator<Item = (pg_sys::BlockNumber, pg_sys::OffsetNumber)> {
        (0..).zip(&self.rows_of_page).flat_map(|(block, rows)| (1..=*rows).map(move |row| (block, row)))
    }

    fn rows(&self) -> u64 {
        self.rows_of_page.iter().map(|rows| u64::from(*rows)).sum()
    }
}

impl HeapFile {
    /// Opens and locks the table, which must be empty.
    pub fn open(target: Target, page_cache: PageCache) -> Self {
        // SAFETY: the relation stays open until `close`, or until the abort of the transaction releases it.
        let (relation, transaction, needs_wal) = unsafe {
            let relation = pg_sys::table_open(target.table, pg_sys::RowExclusiveLock as c_int);
            (relation, pg_sys::GetCurrentTransactionId(), wal::is_needed_for(relation))
        };
        let mut file = Self {
            relation,
            target,
            transaction,
            needs_wal,
            page_cache,
            values: Values::default(),
            row: Box::new(RowMemory([0; ROW_SIZE])),
            pages: vec![PageMemory([0; PAGE_SIZE]); BATCH].into_boxed_slice(),
            filled: 0,
            in_page: 0,
            places: Places::default(),
        };
        file.begin_page();
        file
    }

    /// Puts a row in, at the latest when the file is closed.
    pub fn insert(&mut self, id: i64, operation: &Operation) {
        let mut values = self.values.of(id, operation, self.target.labels);
        let length = self.form(&mut values);
        self.values.clear();
        if !self.add(length) {
            self.end_page();
            self.add(length);
        }
    }

    /// Forms the row and returns how long it is.
    fn form(&mut self, values: &mut [pg_sys::Datum; COLUMNS]) -> usize {
        let mut no_nulls = [false; COLUMNS];
        let (values, nulls) = (values.as_mut_ptr(), no_nulls.as_mut_ptr());
        // SAFETY: there are as many values as the relation has columns, of their types. The memory for the row is aligned
        // and larger than any operation; where the values go it is zeroed, as heap_fill_tuple asks for.
        unsafe {
            let description = (*self.relation).rd_att;
            let size = pg_sys::heap_compute_data_size(description, values, nulls);
            let row = &mut self.row.0;
            row[..ROW_HEADER + size].fill(0);
            let header = row.as_mut_ptr().cast::<pg_sys::HeapTupleHeaderData>();
            let data = row[ROW_HEADER..].as_mut_ptr().cast();
            let mask = &raw mut (*header).t_infomask;
            pg_sys::heap_fill_tuple(description, values, nulls, data, size, mask, ptr::null_mut());
            // Frozen, as COPY FREEZE does it: the number of the transaction is there for whoever asks.
            (*header).t_infomask |= (pg_sys::HEAP_XMIN_FROZEN | pg_sys::HEAP_XMAX_INVALID) as u16;
            (*header).t_infomask2 = COLUMNS as u16;
            (*header).t_hoff = ROW_HEADER as u8;
            (*header).t_choice.t_heap.t_xmin = self.transaction;
            (*header).t_choice.t_heap.t_field3.t_cid = self.target.command;
            ROW_HEADER + size
        }
    }

    /// Puts the row into the page that is not full yet; `false` if it has no room.
    fn add(&mut self, length: usize) -> bool {
        let page = self.pages[self.filled].0.as_mut_ptr().cast();
        let row = self.row.0.as_mut_ptr();
        // SAFETY: page and row are formed as PostgreSQL forms them, in memory of this process.
        let number = unsafe {
            let header = row.cast::<pg_sys::HeapTupleHeaderData>();
            pg_sys::ItemPointerSet(&raw mut (*header).t_ctid, self.block(self.filled), self.in_page + 1);
            let flags = pg_sys::PAI_IS_HEAP as c_int;
            pg_sys::PageAddItemExtended(page, row.cast(), length, pg_sys::InvalidOffsetNumber, flags)
        };
        if number != pg_sys::InvalidOffsetNumber {
            self.in_page = number;
        }
        number != pg_sys::InvalidOffsetNumber
    }

    /// The number that a page of the batch has in the file.
    fn block(&self, index: usize) -> pg_sys::BlockNumber {
        (self.places.rows_of_page.len() - self.filled + index) as pg_sys::BlockNumber
    }

    fn begin_page(&mut self) {
        initialize(&mut self.pages[self.filled], pg_sys::PD_ALL_VISIBLE);
        self.in_page = 0;
    }

    fn end_page(&mut self) {
        self.places.rows_of_page.push(self.in_page);
        self.filled += 1;
        if self.filled == BATCH {
            self.flush();
        }
        self.begin_page();
    }

    fn flush(&mut self) {
        if self.filled == 0 {
            return;
        }
        let fork = pg_sys::ForkNumber::MAIN_FORKNUM;
        let first = self.block(0);
        let end = self.block(self.filled);
        self.write(fork, first, self.filled, true);
        self.filled = 0;
        if self.page_cache != PageCache::Leave && end.is_multiple_of(WRITE_BACK_EVERY) {
            let written = end - WRITE_BACK_EVERY;
            // SAFETY: the relation is open, and its file has these pages.
            let file = unsafe {
                let file = pg_sys::RelationGetSmgr(self.relation);
                pg_sys::smgrwriteback(file, fork, written, WRITE_BACK_EVERY);
                (*file).smgr_rlocator.locator
            };
            if let (PageCache::DropBehind, Some(first)) = (self.page_cache, written.checked_sub(DROP_BEHIND)) {
                relation_files::drop_from_page_cache(file, fork, first, WRITE_BACK_EVERY);
            }
        }
    }

    /// Writes the first pages of the batch to the WAL and to a file of the relation.
    fn write(&mut self, fork: pg_sys::ForkNumber::Type, first: pg_sys::BlockNumber, count: usize, is_standard: bool) {
        let pages = &mut self.pages[..count];
        let mut numbers: [pg_sys::BlockNumber; BATCH] = std::array::from_fn(|index| first + index as u32);
        let mut addresses = [ptr::null_mut(); BATCH];
        for (address, page) in addresses.iter_mut().zip(pages.iter_mut()) {
            *address = page.0.as_mut_ptr().cast();
        }
        let delay = wal::CheckpointDelay::begin();
        // SAFETY: the pages are those that follow the last one in the file, which nobody else writes to. They are at most as
        // many as a WAL record may have. A checkpoint that comes after the record waits until its pages are in the file.
        unsafe {
            if self.needs_wal {
                let file = &raw mut (*self.relation).rd_locator;
                let (numbers, addresses) = (numbers.as_mut_ptr(), addresses.as_mut_ptr());
                pg_sys::log_newpages(file, fork, count as c_int, numbers, addresses, is_standard);
            }
            let file = pg_sys::RelationGetSmgr(self.relation);
            for (number, page) in numbers.iter().zip(pages) {
                pg_sys::PageSetChecksumInplace(page.0.as_mut_ptr().cast(), *number);
                pg_sys::smgrextend(file, fork, *number, page.0.as_ptr().cast::<c_void>(), false);
            }
        }
        drop(delay);
        wal::hand_over();
    }

    /// Writes the rest and the visibility map, which says that all of the rows are visible and frozen, and closes the table.
    /// The lock is kept.
    pub fn close(mut self) -> Places {
        if self.in_page > 0 {
            self.places.rows_of_page.push(self.in_page);
            self.filled += 1;
        }
        self.flush();
        self.write_visibility_map();
        // SAFETY: closes what `open` opened, once.
        unsafe {
            pg_sys::pgstat_count_heap_insert(self.relation, self.places.rows() as pg_sys::PgStat_Counter);
            pg_sys::table_close(self.relation, pg_sys::NoLock as c_int);
        }
        self.places
    }

    /// As visibilitymap.c has it: two bits a page, which are both set.
    fn write_visibility_map(&mut self) {
        const PAGES_PER_BYTE: usize = 4;
        const HEADER: usize = size_of::<pg_sys::PageHeaderData>();
        const PAGES_PER_PAGE: usize = (PAGE_SIZE - HEADER) * PAGES_PER_BYTE;
        let fork = pg_sys::ForkNumber::VISIBILITYMAP_FORKNUM;
        // SAFETY: the relation is open, and new: it has no such file yet.
        unsafe { pg_sys::smgrcreate(pg_sys::RelationGetSmgr(self.relation), fork, false) };
        let pages = self.places.rows_of_page.len();
        for (number, first) in (0..).zip((0..pages).step_by(PAGES_PER_PAGE)) {
            let here = PAGES_PER_PAGE.min(pages - first);
            initialize(&mut self.pages[0], 0);
            let map = &mut self.pages[0].0[HEADER..];
            map[..here / PAGES_PER_BYTE].fill(u8::MAX);
            if !here.is_multiple_of(PAGES_PER_BYTE) {
                map[here / PAGES_PER_BYTE] = (1 << (here % PAGES_PER_BYTE * 2)) - 1;
            }
            self.write(fork, number, 1, false);
        }
    }
}

fn initialize(page: &mut PageMemory, flags: u32) {
    let page = page.0.as_mut_ptr();
    // SAFETY: the memory is of a page's size and alignment.
    unsafe {
        pg_sys::PageInit(page.cast(), PAGE_SIZE, 0);
        (*page.cast::<pg_sys::PageHeaderData>()).pd_flags = flags as u16;
    }
}
