//! What a procedure changes in its session for as long as it runs, and what it asks of it.

use std::ffi::{CStr, c_char, c_int};
use std::time::Duration;

use pgrx::{Spi, check_for_interrupts, pg_sys};

use crate::error::Error;
use crate::pg::major;
pub use crate::pg::major::gives_up_old_snapshots;

/// Settings that hold until the value is dropped, or the (sub)transaction is aborted.
#[derive(Debug)]
#[must_use]
pub struct Settings {
    nest_level: i32,
}

impl Settings {
    /// Sets each of the settings, as a SET clause on the procedure would.
    pub fn set(settings: &[(&CStr, &CStr)]) -> Self {
        Self::set_as(pg_sys::GucContext::PGC_USERSET, settings)
    }

    /// As [`Self::set`], for settings that only superusers may change.
    pub fn set_as_superuser(settings: &[(&CStr, &CStr)]) -> Self {
        Self::set_as(pg_sys::GucContext::PGC_SUSET, settings)
    }

    fn set_as(context: pg_sys::GucContext::Type, settings: &[(&CStr, &CStr)]) -> Self {
        // SAFETY: opens a nesting level that Drop, or the abort of the transaction, closes.
        let nest_level = unsafe { pg_sys::NewGUCNestLevel() };
        for (name, value) in settings {
            // SAFETY: both strings end in NUL and PostgreSQL copies them.
            unsafe {
                pg_sys::set_config_option(
                    name.as_ptr(),
                    value.as_ptr(),
                    context,
                    pg_sys::GucSource::PGC_S_SESSION,
                    pg_sys::GucAction::GUC_ACTION_SAVE,
                    true,
                    0,
                    false,
                );
            }
        }
        Self { nest_level }
    }

    /// A search_path on which nobody but PostgreSQL itself can put anything. And, as our statements compare what PostgreSQL
    /// writes of its catalogs, names and strings are written and read in the usual way.
    pub fn safe_search_path() -> Self {
        Self::set(&[
            (c"search_path", c"pg_catalog, pg_temp"),
            (c"quote_all_identifiers", c"off"),
            (c"standard_conforming_strings", c"on"),
        ])
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        // While an error unwinds, the abort of the (sub)transaction restores the settings.
        if !std::thread::panicking() {
            // SAFETY: the level was opened by `set`, and levels opened later were closed before it, as values are
            // dropped in the reverse order of their creation.
            unsafe { pg_sys::AtEOXact_GUC(false, self.nest_level) }
        }
    }
}

/// Another role's rights, held until the value is dropped or the (sub)transaction is aborted.
///
/// SET ROLE and SET SESSION AUTHORIZATION are refused meanwhile, as they are in a SECURITY DEFINER function, so that
/// code of that role cannot come by the rights that were put aside.
#[derive(Debug)]
#[must_use]
pub struct ActingAs {
    former_user: pg_sys::Oid,
    former_context: i32,
}

impl ActingAs {
    /// Takes on the rights of `role`, an OID of `pg_authid`.
    pub fn role(role: pg_sys::Oid) -> Self {
        Self::with(role, pg_sys::SECURITY_LOCAL_USERID_CHANGE)
    }

    /// As [`Self::role`], for what runs code that this role put somewhere: as REFRESH MATERIALIZED VIEW does, it forbids that
    /// code to leave behind in the session what the caller would run later, as temporary tables.
    pub fn restricted(role: pg_sys::Oid) -> Self {
        Self::with(role, pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION)
    }

    fn with(role: pg_sys::Oid, flags: u32) -> Self {
        let mut former_user = pg_sys::InvalidOid;
        let mut former_context = 0;
        // SAFETY: both pointers are valid for writes; the former state is restored by Drop or by the abort.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&raw mut former_user, &raw mut former_context);
            let context = former_context | flags as i32;
            pg_sys::SetUserIdAndSecContext(role, context);
        }
        Self { former_user, former_context }
    }
}

impl Drop for ActingAs {
    fn drop(&mut self) {
        // While an error unwinds, the abort of the (sub)transaction restores the role.
        if !std::thread::panicking() {
            // SAFETY: restores what GetUserIdAndSecContext gave.
            unsafe { pg_sys::SetUserIdAndSecContext(self.former_user, self.former_context) }
        }
    }
}

/// Has PostgreSQL refuse settings with this prefix that nobody has defined. To be called while the library is loaded, once those are
/// defined that it brings.
pub fn reserve_settings(prefix: &'static CStr) {
    // SAFETY: the prefix ends in NUL, and is copied.
    unsafe { pg_sys::MarkGUCPrefixReserved(prefix.as_ptr()) }
}

/// Has errors leave without the backtrace that RUST_BACKTRACE in the server's environment would add to their DETAIL.
pub fn keep_backtraces_from_clients() {
    for name in ["RUST_BACKTRACE", "RUST_LIB_BACKTRACE"] {
        // SAFETY: a server process has one thread, so nobody reads the environment meanwhile.
        unsafe { std::env::remove_var(name) }
    }
}

/// Sets something by a statement, which Citus sends on to the nodes. Takes no transaction id, of which a replica has none.
///
/// # Errors
///
/// If it is no statement.
pub fn set_by_statement(statement: &CStr) -> Result<(), Error> {
    let check = |code| Spi::check_status(code).map(|_| ()).map_err(Error::Spi);
    // SAFETY: SPI is connected and finished here; an error in between finishes it with the transaction. The statement ends in NUL.
    unsafe {
        check(pg_sys::SPI_connect())?;
        check(pg_sys::SPI_execute(statement.as_ptr(), false, 0))?;
        check(pg_sys::SPI_finish())
    }
}

/// Whether the transaction reads by one snapshot until it ends.
pub fn has_fixed_snapshot() -> bool {
    // SAFETY: reads this transaction's isolation level.
    unsafe { pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 }
}

/// Whether this server follows a primary.
pub fn is_replica() -> bool {
    // SAFETY: reads shared state; has no preconditions in a backend.
    unsafe { pg_sys::RecoveryInProgress() }
}

/// Fails where nothing can be written.
pub fn require_writable(procedure: &'static str) -> Result<(), Error> {
    if is_replica() {
        return Err(Error::Replica { procedure });
    }
    // SAFETY: a plain read of a variable that only this thread writes.
    if unsafe { pg_sys::XactReadOnly } {
        return Err(Error::ReadOnlyTransaction { procedure });
    }
    Ok(())
}

/// Today in the session's time zone, as `current_date` has it: days since 2000-01-01.
pub fn current_date() -> i32 {
    // SAFETY: reads the transaction's start time; has no preconditions inside a transaction.
    unsafe { pg_sys::GetSQLCurrentDate() }
}

/// Whether this transaction, or a subtransaction of it that was not rolled back, has this xid.
pub fn is_current_transaction(xid: i64) -> bool {
    let Ok(xid) = u32::try_from(xid) else { return false };
    // SAFETY: takes any xid; has no preconditions inside a transaction.
    unsafe { pg_sys::TransactionIdIsCurrentTransactionId(xid.into()) }
}

/// The full xid of the top transaction, which gets one if it has none.
pub fn full_xid() -> u64 {
    // SAFETY: has no preconditions inside a transaction.
    unsafe { pg_sys::GetTopFullTransactionId().value }
}

/// Whether a subtransaction is open, as by SAVEPOINT or in a PL/pgSQL block that catches errors.
pub fn is_in_subtransaction() -> bool {
    // SAFETY: reads the session's state; has no preconditions in a backend.
    unsafe { pg_sys::IsSubTransaction() }
}

/// The database.
pub fn database() -> pg_sys::Oid {
    // SAFETY: a plain read of a variable that only this thread writes.
    unsafe { pg_sys::MyDatabaseId }
}

/// The pid of this process.
pub fn pid() -> i32 {
    // SAFETY: a plain read of a variable that only this thread writes.
    unsafe { pg_sys::MyProcPid }
}

/// Whether the transaction is SERIALIZABLE.
pub fn is_serializable() -> bool {
    // SAFETY: a plain read of a variable that only this thread writes.
    unsafe { pg_sys::XactIsoLevel == pg_sys::XACT_SERIALIZABLE as c_int }
}

/// Whether the server logs what logical decoding needs.
pub fn wal_is_logical() -> bool {
    // SAFETY: a plain read of a variable that is set before the process starts.
    unsafe { pg_sys::wal_level >= pg_sys::WalLevel::WAL_LEVEL_LOGICAL as c_int }
}

/// Has what follows see what was done so far.
pub fn next_command() {
    // SAFETY: has no preconditions inside a transaction.
    unsafe { pg_sys::CommandCounterIncrement() }
}

/// Waits for that long, or for ever, but no longer than until a signal comes. Does not return if the process is to end or its
/// statement was cancelled.
pub fn pause(limit: Option<Duration>) {
    let (timeout_event, milliseconds) = match limit {
        Some(limit) => (pg_sys::WL_TIMEOUT, i64::try_from(limit.as_millis()).unwrap_or(i64::MAX)),
        None => (0, -1),
    };
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_EXIT_ON_PM_DEATH | timeout_event;
    // SAFETY: MyLatch is this process's own latch, valid from its start.
    unsafe {
        pg_sys::WaitLatch(pg_sys::MyLatch, events as c_int, milliseconds, pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    check_for_interrupts!();
}

/// Whether the current role may make tables in the tablespace that the session prefers (`default_tablespace`), if it prefers one.
pub fn may_use_default_tablespace() -> bool {
    // SAFETY: looks the setting up, which answers InvalidOid for the tablespace of the database; then asks for a right on it,
    // which is an OID of pg_tablespace.
    unsafe {
        let tablespace = pg_sys::GetDefaultTablespace(pg_sys::RELPERSISTENCE_PERMANENT as c_char, false);
        tablespace == pg_sys::InvalidOid || major::may_create_in(tablespace, pg_sys::GetUserId())
    }
}

/// The current role.
pub fn current_user() -> pg_sys::Oid {
    // SAFETY: reads the session's state; has no preconditions in a backend.
    unsafe { pg_sys::GetUserId() }
}

/// The name of the database that the session is connected to; empty if it has been dropped or renamed meanwhile.
pub fn current_database() -> String {
    // SAFETY: a plain read of a variable that only this thread writes; the answer is NULL or palloc'd, and left to the
    // memory context.
    unsafe {
        let name = pg_sys::get_database_name(pg_sys::MyDatabaseId);
        if name.is_null() { String::new() } else { CStr::from_ptr(name).to_string_lossy().into_owned() }
    }
}
