//! The extension's own worker, which runs the jobs where pg_cron does not: that it ticks, obeys its settings, and
//! never runs a job twice at once.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use operations_cluster::expect::{run, wait_for_runs, wait_for_text};
use operations_cluster::{Server, Stop, db_error, text, value};

const ROWS: &str = "SELECT count(*) FROM operations";

#[test]
fn ticks_by_itself_once_it_is_scheduled() {
    let server = Server::primary().with_fast_worker().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    run(&mut session, "CALL operations_schedule()");
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 3);
    wait_for_runs(&mut session, "change_status", "succeeded", 3);
    let today = "SELECT count(*) >= 3 FROM operations WHERE operation_date = current_date";
    assert!(value::<bool>(&mut session, today).unwrap());
    wait_for_text(&mut session, "rows to be done", "SELECT count(*) > 0 FROM operations WHERE status = 1", "t");
    let jobs = "SELECT string_agg(format('%s %s %s %s', job_name, runs > 0, failures, last_status), ', ' ORDER BY job_name) \
                FROM operations_jobs() WHERE job_name IN ('operation_insert_one', 'change_status')";
    assert_eq!(text(&mut session, jobs).unwrap(), "change_status t 0 succeeded, operation_insert_one t 0 succeeded");
    let processes = "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type LIKE 'operations_ext %'";
    assert!(value::<bool>(&mut session, processes).unwrap());
}

#[test]
fn starts_with_the_server_and_needs_nobody_to_connect_first() {
    let mut server =
        Server::primary().with_fast_worker().with_extension().setting("autovacuum", "off").start().unwrap();
    run(&mut server.session().unwrap(), "CALL operations_schedule()");
    server.restart(Stop::Fast).unwrap();
    wait_for_runs(&mut server.session().unwrap(), "change_status", "succeeded", 1);
    // A process that dies is started again, so that the jobs run at last: what it died of is in the log. A client that comes
    // too early, as the one that waits for the start, dies of nothing else.
    let log = server.log().unwrap();
    let usual = ["administrator command", "the database system is starting up"];
    let died: Vec<_> =
        log.lines().filter(|line| line.contains("FATAL") && !usual.iter().any(|part| line.contains(part))).collect();
    assert!(died.is_empty(), "{died:?}");
}

#[test]
fn the_defaults_are_five_and_three_seconds() {
    let server = Server::primary().with_worker().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    run(&mut session, "CALL operations_schedule()");
    for (job, setting, seconds) in [
        ("operation_insert_one", "operations_ext.insert_interval", 5.0),
        ("change_status", "operations_ext.change_status_interval", 3.0),
    ] {
        let shown = text(&mut session, &format!("SHOW {setting}")).unwrap();
        assert_eq!(shown, format!("{seconds}s"));
        wait_for_runs(&mut session, job, "succeeded", 3);
        let pauses = format!(
            "SELECT avg(pause)::float8 FROM (SELECT extract(epoch FROM started_at - lag(started_at) OVER (ORDER BY started_at)) \
             AS pause FROM operations_job_run_details WHERE job_name = '{job}') p"
        );
        let pause = value::<f64>(&mut session, &pauses).unwrap();
        assert!((seconds - 1.0..seconds + 1.5).contains(&pause), "{job}: {pause} s between runs");
    }
}

#[test]
fn reloaded_settings_take_effect_and_zero_turns_a_job_off() {
    let server = Server::primary()
        .with_fast_worker()
        .with_extension()
        .setting("operations_ext.insert_interval", "0")
        .start()
        .unwrap();
    let mut session = server.session().unwrap();
    run(&mut session, "CALL operations_schedule()");
    wait_for_runs(&mut session, "change_status", "succeeded", 2);
    assert_eq!(value::<i64>(&mut session, ROWS).unwrap(), 0);

    run(&mut session, "ALTER SYSTEM SET operations_ext.insert_interval = '1s'");
    run(&mut session, "SELECT pg_reload_conf()");
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 2);

    run(&mut session, "ALTER SYSTEM SET operations_ext.insert_interval = 0");
    run(&mut session, "SELECT pg_reload_conf()");
    // One that was under way may still end; then the other job goes on and this one does not.
    wait_for_runs(&mut session, "change_status", "succeeded", 2);
    let before = value::<i64>(&mut session, ROWS).unwrap();
    wait_for_runs(&mut session, "change_status", "succeeded", 4);
    assert_eq!(value::<i64>(&mut session, ROWS).unwrap(), before);
    let active = "SELECT active FROM operations_jobs() WHERE job_name = 'operation_insert_one'";
    assert!(!value::<bool>(&mut session, active).unwrap());
}

#[test]
fn a_run_inserts_a_batch_and_a_call_by_hand_one_row() {
    let server = Server::primary()
        .with_fast_worker()
        .with_extension()
        .setting("operations_ext.insert_batch", "25")
        .setting("operations_ext.change_status_interval", "0")
        .start()
        .unwrap();
    let mut session = server.session().unwrap();
    run(&mut session, "CALL operation_insert_one()");
    assert_eq!(value::<i64>(&mut session, ROWS).unwrap(), 1);
    run(&mut session, "CALL operations_schedule()");
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 2);
    // The rows of a run and its record are one transaction.
    let each = "SELECT (SELECT count(*) FROM operations) - 1 = 25 * (SELECT count(*) FROM operations_job_run_details \
                WHERE job_name = 'operation_insert_one' AND status = 'succeeded')";
    assert!(value::<bool>(&mut session, each).unwrap());
    // No two are alike.
    let distinct = "SELECT count(DISTINCT operation_guid) = count(*) AND count(DISTINCT amount) > 5 FROM operations";
    assert!(value::<bool>(&mut session, distinct).unwrap());

    for (batch, sqlstate) in [("0", "22023"), ("-1", "22023"), ("10001", "22023"), ("abc", "22023")] {
        let refused =
            db_error(session.batch_execute(&format!("ALTER SYSTEM SET operations_ext.insert_batch = '{batch}'")));
        assert_eq!(refused.unwrap().code().code(), sqlstate, "{batch}");
    }
    assert_eq!(db_error(session.batch_execute("SET operations_ext.insert_batch = 5")).unwrap().code().code(), "55P02");
    run(&mut session, "ALTER SYSTEM SET operations_ext.insert_batch = 1000");
    run(&mut session, "SELECT pg_reload_conf()");
    let large = "SELECT count(*) >= 1000 FROM operations GROUP BY xmin::text ORDER BY 1 DESC LIMIT 1";
    wait_for_text(&mut session, "a run of the new size", large, "t");
    run(&mut session, "CALL change_status()");
    assert_eq!(text(&mut session, "SELECT count(*) FROM operations_verify_rollup()").unwrap(), "0");
}

/// pg_cron without background workers connects under that name. The name gives no right: its bearer inserts as itself.
#[test]
fn a_session_of_pg_cron_is_a_run_of_the_job() {
    let server = Server::primary().with_worker().with_extension().setting("operations_ext.insert_batch", "7").start();
    let server = server.unwrap();
    let mut session = server.session().unwrap();
    run(&mut session, "SET application_name = 'pg_cron'; CALL operation_insert_one()");
    assert_eq!(value::<i64>(&mut session, ROWS).unwrap(), 7);
    run(&mut session, "SET application_name = 'pg_cron scheduler'; CALL operation_insert_one()");
    assert_eq!(value::<i64>(&mut session, ROWS).unwrap(), 8);
}

#[test]
fn a_long_interval_that_is_made_short_does_not_have_to_pass_first() {
    let server = Server::primary()
        .with_fast_worker()
        .with_extension()
        .setting("operations_ext.insert_interval", "1h")
        .start()
        .unwrap();
    let mut session = server.session().unwrap();
    run(&mut session, "CALL operations_schedule()");
    wait_for_runs(&mut session, "change_status", "succeeded", 2);
    run(&mut session, "ALTER SYSTEM SET operations_ext.insert_interval = '1s'");
    run(&mut session, "SELECT pg_reload_conf()");
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 3);
}

#[test]
fn unscheduled_jobs_stop() {
    let server = Server::primary().with_fast_worker().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    run(&mut session, "CALL operations_schedule()");
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 3);
    run(&mut session, "CALL operations_unschedule()");
    // With the jobs gone nothing else can prove that time has passed: watch for three intervals.
    let settled = value::<i64>(&mut session, ROWS).unwrap() + 1;
    run(&mut session, "SELECT pg_sleep(3)");
    assert!(value::<i64>(&mut session, ROWS).unwrap() <= settled);
    run(&mut session, "CALL operations_schedule()");
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 3);
}

#[test]
fn a_job_never_runs_twice_at_once() {
    let server = Server::primary().with_fast_worker().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    // Each run lasts two and a half intervals.
    run(
        &mut session,
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(2.5); RETURN new; END $$; \
         CREATE TRIGGER dawdle BEFORE INSERT ON operations FOR EACH ROW EXECUTE FUNCTION dawdle(); \
         CALL operations_schedule(); CALL operations_schedule()",
    );
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 3);
    let overlaps = "SELECT count(*) FROM operations_job_run_details a JOIN operations_job_run_details b \
                    ON a.job_name = b.job_name AND a.run_id < b.run_id \
                    AND (a.started_at, a.finished_at) OVERLAPS (b.started_at, b.finished_at)";
    assert_eq!(value::<i64>(&mut session, overlaps).unwrap(), 0);
    // What was missed meanwhile is not made up for in a burst.
    let counts = "SELECT count(*) <= extract(epoch FROM max(finished_at) - min(started_at)) / 2.5 + 1 \
                  FROM operations_job_run_details WHERE job_name = 'operation_insert_one'";
    assert!(value::<bool>(&mut session, counts).unwrap());
}

#[test]
fn another_database_can_be_served_without_a_restart() {
    let server = Server::primary().with_fast_worker().with_extension().start().unwrap();
    server.create_database("second").unwrap();
    let mut second = server.connect("second").unwrap();
    run(&mut second, "CREATE EXTENSION operations_ext");
    run(&mut second, "CALL operations_setup()");
    let mut session = server.session().unwrap();
    run(&mut session, "CALL operations_schedule()");
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 1);
    run(&mut session, "ALTER SYSTEM SET operations_ext.database = 'second'");
    run(&mut session, "SELECT pg_reload_conf()");
    run(&mut second, "CALL operations_schedule()");
    wait_for_runs(&mut second, "operation_insert_one", "succeeded", 2);
    let before = value::<i64>(&mut session, ROWS).unwrap();
    wait_for_runs(&mut second, "operation_insert_one", "succeeded", 3);
    assert_eq!(value::<i64>(&mut session, ROWS).unwrap(), before);
}

#[test]
fn a_quoted_mixed_case_schema_is_served_too() {
    let server = Server::primary().with_fast_worker().start().unwrap();
    let mut session = server.session().unwrap();
    run(
        &mut session,
        "CREATE SCHEMA \"Operations Lab\"; CREATE EXTENSION operations_ext SCHEMA \"Operations Lab\"; \
         CALL \"Operations Lab\".operations_setup(); CALL \"Operations Lab\".operations_schedule(); \
         SET search_path = \"Operations Lab\"",
    );
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 3);
    wait_for_runs(&mut session, "change_status", "succeeded", 3);
}
