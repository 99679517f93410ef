//! The settings `operations_ext.*`.

use std::ffi::{CStr, CString};
use std::time::Duration;

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

use crate::pg::session;

const ONE_DAY_IN_SECONDS: i32 = 86_400;

/// A run of so many rows takes about half a second, a tenth of the usual interval.
const LARGEST_INSERT_BATCH: i32 = 10_000;

static DATABASE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));
static INSERT_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(5);
static INSERT_BATCH: GucSetting<i32> = GucSetting::<i32>::new(1);
static CHANGE_STATUS_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(3);
static LOAD_ROWS_PER_PROCESS: GucSetting<i32> = GucSetting::<i32>::new(50_000);
static JOB_LOCK_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(10_000);

/// Makes the settings known to the server. To be called once, from `_PG_init`.
pub fn register() {
    GucRegistry::define_string_guc(
        c"operations_ext.database",
        c"The database whose jobs the worker runs.",
        c"Empty turns the worker off. It needs operations_ext in shared_preload_libraries.",
        &DATABASE,
        GucContext::Sighup,
        GucFlags::empty(),
    );
    interval(
        c"operations_ext.insert_interval",
        c"How often the worker calls operation_insert_one().",
        &INSERT_INTERVAL,
    );
    GucRegistry::define_int_guc(
        c"operations_ext.insert_batch",
        c"How many operations the job operation_insert_one inserts each time.",
        c"Heeded whether pg_cron or the worker runs the job. A call by hand inserts one.",
        &INSERT_BATCH,
        1,
        LARGEST_INSERT_BATCH,
        GucContext::Sighup,
        GucFlags::empty(),
    );
    interval(
        c"operations_ext.change_status_interval",
        c"How often the worker calls change_status().",
        &CHANGE_STATUS_INTERVAL,
    );
    GucRegistry::define_int_guc(
        c"operations_ext.job_lock_timeout",
        c"How long a job of the worker waits for a lock before it fails.",
        c"0 lets it wait for ever.",
        &JOB_LOCK_TIMEOUT,
        0,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"operations_ext.load_rows_per_process",
        c"For how many rows operations_test_data() starts a process.",
        c"A load of fewer rows than twice as many runs in one process. On Citus it is not heeded: p_workers are sessions there.",
        &LOAD_ROWS_PER_PROCESS,
        1,
        i32::MAX,
        GucContext::Userset,
        GucFlags::empty(),
    );
    session::reserve_settings(c"operations_ext");
}

fn interval(name: &'static CStr, description: &'static CStr, setting: &'static GucSetting<i32>) {
    GucRegistry::define_int_guc(
        name,
        description,
        c"0 turns the job off.",
        setting,
        0,
        ONE_DAY_IN_SECONDS,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
}

/// The database that the worker is to work in, if any.
pub fn database() -> Option<CString> {
    DATABASE.get().filter(|name| !name.is_empty())
}

/// How often to insert an operation; `None` if never.
pub fn insert_interval() -> Option<Duration> {
    duration(&INSERT_INTERVAL)
}

/// How many operations to insert each time.
pub fn insert_batch() -> i32 {
    INSERT_BATCH.get()
}

/// How often to change status; `None` if never.
pub fn change_status_interval() -> Option<Duration> {
    duration(&CHANGE_STATUS_INTERVAL)
}

/// For how many rows a load starts a process.
pub fn load_rows_per_process() -> u64 {
    u64::try_from(LOAD_ROWS_PER_PROCESS.get()).unwrap_or(1)
}

/// How long a job may wait for a lock: milliseconds, 0 for ever.
pub fn job_lock_timeout() -> i32 {
    JOB_LOCK_TIMEOUT.get()
}

fn duration(setting: &GucSetting<i32>) -> Option<Duration> {
    u64::try_from(setting.get()).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}
