//! One run of one job.

use std::cell::Cell;
use std::ffi::{CStr, CString};

use pgrx::datum::datetime_support::clock_timestamp;
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, function_name, pg_sys};

use crate::error::Error;
use crate::guc;
use crate::jobs::worker::timetable::{Outcome, pause_after};
use crate::jobs::{self, Job};
use crate::pg::background::{self, Failure, Worker};
use crate::pg::catalog;
use crate::pg::session::{ActingAs, Settings};
use crate::query;
use crate::rights;
use crate::schema::Schema;

const RECORD: &str = include_str!("../sql/record.sql");

/// Runs the job, if it is registered and pg_cron does not run it. An error in it is logged and recorded, and so is the end of
/// such errors.
pub fn run(worker: &mut Worker, job: &Job, failures: u32) -> Outcome {
    let activity = CString::new(job.name).unwrap_or_default();
    let started_at = clock_timestamp();
    // The run and its record are one transaction, so that the history tells of no run that was lost in a crash.
    let outcome = worker.transaction(&activity, || {
        let Some(schema) = Schema::installed() else { return Ok(None) };
        let Some(role) = role_to_run_as(&schema, job)? else { return Ok(None) };
        start_anew_for_another_role(role);
        limit_waits_for_locks()?;
        call(&schema, job, role)?;
        record(&schema, job, started_at, None)?;
        // Given out of the transaction so that the commit, too, happens with the role's rights: deferred triggers and
        // held cursors of the role's making run only then.
        Ok(Some(ActingAs::role(role)))
    });
    let ran = match outcome {
        Ok(None) => return Outcome::NotThere,
        Ok(Some(role)) => {
            drop(role);
            Ok(())
        }
        Err(failure) => Err(failure),
    };
    // Nor may what the role's triggers set outlast the run.
    worker.reset_settings();
    match ran {
        Ok(()) => {
            if failures > 0 {
                log_end_of_failures(job, failures);
            }
            Outcome::Succeeded
        }
        Err(failure) => {
            log(job, failures + 1, &failure);
            record_failure(worker, &activity, job, started_at, failures + 1, &failure);
            Outcome::Failed
        }
    }
}

thread_local! {
    /// The role that the jobs of this process have run as.
    static RAN_AS: Cell<Option<pg_sys::Oid>> = const { Cell::new(None) };
}

/// A session keeps more than settings: temporary objects, prepared statements, advisory locks. What one role's triggers left is
/// not for another role to find: the process ends, and the postmaster starts it again.
fn start_anew_for_another_role(role: pg_sys::Oid) {
    if RAN_AS.replace(Some(role)).is_some_and(|former| former != role) {
        background::restart();
    }
}

/// A job may hold rows that others wait for. Until the transaction ends, also for deferred triggers.
fn limit_waits_for_locks() -> Result<(), Error> {
    query::run(&format!("set local lock_timeout = {}", guc::job_lock_timeout()), &[])?;
    Ok(())
}

fn record_failure(
    worker: &mut Worker,
    activity: &CStr,
    job: &Job,
    started_at: TimestampWithTimeZone,
    failures: u32,
    failure: &Failure,
) {
    let recorded = worker.transaction(activity, || match Schema::installed() {
        Some(schema) => record(&schema, job, started_at, Some(failure)),
        None => Ok(()),
    });
    if let Err(failure) = recorded {
        log(job, failures, &failure);
    }
}

/// The role that scheduled the job, if it is the worker's to run.
fn role_to_run_as(schema: &Schema, job: &Job) -> Result<Option<pg_sys::Oid>, Error> {
    let _settings = Settings::safe_search_path();
    let Some(name) = jobs::registered_by(schema, job)? else { return Ok(None) };
    if jobs::is_run_by_pg_cron_as(schema, job, &name)? {
        return Ok(None);
    }
    match CString::new(name.as_str()).ok().and_then(|name| catalog::role(&name)) {
        Some(role) => {
            // The table may have come to another owner since, whose triggers are not to run as a superuser.
            if catalog::is_superuser(role)
                && let Ok(operations) = schema.operations()
            {
                rights::require_owners_with_rights_of(operations, role)?;
            }
            Ok(Some(role))
        }
        None => Err(Error::MissingRole { job: job.name, name }),
    }
}

/// Runs the job with the rights of the role, and its triggers under the search_path that sessions of this database have.
fn call(schema: &Schema, job: &Job, role: pg_sys::Oid) -> Result<(), Error> {
    let _role = ActingAs::role(role);
    query::run(&job.command(schema), &[])?;
    Ok(())
}

fn record(
    schema: &Schema,
    job: &Job,
    started_at: TimestampWithTimeZone,
    failure: Option<&Failure>,
) -> Result<(), Error> {
    let _settings = Settings::safe_search_path();
    let status = if failure.is_none() { "succeeded" } else { "failed" };
    let message = failure.map(|failure| format!("{}: {}", sqlstate(failure.sqlstate), failure.message));
    let arguments = [
        DatumWithOid::from(job.name),
        DatumWithOid::from(started_at),
        DatumWithOid::from(status),
        DatumWithOid::from(message),
    ];
    query::run(&schema.sql(RECORD), &arguments)?;
    Ok(())
}

fn log(job: &Job, failures: u32, failure: &Failure) {
    let pause = (job.interval)().map(|interval| pause_after(interval, failures).as_secs()).unwrap_or_default();
    let how_often = if failures > 1 { format!(" {failures} times in a row") } else { String::new() };
    let message = format!("job \"{}\" failed{how_often}, next try in {pause} s: {}", job.name, failure.message);
    let mut report = ErrorReport::new(failure.sqlstate, message, function_name!());
    if let Some(detail) = &failure.detail {
        report = report.set_detail(detail.as_str());
    }
    if let Some(hint) = &failure.hint {
        report = report.set_hint(hint.as_str());
    }
    report.report(PgLogLevel::WARNING);
}

fn log_end_of_failures(job: &Job, failures: u32) {
    let message = format!("job \"{}\" succeeded again after it had failed {failures} times in a row", job.name);
    ErrorReport::new(PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, message, function_name!()).report(PgLogLevel::LOG);
}

/// The five characters of an SQLSTATE, six bits each.
fn sqlstate(code: PgSqlErrorCode) -> String {
    let code = code as u32;
    (0..5).map(|i| char::from(b'0' + ((code >> (6 * i)) & 0x3F) as u8)).collect()
}
