//! The jobs, and who may run them: pg_cron, or the worker by its own job list.

mod history;
mod schedule;
pub mod worker;

pgrx::extension_sql_file!("sql/install.sql", name = "jobs", requires = ["operation_type_enum"]);

use std::time::Duration;

use pgrx::Spi;
use pgrx::datum::DatumWithOid;

use crate::error::Error;
use crate::guc;
use crate::pg::session::ActingAs;
use crate::schema::Schema;

const ONE_DAY: Duration = Duration::from_secs(86_400);

/// A procedure that is called again and again.
#[derive(Debug)]
pub struct Job {
    /// The name of the procedure, which is the name of the job.
    pub name: &'static str,
    /// When pg_cron calls it.
    pub cron_schedule: &'static str,
    /// How often the worker calls it; `None` if it is turned off.
    pub interval: fn() -> Option<Duration>,
}

impl Job {
    /// The command that runs the job.
    pub fn command(&self, schema: &Schema) -> String {
        schema.sql(&format!("call @extschema@.{}()", self.name))
    }
}

/// The new operations.
pub static INSERT_ONE: Job =
    Job { name: "operation_insert_one", cron_schedule: "5 seconds", interval: guc::insert_interval };

/// The status changes.
pub static CHANGE_STATUS: Job =
    Job { name: "change_status", cron_schedule: "3 seconds", interval: guc::change_status_interval };

/// The partitions of the months ahead.
pub static MAINTAIN_PARTITIONS: Job =
    Job { name: "operations_maintain_partitions", cron_schedule: "10 0 * * *", interval: || Some(ONE_DAY) };

/// The end of old records of job runs.
pub static PRUNE_JOB_HISTORY: Job =
    Job { name: "operations_prune_job_history", cron_schedule: "20 0 * * *", interval: || Some(ONE_DAY) };

/// All jobs.
pub static ALL: [&Job; 4] = [&INSERT_ONE, &CHANGE_STATUS, &MAINTAIN_PARTITIONS, &PRUNE_JOB_HISTORY];

/// The version of pg_cron in this database, if it is there. To be called with a safe search_path.
pub fn pg_cron_version() -> Result<Option<String>, Error> {
    const QUERY: &str = "select extversion from pg_extension where extname = 'pg_cron'";
    Spi::connect(|client| {
        let table = client.select(QUERY, Some(1), &[])?;
        Ok(if table.is_empty() { None } else { table.first().get_one::<String>()? })
    })
}

/// The role that registered a job for the worker. To be called with a safe search_path.
pub fn registered_by(schema: &Schema, job: &Job) -> Result<Option<String>, Error> {
    const FIND: &str = include_str!("sql/find.sql");
    let arguments = [DatumWithOid::from(job.name)];
    Ok(Spi::connect(|client| {
        let found = client.select(schema.sql(FIND).as_str(), Some(1), &arguments)?;
        if found.is_empty() { Ok(None) } else { found.first().get_one::<String>() }
    })?)
}

/// The commands of all jobs.
pub fn commands(schema: &Schema) -> Vec<String> {
    ALL.iter().map(|job| job.command(schema)).collect()
}

/// Whether pg_cron runs a job as this role. To be called with a safe search_path.
pub fn is_run_by_pg_cron_as(schema: &Schema, job: &Job, role: &str) -> Result<bool, Error> {
    const RUNS_IN_PG_CRON: &str = include_str!("sql/runs_in_pg_cron.sql");
    let arguments = [DatumWithOid::from(job.name), DatumWithOid::from(job.command(schema)), DatumWithOid::from(role)];
    is_in_pg_cron(RUNS_IN_PG_CRON, &arguments)
}

/// Whether pg_cron runs a job as a role that may run it. To be called with a safe search_path.
fn is_run_by_pg_cron(schema: &Schema, job: &Job) -> Result<bool, Error> {
    const SCHEDULED_IN_PG_CRON: &str = include_str!("sql/scheduled_in_pg_cron.sql");
    let arguments = [DatumWithOid::from(job.name), DatumWithOid::from(job.command(schema))];
    is_in_pg_cron(&schema.sql(SCHEDULED_IN_PG_CRON), &arguments)
}

fn is_in_pg_cron(query: &str, arguments: &[DatumWithOid<'_>]) -> Result<bool, Error> {
    if pg_cron_version()?.is_none() {
        return Ok(false);
    }
    Ok(Spi::connect(|client| client.select(query, Some(1), arguments).map(|found| !found.is_empty()))?)
}

/// Whether one of the two jobs that write to operations is registered, under whichever scheduler. To be called with a safe
/// search_path.
pub fn workload_is_scheduled(schema: &Schema) -> Result<bool, Error> {
    as_owner_of_the_list(schema, || {
        for job in [&INSERT_ONE, &CHANGE_STATUS] {
            if registered_by(schema, job)?.is_some() || is_run_by_pg_cron(schema, job)? {
                return Ok::<_, Error>(true);
            }
        }
        Ok(false)
    })
}

/// Does something with the rights of the owner of the job list, which is the owner of the extension: a role that was
/// granted a procedure needs no right on the list, and gets none.
pub fn as_owner_of_the_list<R, E>(schema: &Schema, body: impl FnOnce() -> Result<R, E>) -> Result<R, Error>
where
    Error: From<E>,
{
    let _owner = schema.job_list()?.owner().map(ActingAs::role);
    Ok(body()?)
}
