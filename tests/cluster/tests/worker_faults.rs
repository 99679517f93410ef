//! The worker in trouble: errors in jobs, killed processes, a standby and its promotion, a shutdown.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::time::{Duration, Instant};

use operations_cluster::expect::{SOON, run, wait_for_runs, wait_for_text};
use operations_cluster::{DATABASE, Server, Stop, text, value, wait_until};
use postgres::Client;

const ROWS: &str = "SELECT count(*) FROM operations";

#[test]
fn an_error_in_a_job_is_recorded_and_the_next_run_succeeds() {
    let server = Server::primary().with_fast_worker().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    run(
        &mut session,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'closed for lunch' \
         USING ERRCODE = 'lock_not_available'; END $$; \
         CREATE TRIGGER refuse BEFORE INSERT ON operations FOR EACH ROW EXECUTE FUNCTION refuse(); \
         CALL operations_schedule()",
    );
    wait_for_runs(&mut session, "operation_insert_one", "failed", 3);
    let message = "SELECT return_message LIKE '%55P03%' AND return_message LIKE '%closed for lunch%' \
                   FROM operations_job_run_details WHERE status = 'failed' LIMIT 1";
    assert!(value::<bool>(&mut session, message).unwrap());
    assert!(server.log_contains("closed for lunch").unwrap());
    wait_for_runs(&mut session, "change_status", "succeeded", 3);

    run(&mut session, "DROP TRIGGER refuse ON operations");
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 3);
    let failures = "SELECT failures >= 3 AND last_status = 'succeeded' FROM operations_jobs() \
                    WHERE job_name = 'operation_insert_one'";
    assert!(value::<bool>(&mut session, failures).unwrap());
}

#[test]
fn a_dropped_extension_or_table_is_survived() {
    let server = Server::primary().with_fast_worker().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    run(&mut session, "CALL operations_schedule()");
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 2);
    run(&mut session, "DROP TABLE operations CASCADE");
    wait_for_runs(&mut session, "operation_insert_one", "failed", 2);
    run(
        &mut session,
        "DROP EXTENSION operations_ext CASCADE; CREATE EXTENSION operations_ext; \
         CALL operations_setup(); CALL operations_schedule()",
    );
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 2);
}

#[test]
fn a_standby_is_idle_until_it_is_promoted() {
    let mut primary = Server::primary().with_fast_worker().with_extension().start().unwrap();
    let mut session = primary.session().unwrap();
    run(&mut session, "CALL operations_schedule()");
    let replica = primary
        .replica()
        .setting("shared_preload_libraries", "operations_ext")
        .setting("operations_ext.database", DATABASE)
        .setting("operations_ext.insert_interval", "1s")
        .setting("operations_ext.change_status_interval", "1s")
        .start()
        .unwrap();
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 5);
    primary.wait_for_catchup(&replica).unwrap();
    let complaint = "read-only transaction";
    assert!(!replica.log_contains(complaint).unwrap());

    drop(session);
    primary.kill_all().unwrap();
    replica.promote().unwrap();
    let mut session = replica.session().unwrap();
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 5);
    wait_for_runs(&mut session, "change_status", "succeeded", 5);
    let complaints = replica.log_contains(complaint).unwrap();
    assert!(!complaints, "{}", replica.log().unwrap());
}

#[test]
fn a_killed_process_of_the_worker_ticks_again_within_ten_seconds() {
    let server = Server::primary().with_fast_worker().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    run(&mut session, "CALL operations_schedule()");
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 3);
    let pids = "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'operations_ext %'";
    let pids: Vec<i32> = session.query(pids, &[]).unwrap().iter().map(|row| row.get(0)).collect();
    assert!(!pids.is_empty());
    let count = pids.len();
    for turn in 0..count {
        let pids = "SELECT array_agg(pid ORDER BY backend_type) FROM pg_stat_activity WHERE backend_type LIKE 'operations_ext %'";
        let pids = wait_until("the worker's processes", SOON, || {
            let mut session = server.session().map_err(|error| error.to_string())?;
            match value::<Option<Vec<i32>>>(&mut session, pids) {
                Ok(Some(pids)) if pids.len() == count => Ok(pids),
                other => Err(format!("{other:?}")),
            }
        });
        server.kill_process(pids[turn]).unwrap();
        let killed = Instant::now();
        let mut session = session_after_crash(&server);
        wait_for_runs(&mut session, "operation_insert_one", "succeeded", 2);
        wait_for_runs(&mut session, "change_status", "succeeded", 2);
        let took = killed.elapsed();
        assert!(took < Duration::from_secs(10), "it took {took:?}");
    }
}

/// A new session: PostgreSQL ends all when a process dies. One may still be given before the crash is noticed; it
/// lasts only as long as it is asked to.
fn session_after_crash(server: &Server) -> Client {
    wait_until("a session after the crash", SOON, || {
        let mut session = server.session().map_err(|error| error.to_string())?;
        text(&mut session, "SELECT pg_sleep(0.2)").map_err(|error| error.to_string())?;
        Ok(session)
    })
}

#[test]
fn r2_a_killed_backend_costs_no_row_and_the_jobs_go_on() {
    let server = Server::primary().with_fast_worker().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    run(&mut session, "CALL operations_test_data('2025-08-01', '2025-11-30', 5000, 1); CALL operations_schedule()");
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 2);
    let mut victim = server.session().unwrap();
    let pid = value::<i32>(&mut victim, "SELECT pg_backend_pid()").unwrap();
    let busy = std::thread::spawn(move || {
        victim.batch_execute("CALL operations_test_data('2025-08-01', '2025-11-30', 50000000, 1)")
    });
    wait_until("the load to be under way", SOON, || {
        let done = "SELECT coalesce(max(tuples_processed), 0) FROM pg_stat_progress_copy";
        match value::<i64>(&mut session, done).unwrap() {
            0 => Err("no row yet".to_owned()),
            _ => Ok(()),
        }
    });
    let kept = value::<i64>(&mut session, ROWS).unwrap();
    server.kill_process(pid).unwrap();
    let killed = Instant::now();
    assert!(busy.join().unwrap().is_err());
    let mut session = session_after_crash(&server);
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 2);
    wait_for_runs(&mut session, "change_status", "succeeded", 2);
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(10), "it took {took:?}");
    // The load left nothing; the rows that the worker has inserted are few.
    let rows = value::<i64>(&mut session, ROWS).unwrap();
    assert!((kept..kept + 100).contains(&rows), "{kept} rows before, {rows} after");
}

#[test]
fn a_terminated_process_of_the_worker_comes_back() {
    let server = Server::primary().with_fast_worker().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    run(&mut session, "CALL operations_schedule()");
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 3);
    run(
        &mut session,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'operations_ext %'",
    );
    let stopped = Instant::now();
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 3);
    wait_for_runs(&mut session, "change_status", "succeeded", 3);
    assert!(stopped.elapsed() < Duration::from_secs(12));
}

#[test]
fn a_fast_shutdown_does_not_wait_for_a_slow_job() {
    let mut server = Server::primary().with_fast_worker().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    run(
        &mut session,
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN new; END $$; \
         CREATE TRIGGER dawdle BEFORE INSERT ON operations FOR EACH ROW EXECUTE FUNCTION dawdle(); \
         CALL operations_schedule()",
    );
    wait_for_text(
        &mut session,
        "the slow job to be under way",
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'",
        "1",
    );
    let start = Instant::now();
    server.stop(Stop::Fast).unwrap();
    let took = start.elapsed();
    assert!(took < Duration::from_secs(10), "it took {took:?}");
    let log = server.log().unwrap();
    assert!(log.contains("database system is shut down"), "{log}");
    assert!(!log.contains("was terminated by signal"), "{log}");
}

#[test]
fn a_server_without_the_database_or_the_extension_starts_and_waits_for_them() {
    let server = Server::primary().with_fast_worker().start().unwrap();
    let mut session = server.session().unwrap();
    run(&mut session, "CREATE EXTENSION operations_ext; CALL operations_setup(); CALL operations_schedule()");
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 3);
}

/// How many lines of the log have this text.
fn lines_with(server: &Server, text: &str) -> usize {
    server.log().unwrap().lines().filter(|line| line.contains(text)).count()
}

fn wait_for_line(server: &Server, text: &str) {
    wait_until(&format!("{text:?} in the log"), SOON, || match lines_with(server, text) {
        0 => Err("no such line".to_owned()),
        _ => Ok(()),
    });
}

#[test]
fn a_missing_database_is_said_once_and_nobody_dies_of_it() {
    let server = Server::primary().with_fast_worker().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    run(&mut session, "CALL operations_schedule()");
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 1);
    let before = server.log().unwrap().lines().count();
    run(&mut session, "ALTER SYSTEM SET operations_ext.database = 'later'");
    run(&mut session, "SELECT pg_reload_conf()");
    wait_for_line(&server, "database \"later\" of operations_ext.database does not exist");
    // Nothing else can prove that nobody dies meanwhile: processes that end are started anew after five seconds.
    run(&mut session, "SELECT pg_sleep(11)");
    let log = server.log().unwrap();
    let said: Vec<_> = log.lines().skip(before).filter(|line| line.contains("does not exist")).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    let died = "FATAL:  database \"later\" does not exist";
    assert!(!log.contains(died), "{log}");

    server.create_database("later").unwrap();
    let mut later = server.connect("later").unwrap();
    run(&mut later, "CREATE EXTENSION operations_ext; CALL operations_setup(); CALL operations_schedule()");
    run(&mut session, "SELECT pg_reload_conf()");
    wait_for_runs(&mut later, "operation_insert_one", "succeeded", 2);
    assert_eq!(lines_with(&server, "database \"later\" of operations_ext.database is there now"), 1);
    assert!(!server.log_contains(died).unwrap());
}

#[test]
fn a_job_that_fails_always_is_tried_less_and_less_often() {
    let server = Server::primary().with_fast_worker().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    run(
        &mut session,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'closed for lunch'; END $$; \
         CREATE TRIGGER refuse BEFORE INSERT ON operations FOR EACH ROW EXECUTE FUNCTION refuse(); \
         CALL operations_schedule()",
    );
    wait_for_runs(&mut session, "operation_insert_one", "failed", 5);
    // After 1, 2, 4 and 8 seconds, whatever the machine adds.
    let pauses = "SELECT string_agg((pause >= least)::text || (pause < 2 * least + 1), ' ') FROM ( \
        SELECT extract(epoch FROM started_at - lag(finished_at) OVER n) AS pause, 2 ^ (row_number() OVER n - 2) AS least \
        FROM operations_job_run_details WHERE job_name = 'operation_insert_one' WINDOW n AS (ORDER BY run_id)) p \
        WHERE pause IS NOT NULL";
    assert_eq!(text(&mut session, pauses).unwrap(), ["truetrue"; 4].join(" "));
    assert_eq!(lines_with(&server, "job \"operation_insert_one\" failed"), 5);
    wait_for_line(&server, "failed 5 times in a row, next try in 16 s: closed for lunch");

    run(&mut session, "DROP TRIGGER refuse ON operations");
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 3);
    assert_eq!(
        lines_with(&server, "job \"operation_insert_one\" succeeded again after it had failed 5 times in a row"),
        1
    );
    // And a later failure begins with the interval again.
    run(&mut session, "CREATE TRIGGER refuse BEFORE INSERT ON operations FOR EACH ROW EXECUTE FUNCTION refuse()");
    wait_for_line(&server, "job \"operation_insert_one\" failed, next try in 1 s: closed for lunch");
    wait_for_runs(&mut session, "operation_insert_one", "failed", 1);
}

#[test]
fn a_job_gives_its_rows_back_when_it_cannot_have_a_lock() {
    let server = Server::primary()
        .with_fast_worker()
        .with_extension()
        .setting("operations_ext.job_lock_timeout", "1s")
        .start()
        .unwrap();
    let mut session = server.session().unwrap();
    let mut holder = server.session().unwrap();
    run(&mut session, "CALL operations_test_data('2025-08-01', '2025-08-31', 1000, 1)");
    // Holds the lock that the job's own refresh needs.
    run(&mut holder, "BEGIN; REFRESH MATERIALIZED VIEW CONCURRENTLY client_type_sum_mv");
    run(&mut session, "CALL operations_schedule()");
    wait_for_runs(&mut session, "change_status", "failed", 2);
    let cause = "SELECT DISTINCT return_message LIKE '55P03%' FROM operations_job_run_details WHERE status = 'failed'";
    assert_eq!(text(&mut session, cause).unwrap(), "t");
    // Between its tries the rows are free.
    run(&mut session, "SET lock_timeout = '5s'; UPDATE operations SET client_id = client_id WHERE status = 0");
    run(&mut holder, "COMMIT");
    wait_for_runs(&mut session, "change_status", "succeeded", 2);
}
