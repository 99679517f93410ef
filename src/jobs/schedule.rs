//! `operations_schedule()` and `operations_unschedule()`

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, Spi, function_name, pg_extern};

use crate::citus::OnCitus;
use crate::error::Error;
use crate::jobs::worker;
use crate::jobs::{self, Job};
use crate::pg::call::Call;
use crate::pg::catalog::{self, RelationOid};
use crate::pg::session::{self, Settings};
use crate::query;
use crate::schema::Schema;

const REGISTER: &str = include_str!("sql/register.sql");
const UNREGISTER: &str = include_str!("sql/unregister.sql");
const SCHEDULE_PG_CRON: &str = include_str!("sql/schedule_pg_cron.sql");
const SCHEDULE_PG_CRON_AS: &str = include_str!("sql/schedule_pg_cron_as.sql");
const UNSCHEDULE_PG_CRON: &str = include_str!("sql/unschedule_pg_cron.sql");

/// The first pg_cron that knows intervals in seconds.
const FIRST_PG_CRON: (u32, u32) = (1, 5);

#[pg_extern(sql = r#"
create procedure @extschema@.operations_schedule()
language c as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';

revoke all on procedure @extschema@.operations_schedule() from public;

comment on procedure @extschema@.operations_schedule() is
    'Registers the jobs: operation_insert_one every 5 seconds, change_status every 3, operations_maintain_partitions and operations_prune_job_history daily. Where this database has pg_cron (1.5 or later) they are its jobs; elsewhere the extension''s worker runs them. They run with the rights of the caller, or, if that is a superuser, of the owner of operations.';
"#)]
fn operations_schedule(call: Call<'_>) -> Result<(), ErrorReport> {
    session::require_writable("operations_schedule")?;
    Ok(schedule(&Schema::of(call, OnCitus::ShardedOfCoordinator("operations_schedule()"))?)?)
}

fn schedule(schema: &Schema) -> Result<(), Error> {
    let _settings = Settings::safe_search_path();
    let role = role_to_run_as(schema);
    let Some(version) = jobs::pg_cron_version()? else {
        register(schema, &role)?;
        if let Err(why) = worker::runs_jobs_of_this_database() {
            warn_that_nobody_runs_the_jobs(&why);
        }
        return Ok(());
    };
    if !runs_every_few_seconds(&version) {
        return Err(Error::PgCronTooOld { version });
    }
    unregister(schema)?;
    unschedule_in_pg_cron(schema, Some(&role))?;
    jobs::ALL.into_iter().try_for_each(|job| schedule_in_pg_cron(schema, job, &role))
}

/// The caller; but if that is a superuser and another role owns the table, its owner: whoever owns a table decides which
/// triggers run on it, and a job that runs as a superuser would lend them its rights.
fn role_to_run_as(schema: &Schema) -> String {
    let caller = session::current_user();
    match schema.operations().ok().and_then(RelationOid::owner) {
        Some(owner) if owner != caller && catalog::is_superuser(caller) => {
            let owner = catalog::role_name(owner);
            ErrorReport::new(
                PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
                format!("the jobs will run with the rights of role \"{owner}\", which owns operations"),
                function_name!(),
            )
            .set_hint("See to it that the role may execute the procedures of operations_ext.")
            .report(PgLogLevel::NOTICE);
            owner
        }
        _ => catalog::role_name(caller),
    }
}

fn register(schema: &Schema, role: &str) -> Result<(), Error> {
    let register = schema.sql(REGISTER);
    jobs::as_owner_of_the_list(schema, || {
        Spi::connect_mut(|client| {
            jobs::ALL.into_iter().try_for_each(|job| {
                let arguments = [DatumWithOid::from(job.name), DatumWithOid::from(role)];
                client.update(register.as_str(), None, &arguments).map(|_| ())
            })
        })
    })
}

fn warn_that_nobody_runs_the_jobs(why: &worker::NotRunning) {
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_WARNING,
        "the jobs are registered, but no worker runs the jobs of this database",
        function_name!(),
    )
    .set_detail(why.detail())
    .set_hint(why.hint())
    .report(PgLogLevel::WARNING);
}

fn schedule_in_pg_cron(schema: &Schema, job: &Job, role: &str) -> Result<(), Error> {
    let command = job.command(schema);
    let mut arguments =
        vec![DatumWithOid::from(job.name), DatumWithOid::from(job.cron_schedule), DatumWithOid::from(command.as_str())];
    // Only a superuser may name another role, and only for one is the role not the caller.
    let query = if role == catalog::role_name(session::current_user()) {
        SCHEDULE_PG_CRON
    } else {
        arguments.push(DatumWithOid::from(role));
        SCHEDULE_PG_CRON_AS
    };
    query::run(query, &arguments)?;
    Ok(())
}

/// Removes the jobs from pg_cron; all, or those that run as another role than `except`.
fn unschedule_in_pg_cron(schema: &Schema, except: Option<&str>) -> Result<(), Error> {
    let names: Vec<&str> = jobs::ALL.iter().map(|job| job.name).collect();
    let commands = jobs::commands(schema);
    let arguments = [DatumWithOid::from(names), DatumWithOid::from(commands), DatumWithOid::from(except)];
    query::run(UNSCHEDULE_PG_CRON, &arguments)?;
    Ok(())
}

/// Whether a version, such as "1.6" or "1.4-1", is at least [`FIRST_PG_CRON`].
fn runs_every_few_seconds(version: &str) -> bool {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= FIRST_PG_CRON
}

#[pg_extern(sql = r#"
create procedure @extschema@.operations_unschedule()
language c as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';

revoke all on procedure @extschema@.operations_unschedule() from public;

comment on procedure @extschema@.operations_unschedule() is
    'Removes the jobs that operations_schedule() registered, from pg_cron and from the list of the extension''s worker.';
"#)]
fn operations_unschedule(call: Call<'_>) -> Result<(), ErrorReport> {
    session::require_writable("operations_unschedule")?;
    Ok(unschedule(&Schema::of(call, OnCitus::Everywhere)?)?)
}

fn unschedule(schema: &Schema) -> Result<(), Error> {
    let _settings = Settings::safe_search_path();
    unregister(schema)?;
    if jobs::pg_cron_version()?.is_some() {
        unschedule_in_pg_cron(schema, None)?;
    }
    Ok(())
}

fn unregister(schema: &Schema) -> Result<(), Error> {
    jobs::as_owner_of_the_list(schema, || query::run(&schema.sql(UNREGISTER), &[]))
}
