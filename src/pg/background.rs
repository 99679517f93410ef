//! The life of a background worker: signals, waiting, transactions that survive an error.

use std::ffi::{CStr, c_int};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use pgrx::pg_sys::panic::{CaughtError, ErrorReport, ErrorReportable};
use pgrx::{PgSqlErrorCode, PgTryBuilder, pg_sys};

use crate::error::Error;
use crate::pg::{major, session};

// pgrx binds these two, but not as functions that C can call.
unsafe extern "C-unwind" {
    fn die(signal: c_int);
    fn SignalHandlerForConfigReload(signal: c_int);
}

/// Whether the server is starting and loading `shared_preload_libraries`. For pg_upgrade nothing is started: it wants a database to
/// itself, and copies what it finds.
pub fn server_is_starting() -> bool {
    // SAFETY: a plain read of variables that only this thread writes.
    unsafe { pg_sys::process_shared_preload_libraries_in_progress && !pg_sys::IsBinaryUpgrade }
}

/// Lets the process obey SIGTERM, also in the middle of a query, and SIGHUP.
///
/// # Safety
///
/// To be called by a background worker when it starts.
pub unsafe fn attach_signal_handlers() {
    // SAFETY: these are PostgreSQL's own handlers, meant for this; by the contract the process has just started.
    unsafe {
        major::set_handler(pg_sys::SIGTERM, die);
        major::set_handler(pg_sys::SIGHUP, SignalHandlerForConfigReload);
        pg_sys::BackgroundWorkerUnblockSignals();
    }
}

/// Whether there is a database of that name. To be called in a transaction.
///
/// All rows of pg_database are read, as autovacuum's launcher does: a process without a database cannot open an index before some
/// other process has written down what the indexes of the shared catalogs are like.
pub fn database_exists(name: &CStr) -> bool {
    // SAFETY: pg_database can be opened without a database, and NULL stands for a snapshot of the catalogs as they are now. A
    // row of it begins with what FormData_pg_database describes, and stays until the next is read.
    unsafe {
        let pg_database = pg_sys::table_open(pg_sys::DatabaseRelationId, pg_sys::AccessShareLock as c_int);
        let (no_index, no_keys) = (pg_sys::InvalidOid, std::ptr::null_mut());
        let scan = pg_sys::systable_beginscan(pg_database, no_index, false, std::ptr::null_mut(), 0, no_keys);
        let mut is_found = false;
        loop {
            let row = pg_sys::systable_getnext(scan);
            if is_found || row.is_null() {
                break;
            }
            let database = pg_sys::GETSTRUCT(row).cast::<pg_sys::FormData_pg_database>();
            is_found = CStr::from_ptr((*database).datname.data.as_ptr()) == name;
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(pg_database, pg_sys::AccessShareLock as c_int);
        is_found
    }
}

/// Whether a scheduler runs what is run now: our worker, or pg_cron, be it in a background worker or in a session of its own. By
/// that name anybody may call a session, so no right may hang on it.
pub fn is_run_by_scheduler() -> bool {
    const PG_CRON: &CStr = c"pg_cron";
    // SAFETY: both are set when a process or session starts, and point to strings that end in NUL.
    unsafe {
        match pg_sys::MyBgworkerEntry.as_ref() {
            Some(worker) => {
                let library = CStr::from_ptr(worker.bgw_library_name.as_ptr());
                library == PG_CRON || library == c"operations_ext"
            }
            None => !pg_sys::application_name.is_null() && CStr::from_ptr(pg_sys::application_name) == PG_CRON,
        }
    }
}

/// Ends the process so that the postmaster starts it anew.
pub fn restart() -> ! {
    /// Any but 0.
    const ASK_FOR_RESTART: c_int = 1;
    major::exit(ASK_FOR_RESTART)
}

/// Waits for that long, or for ever, but no longer than until a signal comes. Reloads the settings if SIGHUP asked for
/// it. Does not return if the process is to end.
pub fn wait(limit: Option<Duration>) {
    session::pause(limit);
    // SAFETY: plain accesses to a flag that the signal handler sets; reloading outside a transaction is what every
    // auxiliary process does.
    unsafe {
        if std::ptr::read_volatile(&raw const pg_sys::ConfigReloadPending) != 0 {
            std::ptr::write_volatile(&raw mut pg_sys::ConfigReloadPending, 0);
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        }
    }
}

/// Why a transaction was aborted.
#[derive(Debug)]
pub struct Failure {
    /// The SQLSTATE.
    pub sqlstate: PgSqlErrorCode,
    /// The message.
    pub message: String,
    /// The DETAIL, if there is one.
    pub detail: Option<String>,
    /// The HINT, if there is one.
    pub hint: Option<String>,
}

impl From<CaughtError> for Failure {
    fn from(error: CaughtError) -> Self {
        let (CaughtError::PostgresError(report)
        | CaughtError::ErrorReport(report)
        | CaughtError::RustPanic { ereport: report, .. }) = error;
        Self {
            sqlstate: report.sql_error_code(),
            message: report.message().to_owned(),
            detail: report.detail().map(str::to_owned),
            hint: report.hint().map(str::to_owned),
        }
    }
}

/// A background worker that is connected, and in no transaction.
#[derive(Debug)]
pub struct Worker {
    _connected: (),
}

impl Worker {
    /// Connects the process, as the bootstrap superuser: to a database, or to the catalogs alone that all databases share. Ends the
    /// process if there is no such database.
    ///
    /// # Safety
    ///
    /// To be called once in its life by a background worker that was registered with access to databases.
    pub unsafe fn connect(database: Option<&CStr>) -> Self {
        // SAFETY: by the contract; the name ends in NUL. The first NULL stands for no database, the other for that superuser.
        unsafe {
            let database = database.map_or(std::ptr::null(), CStr::as_ptr);
            pg_sys::BackgroundWorkerInitializeConnection(database, std::ptr::null(), 0);
        }
        Self { _connected: () }
    }

    /// Takes back what was SET in this process, as RESET ALL does.
    pub fn reset_settings(&mut self) {
        // SAFETY: no transaction is open.
        unsafe { pg_sys::ResetAllOptions() }
    }

    /// Runs `body` in a transaction of its own, shown in pg_stat_activity as `activity`. An error in it, or in the commit,
    /// aborts the transaction and is returned.
    pub fn transaction<R>(&mut self, activity: &CStr, body: impl FnOnce() -> Result<R, Error>) -> Result<R, Failure> {
        // SAFETY: no transaction is open: only this function opens one, and `body` cannot call it again. The string ends in NUL and is copied.
        unsafe {
            pg_sys::SetCurrentStatementStartTimestamp();
            pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, activity.as_ptr());
        }
        let result = PgTryBuilder::new(AssertUnwindSafe(|| {
            // SAFETY: opens the transaction and a snapshot, which queries need.
            unsafe {
                pg_sys::StartTransactionCommand();
                pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            }
            let result = body().map_err(ErrorReport::from).unwrap_or_report();
            // SAFETY: closes what was opened above.
            unsafe {
                pg_sys::PopActiveSnapshot();
                pg_sys::CommitTransactionCommand();
            }
            Ok(result)
        }))
        .catch_others(|error| Err(Failure::from(error)))
        .execute();
        // SAFETY: after an error the transaction is still open and is cleaned up as autovacuum does it; the reports are made
        // outside a transaction, as they ask for, and NULL is allowed for an idle process.
        unsafe {
            if result.is_err() {
                pg_sys::AbortCurrentTransaction();
            }
            pg_sys::pgstat_report_stat(true);
            pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_IDLE, std::ptr::null());
        }
        result
    }
}
