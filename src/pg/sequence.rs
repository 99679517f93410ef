//! Blocks of numbers from a sequence.

use pgrx::datum::DatumWithOid;
use pgrx::{Spi, pg_sys};

use crate::pg::catalog::RelationOid;
use crate::pg::major::{self, RelFileLocator};
use crate::pg::session::Settings;
use crate::pg::wal;

/// The row of a sequence, `FormData_pg_sequence_data` of sequence.h.
#[repr(C)]
struct State {
    last_value: i64,
    log_cnt: i64,
    is_called: bool,
}

/// What a change of a sequence is logged with, before its new row: `xl_seq_rec` of sequence.h.
#[repr(C)]
struct LogRecord {
    locator: RelFileLocator,
}

const XLOG_SEQ_LOG: u8 = 0;

/// The sequence of an identity column.
#[derive(Clone, Copy, Debug)]
pub struct IdentitySequence(RelationOid);

/// The sequence of an identity column, if the column has one.
pub fn of_identity_column(table: RelationOid, column: i16) -> Option<IdentitySequence> {
    // SAFETY: it is a relation, or PostgreSQL raises an error.
    RelationOid::from_oid(unsafe { major::identity_sequence(table.oid(), column) }).map(IdentitySequence)
}

impl IdentitySequence {
    /// Whether it is as that of a column which is made without options: it counts up by one to the end of bigint.
    pub fn counts_up_by_one(self) -> Result<bool, pgrx::spi::Error> {
        const QUESTION: &str = "select seqincrement = 1 and seqmax = 9223372036854775807 and not seqcycle \
                                from pg_sequence where seqrelid = $1";
        let _settings = Settings::safe_search_path();
        Spi::connect(|client| {
            let rows = client.select(QUESTION, Some(1), &[DatumWithOid::from(self.0.oid())])?;
            if rows.is_empty() { Ok(false) } else { Ok(rows.first().get_one::<bool>()?.unwrap_or(false)) }
        })
    }
}

/// Takes `count` consecutive numbers, and returns the first; `None` if the sequence has not as many left.
///
/// It is `nextval` called `count` times, of a sequence that counts up by one to the end of bigint, in one step that other sessions cannot come
/// between: the page of the sequence is locked meanwhile, as `nextval` locks it. Like `nextval` it asks nobody to wait,
/// is not taken back by a rollback, and asks no right of its own where a column's identity is concerned.
pub fn reserve(IdentitySequence(sequence): IdentitySequence, count: u64) -> Option<i64> {
    let count = i64::try_from(count).ok()?;
    // SAFETY: what nextval_internal of sequence.c does. That it is a sequence the catalogs said, and it cannot become another thing. A sequence has one page with one row, which is of the layout of
    // State and never moves, so that it may be changed in place while the buffer is locked exclusively. From the change to
    // the log record is a critical section: nothing in it allocates or fails. The page is marked dirty before it is
    // logged, and its LSN set after; the transaction has a number, so that its commit waits for the record. The lock on the
    // relation is kept until the transaction ends.
    unsafe {
        let relation = pg_sys::relation_open(sequence.oid(), pg_sys::RowExclusiveLock as i32);
        pg_sys::GetTopTransactionId();
        let buffer = pg_sys::ReadBuffer(relation, 0);
        pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_EXCLUSIVE as i32);
        let page = pg_sys::BufferGetPage(buffer);
        let item = pg_sys::PageGetItemId(page, 1);
        let tuple = pg_sys::PageGetItem(page, item).cast::<pg_sys::HeapTupleHeaderData>();
        let length = (*item).lp_len();
        let state = tuple.cast::<u8>().add(usize::from((*tuple).t_hoff)).cast::<State>();
        let first = (*state).last_value.checked_add((*state).is_called.into());
        let range = first.and_then(|first| Some((first, first.checked_add(count - 1)?)));
        if let Some((_, last)) = range {
            // Where `wal_level` is `minimal`, nextval logs nothing of a sequence that is new: what it gave since would be lost by the
            // replay of a record.
            let logged = (*(*relation).rd_rel).relpersistence as u8 == pg_sys::RELPERSISTENCE_PERMANENT
                && wal::is_needed_for(relation);
            let mut record = LogRecord { locator: *major::locator(relation) };
            if logged {
                pg_sys::XLogEnsureRecordSpace(1, 2);
            }
            pg_sys::CritSectionCount += 1;
            pg_sys::MarkBufferDirty(buffer);
            (*state).last_value = last;
            (*state).is_called = true;
            (*state).log_cnt = 0;
            if logged {
                pg_sys::XLogBeginInsert();
                pg_sys::XLogRegisterBuffer(0, buffer, pg_sys::REGBUF_WILL_INIT as u8);
                pg_sys::XLogRegisterData((&raw mut record).cast(), size_of::<LogRecord>() as _);
                pg_sys::XLogRegisterData(tuple.cast(), length as _);
                let position = pg_sys::XLogInsert(pg_sys::RmgrIds::RM_SEQ_ID as u8, XLOG_SEQ_LOG);
                set_lsn(page, position);
            }
            pg_sys::CritSectionCount -= 1;
        }
        pg_sys::UnlockReleaseBuffer(buffer);
        pg_sys::relation_close(relation, pg_sys::NoLock as i32);
        range.map(|(first, _)| first)
    }
}

/// Notes in a page which record it was changed by last: the function PageSetLSN, a macro in PostgreSQL 15.
///
/// # Safety
///
/// The page must be one that is locked exclusively.
unsafe fn set_lsn(page: pg_sys::Page, position: pg_sys::XLogRecPtr) {
    // SAFETY: by the contract; each page begins with this header.
    unsafe {
        let header = page.cast::<pg_sys::PageHeaderData>();
        (*header).pd_lsn.xlogid = (position >> 32) as u32;
        (*header).pd_lsn.xrecoff = position as u32;
    }
}
