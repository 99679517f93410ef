//! `operations_load_progress`

use pgrx::datum::TimestampWithTimeZone;
use pgrx::iter::TableIterator;
use pgrx::{name, pg_extern};

use super::progress;

#[pg_extern(sql = r#"
create function @extschema@.operations_loads(
    out pid integer,
    out started_at timestamptz,
    out phase text,
    out month text,
    out processes integer,
    out rows_done bigint,
    out rows_total bigint
)
returns setof record
language c strict volatile parallel restricted as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';

comment on function @extschema@.operations_loads() is
    'What operations_load_progress shows.';

create view @extschema@.operations_load_progress as
select pid, started_at, phase, month, processes, rows_done, rows_total
from @extschema@.operations_loads();

comment on view @extschema@.operations_load_progress is
    'The calls of operations_test_data() that are running in this database, a row each.';
comment on column @extschema@.operations_load_progress.pid is 'The process that was called, as in pg_stat_activity.';
comment on column @extschema@.operations_load_progress.started_at is 'When it began.';
comment on column @extschema@.operations_load_progress.phase is
    'planning, inserting rows, building indexes, waiting for workers, collecting statistics, attaching partitions; or copying rows, for a table that is not as operations_setup() makes it.';
comment on column @extschema@.operations_load_progress.month is 'The month that this is done to (YYYY-MM); null: to all.';
comment on column @extschema@.operations_load_progress.processes is 'How many processes do it, that of pid included.';
comment on column @extschema@.operations_load_progress.rows_done is 'Rows written so far; nobody else sees them before the load commits.';
comment on column @extschema@.operations_load_progress.rows_total is 'Rows asked for.';

revoke all on function @extschema@.operations_loads() from public;
"#)]
#[allow(clippy::type_complexity, reason = "pgrx declares columns so")]
fn operations_loads() -> TableIterator<
    'static,
    (
        name!(pid, i32),
        name!(started_at, TimestampWithTimeZone),
        name!(phase, &'static str),
        name!(month, Option<String>),
        name!(processes, i32),
        name!(rows_done, i64),
        name!(rows_total, i64),
    ),
> {
    TableIterator::new(progress::loads().into_iter().map(|load| {
        (
            load.process,
            load.started_at,
            load.phase,
            load.month.map(|month| month.to_string()),
            load.processes,
            i64::try_from(load.rows_done).unwrap_or(i64::MAX),
            i64::try_from(load.rows_total).unwrap_or(i64::MAX),
        )
    }))
}
