//! Pages of rows, formed in memory of this process as heapam.c forms them in the shared buffers.

use std::ffi::c_int;
use std::ptr;

use pgrx::itemptr::item_pointer_set_all;
use pgrx::pg_sys;

use crate::load::storage::stored_row::{COLUMNS, Target};

/// Bytes of a page.
pub const PAGE_SIZE: usize = pg_sys::BLCKSZ as usize;

/// Where the values of a row without NULLs start.
const ROW_HEADER: usize = 24;

/// The largest row there is room for: more than any operation takes, and less than what PostgreSQL would keep out of line
/// (TOAST_TUPLE_THRESHOLD is 2032 bytes, with `toast_tuple_target` as `load::standard` has it).
const ROW_SIZE: usize = 2032;

/// A page, aligned as PostgreSQL wants memory for direct input and output.
#[repr(C, align(4096))]
#[derive(Clone)]
pub struct Page([u8; PAGE_SIZE]);

#[repr(C, align(8))]
struct RowMemory([u8; ROW_SIZE]);

impl Page {
    /// All zero, as a page is that was never written.
    pub fn zero() -> Self {
        Self([0; PAGE_SIZE])
    }

    /// Makes it empty, with these flags of its header (bufpage.h).
    pub fn initialize(&mut self, flags: u32) {
        let page = self.0.as_mut_ptr();
        // SAFETY: the memory is of a page's size and alignment.
        unsafe {
            pg_sys::PageInit(page.cast(), PAGE_SIZE, 0);
            (*page.cast::<pg_sys::PageHeaderData>()).pd_flags = flags as u16;
        }
    }

    /// What it consists of.
    pub fn bytes_mut(&mut self) -> &mut [u8; PAGE_SIZE] {
        &mut self.0
    }

    /// What it consists of.
    pub fn bytes(&self) -> &[u8; PAGE_SIZE] {
        &self.0
    }

    /// As PostgreSQL's functions want it.
    pub fn as_postgres(&mut self) -> pg_sys::Page {
        self.0.as_mut_ptr().cast()
    }
}

/// Whether rows are seen by everybody as soon as the table is, or as after INSERT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// As COPY FREEZE does it: the number of the transaction is there for whoever asks.
    Frozen,
    /// To who sees the transaction as committed.
    OfTransaction,
}

/// Forms rows and puts them into pages.
pub struct TupleBuilder {
    description: pg_sys::TupleDesc,
    transaction: pg_sys::TransactionId,
    command: pg_sys::CommandId,
    mask: u16,
    row: Box<RowMemory>,
    length: usize,
}

impl TupleBuilder {
    /// For rows of a table, written by the current transaction.
    ///
    /// # Safety
    ///
    /// The relation must have the columns of `operations` ([`Target::open`]), and stay open as long as this is used.
    pub unsafe fn new(relation: pg_sys::Relation, target: &Target, visibility: Visibility) -> Self {
        let mask = match visibility {
            Visibility::Frozen => pg_sys::HEAP_XMIN_FROZEN | pg_sys::HEAP_XMAX_INVALID,
            Visibility::OfTransaction => pg_sys::HEAP_XMAX_INVALID,
        };
        // SAFETY: by the contract; the transaction has a number, or gets one.
        let (description, transaction) = unsafe { ((*relation).rd_att, pg_sys::GetCurrentTransactionId()) };
        let row = Box::new(RowMemory([0; ROW_SIZE]));
        Self { description, transaction, command: target.command, mask: mask as u16, row, length: 0 }
    }

    /// Forms the row that [`Self::add`] is to put into a page.
    pub fn form(&mut self, values: &mut [pg_sys::Datum; COLUMNS]) {
        let mut no_nulls = [false; COLUMNS];
        let (values, nulls) = (values.as_mut_ptr(), no_nulls.as_mut_ptr());
        // SAFETY: there are as many values as the relation has columns, of their types. The memory for the row is aligned;
        // the slice proves that it is large enough; where the values go it is zeroed, as heap_fill_tuple asks for.
        unsafe {
            let size = pg_sys::heap_compute_data_size(self.description, values, nulls);
            let row = &mut self.row.0;
            row[..ROW_HEADER + size].fill(0);
            let header = row.as_mut_ptr().cast::<pg_sys::HeapTupleHeaderData>();
            let data = row[ROW_HEADER..].as_mut_ptr().cast();
            let mask = &raw mut (*header).t_infomask;
            pg_sys::heap_fill_tuple(self.description, values, nulls, data, size, mask, ptr::null_mut());
            (*header).t_infomask |= self.mask;
            (*header).t_infomask2 = COLUMNS as u16;
            (*header).t_hoff = ROW_HEADER as u8;
            (*header).t_choice.t_heap.t_xmin = self.transaction;
            (*header).t_choice.t_heap.t_field3.t_cid = self.command;
            self.length = ROW_HEADER + size;
        }
    }

    /// Puts the row into a page, which has that number in the file, and returns its number in the page; `None` if there is no
    /// room.
    pub fn add(&mut self, page: &mut Page, block: pg_sys::BlockNumber) -> Option<pg_sys::OffsetNumber> {
        let row = self.row.0.as_mut_ptr();
        let page = page.as_postgres();
        // SAFETY: page and row are formed as PostgreSQL forms them, in memory of this process.
        let number = unsafe {
            let header = row.cast::<pg_sys::HeapTupleHeaderData>();
            let next = pg_sys::PageGetMaxOffsetNumber(page) + 1;
            item_pointer_set_all(&mut (*header).t_ctid, block, next);
            let flags = pg_sys::PAI_IS_HEAP as c_int;
            pg_sys::PageAddItemExtended(page, row.cast(), self.length, pg_sys::InvalidOffsetNumber, flags)
        };
        (number != pg_sys::InvalidOffsetNumber).then_some(number)
    }
}

/// Says in the rows of a page which number it has in the file.
pub fn move_to(page: &mut Page, block: pg_sys::BlockNumber) {
    let page = page.as_postgres();
    // SAFETY: the page was formed by `TupleBuilder`: each of its items is a row.
    unsafe {
        for number in 1..=pg_sys::PageGetMaxOffsetNumber(page) {
            let row = pg_sys::PageGetItem(page, pg_sys::PageGetItemId(page, number));
            let header = row.cast::<pg_sys::HeapTupleHeaderData>();
            item_pointer_set_all(&mut (*header).t_ctid, block, number);
        }
    }
}
