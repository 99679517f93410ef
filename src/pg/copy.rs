//! COPY FROM inside the server: rows come from a Rust closure instead of a file or a client.
//!
//! COPY does all that it does for a client: it routes rows to partitions, fires triggers, checks constraints, keeps
//! indexes, obeys CANCEL, and shows in pg_stat_progress_copy.

use std::cell::RefCell;
use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use pgrx::{PgList, pg_guard, pg_sys};

use crate::error::Error;
use crate::pg::catalog::RelationOid;
use crate::pg::major;

/// Appends some more bytes of the COPY stream; appends none when it has ended.
type Source<'a> = dyn FnMut(&mut Vec<u8>) + 'a;

/// A source and the bytes that it gave and COPY has not taken yet.
struct Stream {
    source: *mut Source<'static>,
    buffer: Vec<u8>,
    taken: usize,
}

thread_local! {
    /// The stream of the COPY that is running. COPY's callback has no argument to pass it in.
    static STREAM: RefCell<Option<Stream>> = const { RefCell::new(None) };
}

/// Puts a stream in place for as long as it lives, and then, also when an error unwinds, the one before back: a trigger
/// may itself start a COPY.
struct StreamGuard {
    former: Option<Stream>,
}

impl StreamGuard {
    fn new(stream: Stream) -> Self {
        Self { former: STREAM.with_borrow_mut(|current| current.replace(stream)) }
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        STREAM.with_borrow_mut(|current| *current = self.former.take());
    }
}

/// Copies the rows of `source`, in COPY's binary format, into the named columns of `table`.
///
/// Checks the current role's right to insert, as the command COPY does, but not whether row-level security applies to it:
/// see [`require_insert_right`].
pub fn copy_binary(table: RelationOid, columns: &[&CStr], source: &mut Source<'_>) {
    // SAFETY: only the lifetime is changed. The pointer is used by `read_stream` alone, during CopyFrom below, and
    // the guard takes it away before `source` ends.
    let source = unsafe { std::mem::transmute::<*mut Source<'_>, *mut Source<'static>>(ptr::from_mut(source)) };
    let _guard = StreamGuard::new(Stream { source, buffer: Vec::new(), taken: 0 });
    // SAFETY: this is DoCopy of PostgreSQL without the parts that parse a command. The relation is locked and open
    // from first to last; nodes and strings are allocated in the current memory context, which outlives the call; the
    // snapshot that is pushed is popped; on an error PostgreSQL's abort releases all of it.
    unsafe {
        let (relation, parse_state) = open_for_insert(table, columns);
        let mut column_names = PgList::<pg_sys::String>::new();
        for column in columns {
            column_names.push(pg_sys::makeString(pg_sys::pstrdup(column.as_ptr())));
        }
        let mut options = PgList::<pg_sys::DefElem>::new();
        let binary = pg_sys::makeString(pg_sys::pstrdup(c"binary".as_ptr()));
        options.push(pg_sys::makeDefElem(pg_sys::pstrdup(c"format".as_ptr()), binary.cast(), -1));

        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let state = pg_sys::BeginCopyFrom(
            parse_state,
            relation,
            ptr::null_mut(),
            ptr::null(),
            false,
            Some(read_stream),
            column_names.into_pg(),
            options.into_pg(),
        );
        pg_sys::CopyFrom(state);
        pg_sys::EndCopyFrom(state);
        pg_sys::PopActiveSnapshot();
        pg_sys::free_parsestate(parse_state);
        pg_sys::table_close(relation, pg_sys::NoLock as i32);
        pg_sys::CommandCounterIncrement();
    }
}

/// Fails if the current role may not insert into the columns of the table, or not into every row.
pub fn require_insert_right(procedure: &'static str, table: RelationOid, columns: &[&CStr]) -> Result<(), Error> {
    if row_security_applies(table) {
        return Err(Error::RowSecurity { procedure });
    }
    // SAFETY: what is opened is closed.
    unsafe {
        let (relation, parse_state) = open_for_insert(table, columns);
        pg_sys::free_parsestate(parse_state);
        pg_sys::table_close(relation, pg_sys::NoLock as i32);
    }
    Ok(())
}

/// Opens and locks the table for rows with these columns, with the parse state that a command has for it. Raises PostgreSQL's
/// own error if the current role may not insert into the columns.
///
/// # Safety
///
/// The caller frees the parse state and closes the relation.
unsafe fn open_for_insert(table: RelationOid, columns: &[&CStr]) -> (pg_sys::Relation, *mut pg_sys::ParseState) {
    // SAFETY: the nodes are allocated in the current memory context, which outlives the call. get_attnum answers
    // InvalidAttrNumber (0) for a column that does not exist, which BeginCopyFrom reports later.
    unsafe {
        let relation = pg_sys::table_open(table.oid(), pg_sys::RowExclusiveLock as i32);
        let parse_state = pg_sys::make_parsestate(ptr::null_mut());
        let item = pg_sys::addRangeTableEntryForRelation(
            parse_state,
            relation,
            pg_sys::RowExclusiveLock as i32,
            ptr::null_mut(),
            false,
            false,
        );
        let numbers = columns.iter().map(|column| pg_sys::get_attnum(table.oid(), column.as_ptr()));
        major::require_insert(parse_state, item, numbers);
        (relation, parse_state)
    }
}

fn row_security_applies(table: RelationOid) -> bool {
    // SAFETY: takes any OID of a relation; InvalidOid stands for the current role.
    let answer = unsafe { pg_sys::check_enable_rls(table.oid(), pg_sys::InvalidOid, false) };
    answer == pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32
}

/// COPY's callback: gives at least `minimum` bytes, unless the stream ends before, and at most `maximum`.
#[pg_guard]
unsafe extern "C-unwind" fn read_stream(target: *mut c_void, minimum: c_int, maximum: c_int) -> c_int {
    let minimum = usize::try_from(minimum).unwrap_or(0);
    let maximum = usize::try_from(maximum).unwrap_or(0);
    // Taken out while it is used, so that a COPY that the source itself may start does not find it borrowed.
    let Some(mut stream) = STREAM.with_borrow_mut(Option::take) else { return 0 };
    if stream.taken == stream.buffer.len() {
        stream.buffer.clear();
        stream.taken = 0;
    }
    while stream.buffer.len() - stream.taken < minimum.max(1) {
        let before = stream.buffer.len();
        // SAFETY: `copy_binary` holds the source for as long as CopyFrom, which calls this, runs.
        unsafe { (*stream.source)(&mut stream.buffer) };
        if stream.buffer.len() == before {
            break;
        }
    }
    let available = &stream.buffer[stream.taken..];
    let given = available.len().min(maximum);
    // SAFETY: COPY's buffer has room for `maximum` bytes, and does not overlap ours.
    unsafe { ptr::copy_nonoverlapping(available.as_ptr(), target.cast::<u8>(), given) };
    stream.taken += given;
    STREAM.with_borrow_mut(|current| *current = Some(stream));
    c_int::try_from(given).unwrap_or(0)
}
