//! Runs the jobs on servers where pg_cron does not.
//!
//! There is a process for each group of jobs, so that a slow job does not hold up another one, and one job never runs
//! twice at once; and the launcher, which finds their database. The processes are started with the server, idle through recovery, and restarted after a crash.

mod launcher;
mod run;
mod shared;
mod timetable;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pgrx::bgworkers::{BackgroundWorkerBuilder, BgWorkerStartTime};
use pgrx::{IntoDatum, pg_guard, pg_sys};

use crate::guc;
use crate::jobs::{self, Job};
use crate::pg::background::{self, Worker};
use crate::pg::session;
use timetable::Timetable;

/// How long the postmaster waits before it restarts a process that ended.
const RESTART_AFTER: Duration = Duration::from_secs(5);

/// A process and its jobs.
struct Group {
    /// As pg_stat_activity shows it in backend_type.
    process: &'static str,
    jobs: &'static [&'static Job],
}

static GROUPS: [Group; 3] = [
    Group { process: "operations_ext operation_insert_one", jobs: &[&jobs::INSERT_ONE] },
    Group { process: "operations_ext change_status", jobs: &[&jobs::CHANGE_STATUS] },
    Group { process: "operations_ext maintenance", jobs: &[&jobs::MAINTAIN_PARTITIONS, &jobs::PRUNE_JOB_HISTORY] },
];

/// Whether the server started with the library in shared_preload_libraries. Set before the server forks.
static PRELOADED: AtomicBool = AtomicBool::new(false);

/// Has the server start the processes, if it is loading shared_preload_libraries.
pub fn register() {
    if !background::server_is_starting() {
        return;
    }
    PRELOADED.store(true, Ordering::Relaxed);
    shared::reserve();
    load("operations_ext launcher", "operations_ext_launcher_main", 0);
    for (index, group) in (0_i32..).zip(&GROUPS) {
        load(group.process, "operations_ext_worker_main", index);
    }
}

fn load(process: &str, function: &str, argument: i32) {
    BackgroundWorkerBuilder::new(process)
        .set_type(process)
        .set_library("operations_ext")
        .set_function(function)
        .set_argument(argument.into_datum())
        .set_start_time(BgWorkerStartTime::RecoveryFinished)
        .set_restart_time(Some(RESTART_AFTER))
        .enable_spi_access()
        .load();
}

/// Why no worker runs the jobs of this database.
#[derive(Debug)]
pub enum NotRunning {
    /// The library is not in shared_preload_libraries.
    NotPreloaded,
    /// The worker works in another database, or, if that is empty, in none.
    OtherDatabase { configured: String, current: String },
}

impl NotRunning {
    /// The facts.
    pub fn detail(&self) -> String {
        match self {
            Self::NotPreloaded => "operations_ext is not in shared_preload_libraries.".into(),
            Self::OtherDatabase { configured, current } => {
                format!("operations_ext.database is \"{configured}\", and this is \"{current}\".")
            }
        }
    }

    /// What to do.
    pub fn hint(&self) -> String {
        match self {
            Self::NotPreloaded => {
                "Add it to shared_preload_libraries, set operations_ext.database, and restart the server; or create the extension pg_cron and call operations_schedule() again.".into()
            }
            Self::OtherDatabase { current, .. } => {
                format!("Run ALTER SYSTEM SET operations_ext.database = '{current}'; SELECT pg_reload_conf();")
            }
        }
    }
}

/// Whether the worker runs the jobs of the database that the session is connected to.
pub fn runs_jobs_of_this_database() -> Result<(), NotRunning> {
    if !PRELOADED.load(Ordering::Relaxed) {
        return Err(NotRunning::NotPreloaded);
    }
    let configured = guc::database().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let current = session::current_database();
    if configured == current { Ok(()) } else { Err(NotRunning::OtherDatabase { configured, current }) }
}

/// Where the postmaster starts each process.
#[expect(unsafe_code, reason = "PostgreSQL finds the function by its name, in a process that it has started for it")]
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn operations_ext_worker_main(argument: pg_sys::Datum) {
    // SAFETY: this is a background worker, and has just started.
    unsafe { background::attach_signal_handlers() };
    let Some(group) = GROUPS.get(argument.value()) else { return };
    let database = launcher::wait_for_database();
    // SAFETY: it was registered with access to databases, and is not connected yet.
    let mut worker = unsafe { Worker::connect(Some(&database)) };
    let mut timetable = Timetable::new(group.jobs);
    loop {
        if guc::database().as_deref() != Some(&*database) {
            // A process can connect only once in its life.
            background::restart();
        }
        timetable.run_due(|job, failures| run::run(&mut worker, job, failures));
        background::wait(timetable.time_to_next());
    }
}
