//! The demo as its user meets it.

use operations_lab::checks::{Outcome, same};
use operations_lab::server::db_error;

use crate::contents::{
    DONE_ROWS, ROWS, are_equal, at_least, come_to_be_more_than, no_run_failed_after, replica_streams, system_identifier,
};
use crate::demo::Demo;

pub fn up_from_nothing(demo: &Demo) -> Outcome {
    demo.down_with_data()?;
    demo.compose().up(&[])?;
    let (primary, replica) = (demo.primary(), demo.replica());
    same(
        "health",
        &["healthy".to_owned(), "healthy".to_owned()],
        &[primary.container()?.health()?, replica.container()?.health()?],
    )?;
    // What --wait promised is true now, not soon.
    let jobs = "SELECT pg_catalog.count(*) FROM public.operations_jobs() WHERE scheduler = 'pg_cron' AND runs > 0
        AND failures = 0 AND job_name IN ('operation_insert_one', 'change_status')";
    primary.answers("jobs that have run", jobs, "2")?;
    replica_streams(demo)?;
    replica.answers("the replica is in recovery", "SELECT pg_catalog.pg_is_in_recovery()", "t")?;
    // The log does tell of a clone, or the checks that look for none would prove nothing.
    primary.log()?.says(&["BASE_BACKUP"])
}

/// What there is, what is wanted, and how to ask for it.
const OBJECTS: [(&str, &str, &str); 11] = [
    ("encoding of the database", "UTF8", "SELECT pg_catalog.current_setting('server_encoding')"),
    ("table", "p", "SELECT relkind FROM pg_catalog.pg_class WHERE oid = 'public.operations'::regclass"),
    ("materialized view", "m", "SELECT relkind FROM pg_catalog.pg_class WHERE oid = 'public.client_type_sum_mv'::regclass"),
    (
        "enum",
        "offline,online",
        "SELECT pg_catalog.string_agg(e::text, ',') FROM pg_catalog.unnest(
             pg_catalog.enum_range(NULL::public.operation_type_enum)) AS e",
    ),
    (
        "procedures that are missing",
        "0",
        "SELECT pg_catalog.count(*) FROM pg_catalog.unnest(ARRAY['operations_setup', 'operations_test_data',
             'operation_insert_one', 'change_status', 'operations_maintain_partitions', 'operations_schedule',
             'operations_unschedule']) AS p WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_proc
             WHERE prokind = 'p' AND pronamespace = 'public'::regnamespace AND proname = p)",
    ),
    (
        "extensions",
        "operations_ext,pg_cron",
        "SELECT pg_catalog.string_agg(extname, ',' ORDER BY extname) FROM pg_catalog.pg_extension
         WHERE extname IN ('operations_ext', 'pg_cron')",
    ),
    (
        "months since 2025-08, today's and three ahead",
        "t",
        "SELECT pg_catalog.bool_and(pg_catalog.to_regclass('public.operations_' || pg_catalog.to_char(m, 'YYYY_MM')) IS NOT NULL)
         FROM pg_catalog.generate_series('2025-08-01', current_date + interval '3 months', interval '1 month') AS m",
    ),
    ("test data", "t", "SELECT pg_catalog.count(*) >= 100000 FROM public.operations"),
    (
        "jobs",
        "change_status,operation_insert_one,operations_maintain_partitions,operations_prune_job_history",
        "SELECT pg_catalog.string_agg(jobname, ',' ORDER BY jobname) FROM cron.job WHERE active",
    ),
    (
        "replication user",
        "t",
        "SELECT rolreplication AND NOT rolsuper FROM pg_catalog.pg_roles WHERE rolname = 'replicator'",
    ),
    ("slots", "t", "SELECT pg_catalog.bool_and(active) FROM pg_catalog.pg_replication_slots"),
];

pub fn all_objects(demo: &Demo) -> Outcome {
    demo.need()?;
    OBJECTS.iter().try_for_each(|(what, wanted, query)| demo.primary().answers(what, query, wanted))
}

pub fn rows_grow_and_flip(demo: &Demo) -> Outcome {
    demo.need()?;
    let primary = demo.primary();
    let (rows, done) = (primary.ask(ROWS)?, primary.ask(DONE_ROWS)?);
    come_to_be_more_than(demo, ROWS, &rows)?;
    come_to_be_more_than(demo, DONE_ROWS, &done)?;
    no_run_failed_after(primary, "0")?;
    let sums = "SELECT NOT EXISTS (TABLE public.client_type_sum_mv EXCEPT SELECT client_id, operation_type,
        pg_catalog.sum(amount) FROM public.operations WHERE status = 1 GROUP BY client_id, operation_type)";
    primary.comes_to_answer("the materialized view to be the sum of what is done", sums, "t", 20)
}

pub fn replica_is_equal(demo: &Demo) -> Outcome {
    demo.need()?;
    are_equal(demo)
}

pub fn replica_refuses_writes(demo: &Demo) -> Outcome {
    demo.need()?;
    let refused = db_error(demo.replica().connect()?.batch_execute("DELETE FROM public.operations"));
    let refused = refused.ok_or("the replica took a write")?;
    same("SQLSTATE (25006 is read_only_sql_transaction)", "25006", refused.code().code())
}

pub fn second_up_changes_nothing(demo: &Demo) -> Outcome {
    demo.need()?;
    let containers = || -> Outcome<[String; 2]> {
        let which = "{{.Id}} {{.State.StartedAt}}";
        Ok([demo.primary().container()?.inspect(which)?, demo.replica().container()?.inspect(which)?])
    };
    let before = containers()?;
    demo.compose().up(&[])?;
    same("containers after a second up", &before, &containers()?)
}

pub fn down_and_up_keep_the_data(demo: &Demo) -> Outcome {
    demo.need()?;
    let (rows, system) = (demo.primary().ask(ROWS)?, system_identifier(demo)?);
    demo.compose().run(&["down", "--timeout", "30"])?;
    demo.compose().up(&[])?;
    same("system identifier", &system, &system_identifier(demo)?)?;
    at_least(demo, ROWS, &rows)?;
    // The containers are new, and so are their logs.
    demo.primary().log()?.does_not_say(&["BASE_BACKUP"], "the replica was cloned anew")?;
    are_equal(demo)
}
