//! The extension's own worker, which runs the jobs where pg_cron does not: that it ticks, obeys its settings, survives
//! errors and crashes, follows a promotion, and never does more than the one who scheduled may do.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::time::{Duration, Instant};

use operations_cluster::expect::{SOON, wait_for_text};
use operations_cluster::{DATABASE, Error, Server, ServerBuilder, Stop, text, value, wait_until};
use postgres::Client;

const ROWS: &str = "SELECT count(*) FROM operations";
/// The shortest interval there is.
const FAST: &str = "1s";

/// A primary whose jobs are due every second, and not scheduled yet.
fn fast() -> ServerBuilder {
    Server::primary()
        .with_worker()
        .with_extension()
        .setting("operations_ext.insert_interval", FAST)
        .setting("operations_ext.change_status_interval", FAST)
}

fn run(session: &mut Client, statements: &str) {
    session.batch_execute(statements).map_err(Error::from).unwrap();
}

/// How many runs of a job ended with a status.
fn runs(session: &mut Client, job: &str, status: &str) -> i64 {
    let query =
        format!("SELECT count(*) FROM operations_job_run_details WHERE job_name = '{job}' AND status = '{status}'");
    value(session, &query).unwrap()
}

/// Waits until a job has ended so many more times with a status.
#[track_caller]
fn wait_for_runs(session: &mut Client, job: &str, status: &str, more: i64) {
    let target = runs(session, job, status) + more;
    let history =
        "SELECT job_name, status, count(*), max(return_message) FROM operations_job_run_details GROUP BY 1, 2";
    wait_until(&format!("{more} more {status} runs of {job}"), SOON, || match runs(session, job, status) {
        count if count >= target => Ok(()),
        _ => Err(text(session, history).unwrap()),
    });
}

#[test]
fn ticks_by_itself_once_it_is_scheduled() {
    let server = fast().start().unwrap();
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
    let server = fast().setting("operations_ext.insert_interval", "0").start().unwrap();
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
fn a_long_interval_that_is_made_short_does_not_have_to_pass_first() {
    let server = fast().setting("operations_ext.insert_interval", "1h").start().unwrap();
    let mut session = server.session().unwrap();
    run(&mut session, "CALL operations_schedule()");
    wait_for_runs(&mut session, "change_status", "succeeded", 2);
    run(&mut session, "ALTER SYSTEM SET operations_ext.insert_interval = '1s'");
    run(&mut session, "SELECT pg_reload_conf()");
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 3);
}

#[test]
fn unscheduled_jobs_stop() {
    let server = fast().start().unwrap();
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
fn an_error_in_a_job_is_recorded_and_the_next_run_succeeds() {
    let server = fast().start().unwrap();
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
    let server = fast().start().unwrap();
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
    let mut primary = fast().start().unwrap();
    let mut session = primary.session().unwrap();
    run(&mut session, "CALL operations_schedule()");
    let replica = primary
        .replica()
        .setting("shared_preload_libraries", "operations_ext")
        .setting("operations_ext.database", DATABASE)
        .setting("operations_ext.insert_interval", FAST)
        .setting("operations_ext.change_status_interval", FAST)
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
    let server = fast().start().unwrap();
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
    let server = fast().start().unwrap();
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
    let server = fast().start().unwrap();
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
fn a_job_never_runs_twice_at_once() {
    let server = fast().start().unwrap();
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

/// Makes the role `lab`, which has what it needs to set up the demo by itself, and is no superuser.
fn make_lab(server: &Server) -> Client {
    let mut admin = server.session().unwrap();
    run(
        &mut admin,
        &format!(
            "CREATE EXTENSION operations_ext; CREATE ROLE lab LOGIN PASSWORD '{}'; \
             GRANT CREATE, USAGE ON SCHEMA public TO lab; GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA public TO lab",
            server.password()
        ),
    );
    server.connect_as("lab", DATABASE).unwrap()
}

/// Triggers of `lab` that record as whom a job runs: at the row, at the commit, and after trying to become a superuser.
const WITNESS: &str = "CREATE TABLE witness (moment text, who text, superuser bool); \
    CREATE FUNCTION witness() RETURNS trigger LANGUAGE plpgsql AS $$ \
    DECLARE attempt text; \
    BEGIN \
        INSERT INTO public.witness SELECT TG_NAME, rolname, rolsuper FROM pg_roles WHERE rolname = current_user; \
        FOREACH attempt IN ARRAY ARRAY['SET ROLE postgres', 'RESET ROLE', 'SET SESSION AUTHORIZATION postgres', \
                                       'RESET SESSION AUTHORIZATION'] LOOP \
            BEGIN \
                EXECUTE attempt; \
                INSERT INTO public.witness SELECT attempt, rolname, rolsuper FROM pg_roles WHERE rolname = current_user; \
            EXCEPTION WHEN OTHERS THEN NULL; \
            END; \
        END LOOP; \
        RETURN new; \
    END $$; \
    CREATE TRIGGER at_row BEFORE INSERT OR UPDATE ON operations FOR EACH ROW EXECUTE FUNCTION witness(); \
    DO $$ DECLARE month regclass; BEGIN \
        FOR month IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'operations'::regclass LOOP \
            EXECUTE format('CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT OR UPDATE ON %s DEFERRABLE INITIALLY DEFERRED \
                            FOR EACH ROW EXECUTE FUNCTION witness()', month); \
        END LOOP; END $$";

/// A server whose jobs are due every second, and where `lab` has set everything up.
fn lab_server() -> (Server, Client, Client) {
    let server = Server::primary()
        .with_worker()
        .setting("operations_ext.insert_interval", FAST)
        .setting("operations_ext.change_status_interval", FAST)
        .start()
        .unwrap();
    let mut lab = make_lab(&server);
    run(&mut lab, "CALL operations_setup()");
    run(&mut lab, WITNESS);
    let admin = server.session().unwrap();
    (server, lab, admin)
}

#[test]
fn jobs_run_with_the_rights_of_the_one_who_scheduled_them() {
    let (_server, mut lab, mut admin) = lab_server();
    run(&mut lab, "CALL operations_schedule()");
    wait_for_runs(&mut admin, "operation_insert_one", "succeeded", 3);
    wait_for_runs(&mut admin, "change_status", "succeeded", 3);
    let who = "SELECT DISTINCT moment, who, superuser FROM witness WHERE moment IN ('at_row', 'at_commit') OR superuser \
               ORDER BY 1";
    assert_eq!(text(&mut admin, who).unwrap(), "at_commit|lab|f\nat_row|lab|f");
    // The list of jobs says as whom they run: it is not the user's to write.
    let forge = "UPDATE operations_job SET username = 'postgres'";
    let error = operations_cluster::db_error(lab.batch_execute(forge)).unwrap();
    assert_eq!(error.code().code(), "42501", "{error:?}");
}

#[test]
fn a_superusers_job_does_not_lend_its_rights_to_the_tables_owner() {
    let (_server, _lab, mut admin) = lab_server();
    // It may be refused, fail in the worker or run as the owner; as a superuser it may not run.
    if admin.batch_execute("CALL operations_schedule()").is_ok() {
        wait_until("the job to be run or to fail", SOON, || {
            let ends = "SELECT count(*) FROM operations_job_run_details WHERE job_name = 'operation_insert_one'";
            match value::<i64>(&mut admin, ends).unwrap() {
                0 => Err("no run ended".to_owned()),
                _ => Ok(()),
            }
        });
    }
    let lent = "SELECT DISTINCT moment, who FROM witness WHERE superuser";
    assert_eq!(text(&mut admin, lent).unwrap(), "");
}

#[test]
fn a_job_whose_role_is_gone_fails_with_a_hint_and_not_as_somebody_else() {
    let (server, mut lab, mut admin) = lab_server();
    run(&mut lab, "CALL operations_schedule()");
    wait_for_runs(&mut admin, "operation_insert_one", "succeeded", 1);
    drop(lab);
    run(&mut admin, "REASSIGN OWNED BY lab TO postgres; DROP OWNED BY lab; DROP ROLE lab");
    let settled = value::<i64>(&mut admin, "SELECT count(*) FROM witness").unwrap();
    wait_for_runs(&mut admin, "operation_insert_one", "failed", 2);
    let named = "SELECT bool_and(last_message LIKE '%\"lab\"%') FROM operations_jobs() WHERE last_status = 'failed'";
    assert!(value::<bool>(&mut admin, named).unwrap());
    assert!(server.log_contains("HINT:").unwrap());
    assert_eq!(value::<i64>(&mut admin, "SELECT count(*) FROM witness").unwrap(), settled);
    // Whoever schedules again takes them over.
    run(&mut admin, "CALL operations_schedule()");
    wait_for_runs(&mut admin, "operation_insert_one", "succeeded", 1);
}

#[test]
fn another_database_can_be_served_without_a_restart() {
    let server = fast().start().unwrap();
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
    let server = Server::primary()
        .with_worker()
        .setting("operations_ext.insert_interval", FAST)
        .setting("operations_ext.change_status_interval", FAST)
        .start()
        .unwrap();
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

#[test]
fn a_fast_shutdown_does_not_wait_for_a_slow_job() {
    let mut server = fast().start().unwrap();
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
    let server = Server::primary()
        .with_worker()
        .setting("operations_ext.insert_interval", FAST)
        .setting("operations_ext.change_status_interval", FAST)
        .start()
        .unwrap();
    let mut session = server.session().unwrap();
    run(&mut session, "CREATE EXTENSION operations_ext; CALL operations_setup(); CALL operations_schedule()");
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 3);
}
