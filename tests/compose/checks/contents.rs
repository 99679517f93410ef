//! What the two servers hold and do: equal rows, a replica that streams, jobs that run.

use operations_lab::checks::Outcome;
use operations_lab::server::text;

use crate::demo::Demo;
use crate::programs::wait;
use crate::service::Service;

const DIGEST: &str = "SELECT pg_catalog.count(*), pg_catalog.sum(o.amount), pg_catalog.sum(o.status),
    pg_catalog.md5(pg_catalog.string_agg(o::text, ',' ORDER BY o.operation_date, o.id)) FROM public.operations AS o";

/// The replica's rows are the primary's: with writers held off, it must come to the same digest.
pub fn are_equal(demo: &Demo) -> Outcome {
    let mut holder = demo.primary().connect()?;
    holder.batch_execute("BEGIN; LOCK TABLE public.operations IN SHARE MODE")?;
    let wanted = text(&mut holder, DIGEST)?;
    demo.replica().comes_to_answer("the replica to hold the primary's rows", DIGEST, &wanted, 60)?;
    Ok(holder.batch_execute("ROLLBACK")?)
}

const STREAMS: &str = "SELECT pg_catalog.count(*) > 0 FROM pg_catalog.pg_stat_replication WHERE state = 'streaming'";

pub fn replica_streams(demo: &Demo) -> Outcome {
    demo.primary().answers("a replica streams", STREAMS, "t")
}

pub fn replica_comes_to_stream(demo: &Demo, seconds: u64) -> Outcome {
    demo.primary().comes_to_answer("the replica to stream again", STREAMS, "t", seconds)
}

/// A run of both jobs that begins after now succeeds.
pub fn jobs_tick(demo: &Demo) -> Outcome {
    jobs_tick_on(demo.primary())
}

/// The same on a server that need not have been made as the primary.
pub fn jobs_tick_on(server: Service<'_>) -> Outcome {
    // HAProxy may still lead to a server that is just being stopped, and that sends clients away.
    let since = wait("the server's time", 20, || server.ask("SELECT pg_catalog.clock_timestamp()"))?;
    let runs = format!(
        "SELECT pg_catalog.count(DISTINCT j.jobname) FROM cron.job_run_details AS d JOIN cron.job AS j USING (jobid)
         WHERE d.status = 'succeeded' AND d.start_time > '{since}' AND j.jobname IN ('operation_insert_one', 'change_status')"
    );
    server.comes_to_answer(&format!("both jobs to run after {since}"), &runs, "2", 20)
}

/// The id of pg_cron's newest run.
pub fn newest_run(server: Service<'_>) -> Outcome<String> {
    server.ask("SELECT coalesce(pg_catalog.max(runid), 0) FROM cron.job_run_details")
}

/// No run with a later id has failed.
pub fn no_run_failed_after(server: Service<'_>, runid: &str) -> Outcome {
    let failed = format!(
        "SELECT coalesce(pg_catalog.string_agg(pg_catalog.concat_ws(': ', command, return_message), '; '), '')
         FROM cron.job_run_details WHERE status = 'failed' AND runid > {runid}"
    );
    server.answers("failed runs", &failed, "")
}

pub fn system_identifier(demo: &Demo) -> Outcome<String> {
    demo.primary().ask("SELECT system_identifier FROM pg_catalog.pg_control_system()")
}

pub const ROWS: &str = "SELECT pg_catalog.count(*) FROM public.operations";
pub const DONE_ROWS: &str = "SELECT pg_catalog.count(*) FROM public.operations WHERE status = 1";

/// The primary has at least so many, as one of the queries above counts them.
pub fn at_least(demo: &Demo, count: &str, rows: &str) -> Outcome {
    demo.primary().answers(&format!("at least {rows} rows"), &format!("SELECT ({count}) >= {rows}"), "t")
}

/// It comes to have more.
pub fn come_to_be_more_than(demo: &Demo, count: &str, rows: &str) -> Outcome {
    let more = format!("SELECT ({count}) > {rows}");
    demo.primary().comes_to_answer(&format!("more than {rows} rows ({count})"), &more, "t", 20)
}
