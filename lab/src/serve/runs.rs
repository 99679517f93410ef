//! The jobs' runs, one by one: of the extension's worker as it notes them, of pg_cron as `operations_jobs()` tells them.

use std::collections::HashMap;
use std::time::Duration;

use tokio_postgres::Row;

use super::model::Run;
use super::session::Session;
use super::store::Store;

/// What the worker has noted since; of the first look the last hour.
const WORKER: &str = "\
    SELECT run_id, job_name, (extract(epoch FROM started_at) * 1000)::float8, (extract(epoch FROM finished_at) * 1000)::float8, \
           status = 'succeeded', left(coalesce(return_message, ''), 300) \
    FROM @schema@.operations_job_run_details \
    WHERE run_id > $1 AND finished_at > clock_timestamp() - interval '1 hour' ORDER BY run_id LIMIT 3000";

/// The last runs of pg_cron's jobs. Its table is not ours to read.
const PG_CRON: &str = "\
    SELECT runs, job_name, (extract(epoch FROM last_started_at) * 1000)::float8, (extract(epoch FROM last_finished_at) * 1000)::float8, \
           last_status = 'succeeded', left(coalesce(last_message, ''), 300), failures \
    FROM @schema@.operations_jobs() WHERE scheduler = 'pg_cron' AND last_finished_at IS NOT NULL";

const HAS_PG_CRON: &str = "SELECT @schema@.operations_has_pg_cron()";

/// How far the runs of a server were read.
#[derive(Debug, Default)]
pub struct Runs {
    last: Option<i64>,
    has_pg_cron: Option<bool>,
    /// By job: how many runs and failures there were, and when the last began.
    before: HashMap<String, (i64, i64, u64)>,
    pause: u32,
}

/// Reads what has run since the last call.
pub async fn follow(store: &Store, index: usize, session: &mut Session, runs: &mut Runs, limit: Duration) {
    let server = store.lock().servers[index].name.clone();
    let is_counted = runs.last.is_some();
    let after = runs.last.unwrap_or(0);
    let Ok(rows) = session.query(WORKER, &[&after], limit).await else { return };
    for row in &rows {
        if let Some((id, run)) = run_of(row, &server) {
            runs.last = runs.last.max(Some(id));
            store.run(run, is_counted);
        }
    }
    runs.last.get_or_insert(0);
    if runs.has_pg_cron.is_none() {
        let rows = session.query(HAS_PG_CRON, &[], limit).await;
        runs.has_pg_cron = rows.ok().and_then(|rows| rows.first()?.try_get(0).ok());
    }
    if runs.has_pg_cron == Some(true) {
        follow_pg_cron(store, &server, session, runs, limit).await;
    }
}

/// Counting the runs that are kept reads all of them, so it may cost no more than a fiftieth.
async fn follow_pg_cron(store: &Store, server: &str, session: &mut Session, runs: &mut Runs, limit: Duration) {
    if runs.pause > 0 {
        runs.pause -= 1;
        return;
    }
    let began = std::time::Instant::now();
    let Ok(rows) = session.query(PG_CRON, &[], limit).await else { return };
    runs.pause = u32::try_from(began.elapsed().as_millis() * 50 / 2000).unwrap_or(u32::MAX);
    for row in &rows {
        let Some((count, run)) = run_of(row, server) else { continue };
        let failures = row.try_get(6).unwrap_or(0);
        let before = runs.before.insert(run.job.clone(), (count, failures, run.start));
        let Some((counted, failed, _)) = before.filter(|(.., began)| *began != run.start) else {
            if before.is_none() {
                store.run(run, false);
            }
            continue;
        };
        // Runs that came and went between two looks are counted, and not drawn; the daily prune takes some from both counts.
        let unseen = |now: i64, before: i64, is_this: bool| (now - before - i64::from(is_this)).max(0);
        let is_ok = run.ok == Some(true);
        let more_failed = unseen(failures, failed, !is_ok);
        let more = unseen(count - failures, counted - failed, is_ok);
        store.count_runs(server, &run.job, more, more_failed);
        store.run(run, true);
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds since 1970")]
fn run_of(row: &Row, server: &str) -> Option<(i64, Run)> {
    let milliseconds = |index: usize| row.try_get::<_, f64>(index).ok().map(|value| value.max(0.0) as u64);
    let run = Run {
        job: crate::marks::plain(row.try_get(1).ok()?),
        start: milliseconds(2)?,
        end: milliseconds(3),
        ok: row.try_get(4).ok(),
        message: crate::marks::plain(row.try_get(5).ok()?),
        server: server.to_owned(),
    };
    Some((row.try_get(0).ok()?, run))
}
