//! `operations_prune_job_history()`

use pgrx::datum::DatumWithOid;
use pgrx::pg_extern;
use pgrx::pg_sys::panic::ErrorReport;

use crate::arguments;
use crate::citus::OnCitus;
use crate::error::Error;
use crate::jobs;
use crate::pg::call::Call;
use crate::pg::session::{self, Settings};
use crate::query;
use crate::schema::Schema;

const PRUNE_WORKER: &str = include_str!("sql/prune_worker_history.sql");
const PRUNE_PG_CRON: &str = include_str!("sql/prune_pg_cron_history.sql");

/// The longest history that may be asked for: a hundred years.
const MAX_DAYS: i32 = 36_525;

#[pg_extern(sql = r#"
create procedure @extschema@.operations_prune_job_history(p_keep_days integer default 7)
language c as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';

revoke all on procedure @extschema@.operations_prune_job_history(integer) from public;

comment on procedure @extschema@.operations_prune_job_history(integer) is
    'Deletes the records of job runs that ended more than p_keep_days days ago: those of the extension''s worker and, where pg_cron is installed, those of the current role''s runs of these jobs there.';
"#)]
fn operations_prune_job_history(call: Call<'_>, p_keep_days: Option<i32>) -> Result<(), ErrorReport> {
    let days = arguments::required("p_keep_days", p_keep_days)?;
    let days = arguments::in_range("p_keep_days", days, 0..=MAX_DAYS)?;
    session::require_writable("operations_prune_job_history")?;
    Ok(prune(&Schema::of(call, OnCitus::PlainHistory("operations_prune_job_history()"))?, days)?)
}

fn prune(schema: &Schema, days: i32) -> Result<(), Error> {
    let _settings = Settings::safe_search_path();
    let arguments = [DatumWithOid::from(days)];
    jobs::as_owner_of_the_list(schema, || query::run(&schema.sql(PRUNE_WORKER), &arguments))?;
    if jobs::pg_cron_version()?.is_some() {
        query::run(PRUNE_PG_CRON, &[DatumWithOid::from(days), DatumWithOid::from(jobs::commands(schema))])?;
    }
    Ok(())
}
