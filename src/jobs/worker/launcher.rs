//! Finds the database of the jobs before the processes that run them connect to it. PostgreSQL ends a process that connects to
//! a database that does not exist, and logs it each time.

use std::ffi::{CStr, CString};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, function_name, pg_guard, pg_sys};

use super::shared;
use crate::guc;
use crate::pg::background::{self, Worker};

/// How long to wait at first before looking again for a database that is missing; each time twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How often to look whether a database that was found is still there.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// How often a process asks whether its database was found.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// The database that the settings name, once it is found.
pub fn wait_for_database() -> CString {
    loop {
        match guc::database() {
            Some(name) if shared::found_database() == hash_of(&name) => return name,
            Some(_) => background::wait(Some(ASK_AGAIN_AFTER)),
            None => background::wait(None),
        }
    }
}

/// Stands for a name in shared memory; never 0.
fn hash_of(name: &CStr) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish() | 1
}

/// Where the postmaster starts the launcher.
#[expect(unsafe_code, reason = "PostgreSQL finds the function by its name, in a process that it has started for it")]
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn operations_ext_launcher_main(_argument: pg_sys::Datum) {
    // SAFETY: this is such a worker, and has just started.
    let mut worker = unsafe {
        background::attach_signal_handlers();
        Worker::connect(None)
    };
    let mut missing: Option<CString> = None;
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(name) = guc::database() else {
            shared::set_found_database(0);
            background::wait(None);
            continue;
        };
        let was_missing = missing.as_ref() == Some(&name);
        // An error here, such as a lock timeout, was no answer: the next look gives one.
        let exists = worker.transaction(c"looking for the database", || Ok(background::database_exists(&name)));
        if exists.unwrap_or(false) {
            if was_missing {
                log(PgLogLevel::LOG, &name, "is there now: its jobs run", None);
            }
            missing = None;
            shared::set_found_database(hash_of(&name));
            background::wait(Some(LOOK_AGAIN_AFTER));
        } else {
            shared::set_found_database(0);
            pause = if was_missing { (pause * 2).min(LONGEST_PAUSE) } else { FIRST_PAUSE };
            if !was_missing {
                let hint = "Create it, or set operations_ext.database to another one. pg_reload_conf() has it looked for at once.";
                log(PgLogLevel::WARNING, &name, "does not exist: no jobs run until it does", Some(hint));
            }
            missing = Some(name);
            background::wait(Some(pause));
        }
    }
}

fn log(level: PgLogLevel, name: &CStr, what: &str, hint: Option<&str>) {
    let code = match level {
        PgLogLevel::WARNING => PgSqlErrorCode::ERRCODE_INVALID_CATALOG_NAME,
        _ => PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
    };
    let message = format!("database \"{}\" of operations_ext.database {what}", name.to_string_lossy());
    let mut report = ErrorReport::new(code, message, function_name!());
    if let Some(hint) = hint {
        report = report.set_hint(hint);
    }
    report.report(level);
}
