//! The jobs under pg_cron, where the server has it: whose they are, who sees them, whose history is pruned.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use operations_cluster::expect::{SOON, run, skipped, wait_for_runs, wait_for_text};
use operations_cluster::{DATABASE, Server, db_error, text, value, wait_until};
use postgres::Client;

/// A server on which pg_cron can be created in the database, or, with a word on it, none.
fn server_with_pg_cron(test: &str) -> Option<Server> {
    server_with_settings(test, &[])
}

fn server_with_settings(test: &str, settings: &[(&str, &str)]) -> Option<Server> {
    let mut probe = Server::primary().start().unwrap();
    let available = "SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_cron'";
    if value::<i64>(&mut probe.session().unwrap(), available).unwrap() == 0 {
        skipped(test, "this server has no pg_cron");
        return None;
    }
    probe.stop(operations_cluster::Stop::Fast).unwrap();
    let server = Server::primary()
        .with_fast_worker()
        .with_extension()
        .setting("shared_preload_libraries", "pg_cron,operations_ext")
        .setting("cron.database_name", DATABASE);
    let server = settings.iter().fold(server, |server, (name, value)| server.setting(name, value));
    Some(server.start().unwrap())
}

/// A role that logs in and may use pg_cron, and nothing of ours.
fn make_stranger(server: &Server, admin: &mut Client) -> Client {
    let password = server.password();
    run(admin, &format!("CREATE ROLE stranger LOGIN PASSWORD '{password}'; GRANT USAGE ON SCHEMA cron TO stranger"));
    server.connect_as("stranger", DATABASE).unwrap()
}

/// The roles of the demo.
fn make_roles(server: &Server) {
    let roles = std::fs::read_to_string(operations_cluster::repository("docker/init_main/06_roles.sql")).unwrap();
    let roles = server.write_file("roles.sql", &roles).unwrap();
    let psql = server.psql(DATABASE, &format!("\\i {}", roles.display())).unwrap();
    assert!(psql.is_success(), "{psql:?}");
}

#[test]
fn another_users_job_of_that_name_does_not_stop_the_workers() {
    let Some(server) = server_with_pg_cron("another_users_job_of_that_name_does_not_stop_the_workers") else { return };
    let mut admin = server.session().unwrap();
    run(&mut admin, "CALL operations_schedule()");
    run(&mut admin, "CREATE EXTENSION pg_cron");
    let mut stranger = make_stranger(&server, &mut admin);
    run(&mut stranger, "SELECT cron.schedule('change_status', '0 0 1 1 *', 'call public.change_status()')");
    wait_for_runs(&mut admin, "change_status", "succeeded", 3);
    // The same name and role with another command is another job, too; with its own command it is pg_cron's to run.
    run(&mut admin, "SELECT cron.schedule('change_status', '0 0 1 1 *', 'select 1')");
    wait_for_runs(&mut admin, "change_status", "succeeded", 3);
    run(&mut admin, "SELECT cron.schedule('change_status', '0 0 1 1 *', 'call public.change_status()')");
    let runs = "SELECT count(*) FROM operations_job_run_details WHERE job_name = 'change_status'";
    // One that was under way may still end; then the other job goes on and this one does not.
    wait_for_runs(&mut admin, "operation_insert_one", "succeeded", 2);
    let before = value::<i64>(&mut admin, runs).unwrap();
    wait_for_runs(&mut admin, "operation_insert_one", "succeeded", 4);
    assert_eq!(value::<i64>(&mut admin, runs).unwrap(), before);
}

#[test]
fn unscheduling_leaves_other_peoples_jobs() {
    let Some(server) = server_with_pg_cron("unscheduling_leaves_other_peoples_jobs") else { return };
    let mut admin = server.session().unwrap();
    run(&mut admin, "CREATE EXTENSION pg_cron");
    let mut stranger = make_stranger(&server, &mut admin);
    run(&mut stranger, "SELECT cron.schedule('change_status', '0 0 1 1 *', 'select 1')");
    run(&mut admin, "CALL operations_schedule()");
    let jobs =
        "SELECT string_agg(username || ' ' || jobname, ', ' ORDER BY username, jobname COLLATE \"C\") FROM cron.job";
    assert_eq!(
        text(&mut admin, jobs).unwrap(),
        "postgres change_status, postgres operation_insert_one, postgres operations_maintain_partitions, \
         postgres operations_prune_job_history, stranger change_status"
    );
    run(&mut admin, "CALL operations_schedule(); CALL operations_unschedule()");
    assert_eq!(text(&mut admin, jobs).unwrap(), "stranger change_status");
}

#[test]
fn only_the_history_of_our_own_jobs_is_pruned() {
    let Some(server) = server_with_pg_cron("only_the_history_of_our_own_jobs_is_pruned") else { return };
    let mut admin = server.session().unwrap();
    run(&mut admin, "CREATE EXTENSION pg_cron");
    run(
        &mut admin,
        "INSERT INTO cron.job_run_details (jobid, database, username, command, status, start_time, end_time) \
         SELECT id, database, username, command, 'succeeded', now() - age, now() - age \
         FROM (VALUES (1, current_database(), current_user, 'call public.change_status()', interval '8 days'), \
                      (2, current_database(), current_user, 'call public.change_status()', interval '6 days'), \
                      (3, current_database(), current_user, 'vacuum', interval '8 days'), \
                      (4, 'postgres', current_user, 'call public.change_status()', interval '8 days'), \
                      (5, current_database(), 'stranger', 'call public.change_status()', interval '8 days')) \
              AS run (id, database, username, command, age); \
         CALL operations_prune_job_history()",
    );
    let kept = "SELECT string_agg(jobid::text, ' ' ORDER BY jobid) FROM cron.job_run_details";
    assert_eq!(text(&mut admin, kept).unwrap(), "2 3 4 5");
}

#[test]
fn whom_it_was_granted_sees_the_jobs_and_nobody_elses() {
    let Some(server) = server_with_pg_cron("whom_it_was_granted_sees_the_jobs_and_nobody_elses") else { return };
    let mut admin = server.session().unwrap();
    run(&mut admin, "CREATE EXTENSION pg_cron");
    let mut stranger = make_stranger(&server, &mut admin);
    run(&mut stranger, "SELECT cron.schedule('change_status', '1 second', 'select 1')");
    run(
        &mut stranger,
        "SELECT cron.schedule('operation_insert_one', '0 0 1 1 *', 'call public.operation_insert_one()')",
    );
    run(&mut admin, "CALL operations_schedule()");
    make_roles(&server);
    for role in ["operations_reader", "operations_worker"] {
        run(&mut admin, &format!("SET ROLE {role}"));
        let jobs = "SELECT string_agg(format('%s %s %s', job_name, scheduler, schedule), ', ' ORDER BY job_name COLLATE \"C\") \
                    FROM operations_jobs()";
        assert_eq!(
            text(&mut admin, jobs).unwrap(),
            "change_status pg_cron 3 seconds, operation_insert_one pg_cron 5 seconds, \
             operations_maintain_partitions pg_cron 10 0 * * *, operations_prune_job_history pg_cron 20 0 * * *"
        );
        let ran =
            "SELECT runs > 0 AND last_status = 'succeeded' FROM operations_jobs() WHERE job_name = 'change_status'";
        wait_for_text(&mut admin, "a run of change_status", ran, "t");
        run(&mut admin, "RESET ROLE");
    }
    let error = db_error(stranger.batch_execute("SELECT * FROM operations_jobs()")).unwrap();
    assert_eq!(error.code().code(), "42501", "{error:?}");
    wait_until("the stranger's own job to run", SOON, || {
        match value::<i64>(&mut stranger, "SELECT count(*) FROM cron.job_run_details WHERE command = 'select 1'")
            .unwrap()
        {
            0 => Err("no run".to_owned()),
            _ => Ok(()),
        }
    });
}

#[test]
fn whoever_may_examine_the_server_sees_the_jobs_of_pg_cron() {
    let Some(server) = server_with_pg_cron("whoever_may_examine_the_server_sees_the_jobs_of_pg_cron") else { return };
    let mut admin = server.session().unwrap();
    run(&mut admin, "CREATE EXTENSION pg_cron");
    let mut stranger = make_stranger(&server, &mut admin);
    run(&mut admin, "CALL operations_schedule()");
    make_roles(&server);
    run(&mut admin, "SET ROLE operations_monitor");
    let found = |code: &str| {
        format!("SELECT coalesce(string_agg(evidence, '; '), 'nothing') FROM operations_doctor() WHERE code = '{code}'")
    };
    assert_eq!(text(&mut admin, &found("not_permitted")).unwrap(), "nothing");
    assert_eq!(text(&mut admin, &found("job_wrong_database")).unwrap(), "nothing");
    // As after an update from a version without the function.
    run(
        &mut admin,
        "RESET ROLE; REVOKE EXECUTE ON FUNCTION operations_pg_cron_jobs() FROM operations_monitor; SET ROLE operations_monitor",
    );
    let missing =
        text(&mut admin, "SELECT next_command FROM operations_doctor() WHERE code = 'not_permitted'").unwrap();
    assert_eq!(missing, "grant execute on function public.operations_pg_cron_jobs() to operations_monitor;");
    run(&mut admin, &format!("RESET ROLE; {missing} SET ROLE operations_monitor"));
    assert_eq!(text(&mut admin, &found("not_permitted")).unwrap(), "nothing");
    // Another one's job of that name, whose role may not call ours, is no finding.
    run(&mut stranger, "SELECT cron.schedule('change_status', '0 0 1 1 *', 'call public.change_status()')");
    run(
        &mut admin,
        "RESET ROLE; UPDATE cron.job SET database = 'postgres' WHERE jobname = 'change_status'; SET ROLE operations_monitor",
    );
    assert_eq!(
        text(&mut admin, &found("job_wrong_database")).unwrap(),
        format!("pg_cron runs the job change_status in database postgres, not in {DATABASE}")
    );
    run(&mut admin, "RESET ROLE; CALL operations_schedule(); SET ROLE operations_monitor");
    assert_eq!(text(&mut admin, &found("job_wrong_database")).unwrap(), "nothing");
    assert_eq!(text(&mut admin, &found("job_overlaps")).unwrap(), "nothing");
    // Two runs that hold each other up: both are named.
    run(
        &mut admin,
        "RESET ROLE; SELECT cron.unschedule(jobid) FROM cron.job; \
         SELECT cron.schedule('operation_insert_one', '0 0 1 1 *', 'call public.operation_insert_one()'); \
         INSERT INTO cron.job_run_details (jobid, runid, job_pid, database, username, command, status, start_time) \
         SELECT j.jobid, nextval('cron.runid_seq'), a.pid, j.database, j.username, j.command, 'running', now() \
         FROM cron.job j, pg_stat_activity a WHERE a.backend_type IN ('checkpointer', 'walwriter'); \
         SET ROLE operations_monitor",
    );
    assert_eq!(text(&mut admin, &found("history_grows")).unwrap(), "nothing");
    // Of others' runs nothing is said: nothing of ours prunes them.
    let old = |job: &str| {
        format!(
            "RESET ROLE; INSERT INTO cron.job_run_details (jobid, runid, database, username, command, status, start_time, end_time) \
             SELECT jobid, -jobid, database, username, command, 'succeeded', now() - interval '30 days', now() - interval '30 days' \
             FROM cron.job WHERE {job}; SET ROLE operations_monitor"
        )
    };
    run(&mut stranger, "SELECT cron.schedule('other', '0 0 1 1 *', 'select 1')");
    run(&mut admin, &old("jobname = 'other'"));
    assert_eq!(text(&mut admin, &found("history_grows")).unwrap(), "nothing");
    run(&mut admin, &old("jobname = 'operation_insert_one'"));
    assert_ne!(text(&mut admin, &found("history_grows")).unwrap(), "nothing");
    let overlap = text(&mut admin, &found("job_overlaps")).unwrap();
    assert!(overlap.starts_with("2 runs of operation_insert_one are at work at once: processes "), "{overlap}");
}

#[test]
fn a_run_inserts_as_many_operations_as_are_set() {
    let settings = [("cron.use_background_workers", "on"), ("operations_ext.insert_batch", "7")];
    let Some(server) = server_with_settings("a_run_inserts_as_many_operations_as_are_set", &settings) else { return };
    let mut admin = server.session().unwrap();
    run(&mut admin, "CREATE EXTENSION pg_cron; CALL operations_schedule()");
    // A change of status would write the rows anew.
    run(&mut admin, "SELECT cron.unschedule('change_status')");
    let runs_of = |batch: i64| {
        format!("SELECT count(*) > 0 FROM (SELECT FROM operations GROUP BY xmin::text HAVING count(*) = {batch}) run")
    };
    wait_for_text(&mut admin, "a run of 7 operations", &runs_of(7), "t");
    run(&mut admin, "ALTER SYSTEM SET operations_ext.insert_batch = 9");
    run(&mut admin, "SELECT pg_reload_conf()");
    wait_for_text(&mut admin, "a run of 9 operations", &runs_of(9), "t");
    // By hand it is one.
    run(&mut admin, "CALL operations_unschedule(); CALL operation_insert_one()");
    wait_for_text(&mut admin, "a call by hand", &runs_of(1), "t");
}
