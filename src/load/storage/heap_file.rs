//! The file of a new table, written page by page without the shared buffers: as PostgreSQL's rewriteheap.c writes that of
//! VACUUM FULL and CLUSTER, and bulk_write.c, since PostgreSQL 17, those of new indexes.
//!
//! It is for a table that the current transaction made and that nobody else has looked into. A page is formed here, goes to
//! the WAL whole, and then to the file, together with others; nothing waits for the disk. Whoever uses this makes sure that
//! the table is like the one that operations_setup() makes (`load::standard`).

use std::ffi::c_int;
use std::ptr;

use operations_model::operation::Operation;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, pg_sys};

use crate::error::Error;
use crate::load::storage::heap_page::{PAGE_SIZE, Page, TupleBuilder, Visibility};
use crate::load::storage::stored_row::{Target, Values};
use crate::pg::catalog;
use crate::pg::{major, relation_files, wal};

/// Pages that are written at a time: as many as a WAL record may have.
const BATCH: usize = pg_sys::XLR_MAX_BLOCK_ID as usize;

/// Pages after which the kernel is asked to write, if it is. A gigabyte file has a multiple of it.
const WRITE_BACK_EVERY: u32 = 16 * BATCH as u32;

/// As many pages as were written before those that the kernel is asked to forget: it is given the time to write them first.
const DROP_BEHIND: u32 = 16 * WRITE_BACK_EVERY;

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
    former: TupleBuilder,
    needs_wal: bool,
    page_cache: PageCache,
    values: Values,
    /// So many of them are full, and the next is the one that rows go into.
    pages: Box<[Page]>,
    filled: usize,
    /// Rows in the page that is not full yet.
    in_page: u16,
    /// Where the rows of the full pages are.
    tids: Tids,
}

/// Where the rows are that were written, in their order.
#[derive(Default)]
pub struct Tids {
    rows_of_page: Vec<u16>,
}

impl Tids {
    /// The block and the number in it of each row.
    pub fn iter(&self) -> impl Iterator<Item = (pg_sys::BlockNumber, pg_sys::OffsetNumber)> {
        (0..).zip(&self.rows_of_page).flat_map(|(block, rows)| (1..=*rows).map(move |row| (block, row)))
    }

    fn rows(&self) -> u64 {
        self.rows_of_page.iter().map(|rows| u64::from(*rows)).sum()
    }
}

impl HeapFile {
    /// Opens and locks the table, which must be new.
    ///
    /// # Errors
    ///
    /// [`Error::NotEmpty`], raised as PostgreSQL's, if it has a page: others would have it in the shared buffers.
    pub fn open(target: Target, page_cache: PageCache) -> Self {
        // SAFETY: the relation, which has the columns of `operations`, stays open until `close`, or until the abort of the
        // transaction releases it.
        let (relation, former, needs_wal) = unsafe {
            let relation = target.open();
            if pg_sys::RelationGetNumberOfBlocksInFork(relation, pg_sys::ForkNumber::MAIN_FORKNUM) > 0 {
                let table = catalog::relation_name(target.table);
                ErrorReport::from(Error::NotEmpty { table }).report(PgLogLevel::ERROR);
            }
            (relation, TupleBuilder::new(relation, &target, Visibility::Frozen), wal::is_needed_for(relation))
        };
        let mut file = Self {
            relation,
            target,
            former,
            needs_wal,
            page_cache,
            values: Values::default(),
            pages: vec![Page::zero(); BATCH].into_boxed_slice(),
            filled: 0,
            in_page: 0,
            tids: Tids::default(),
        };
        file.begin_page();
        file
    }

    /// Puts a row in, at the latest when the file is closed.
    pub fn insert(&mut self, id: i64, operation: &Operation) {
        let mut values = self.values.of(id, operation, self.target.labels);
        self.former.form(&mut values);
        self.values.clear();
        if !self.add() {
            self.end_page();
            self.add();
        }
    }

    /// Puts the row that was formed into the page that is not full yet; `false` if it has no room.
    fn add(&mut self) -> bool {
        let block = self.block(self.filled);
        let number = self.former.add(&mut self.pages[self.filled], block);
        self.in_page = number.unwrap_or(self.in_page);
        number.is_some()
    }

    /// The number that a page of the batch has in the file.
    fn block(&self, index: usize) -> pg_sys::BlockNumber {
        (self.tids.rows_of_page.len() - self.filled + index) as pg_sys::BlockNumber
    }

    fn begin_page(&mut self) {
        self.pages[self.filled].initialize(pg_sys::PD_ALL_VISIBLE);
        self.in_page = 0;
    }

    fn end_page(&mut self) {
        self.tids.rows_of_page.push(self.in_page);
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
                pg_sys::smgrwriteback(pg_sys::RelationGetSmgr(self.relation), fork, written, WRITE_BACK_EVERY);
                &*major::locator(self.relation)
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
            *address = page.as_postgres();
        }
        let delay = wal::CheckpointDelay::begin();
        // SAFETY: the pages are those that follow the last one in the file, which nobody else writes to. They are at most as
        // many as a WAL record may have. A checkpoint that comes after the record waits until its pages are in the file.
        unsafe {
            if self.needs_wal {
                let file = major::locator(self.relation);
                let (numbers, addresses) = (numbers.as_mut_ptr(), addresses.as_mut_ptr());
                pg_sys::log_newpages(file, fork, count as c_int, numbers, addresses, is_standard);
            }
            let file = pg_sys::RelationGetSmgr(self.relation);
            for (number, page) in numbers.iter().zip(pages) {
                pg_sys::PageSetChecksumInplace(page.as_postgres(), *number);
                pg_sys::smgrextend(file, fork, *number, page.as_postgres().cast(), false);
            }
        }
        drop(delay);
        wal::hand_over();
    }

    /// Writes the rest and the visibility map, which says that all of the rows are visible and frozen, and closes the table.
    /// The lock is kept.
    pub fn close(mut self) -> Tids {
        if self.in_page > 0 {
            self.tids.rows_of_page.push(self.in_page);
            self.filled += 1;
        }
        self.flush();
        self.write_visibility_map();
        // SAFETY: closes what `open` opened, once.
        unsafe {
            pg_sys::pgstat_count_heap_insert(self.relation, self.tids.rows() as pg_sys::PgStat_Counter);
            pg_sys::table_close(self.relation, pg_sys::NoLock as c_int);
        }
        self.tids
    }

    /// As visibilitymap.c has it: two bits a page, which are both set.
    fn write_visibility_map(&mut self) {
        const PAGES_PER_BYTE: usize = 4;
        const HEADER: usize = size_of::<pg_sys::PageHeaderData>();
        const PAGES_PER_PAGE: usize = (PAGE_SIZE - HEADER) * PAGES_PER_BYTE;
        let fork = pg_sys::ForkNumber::VISIBILITYMAP_FORKNUM;
        // SAFETY: the relation is open, and new: it has no such file yet.
        unsafe { pg_sys::smgrcreate(pg_sys::RelationGetSmgr(self.relation), fork, false) };
        let pages = self.tids.rows_of_page.len();
        for (number, first) in (0..).zip((0..pages).step_by(PAGES_PER_PAGE)) {
            let here = PAGES_PER_PAGE.min(pages - first);
            self.pages[0].initialize(0);
            let map = &mut self.pages[0].bytes_mut()[HEADER..];
            map[..here / PAGES_PER_BYTE].fill(u8::MAX);
            if !here.is_multiple_of(PAGES_PER_BYTE) {
                map[here / PAGES_PER_BYTE] = (1 << (here % PAGES_PER_BYTE * 2)) - 1;
            }
            self.write(fork, number, 1, false);
        }
    }
}
