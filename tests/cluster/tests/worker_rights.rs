//! The worker never does more than the one who scheduled may do.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use operations_cluster::expect::{run, wait_for_runs, wait_for_text};
use operations_cluster::{DATABASE, Server, text, value};
use postgres::Client;

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
    let server = Server::primary().with_fast_worker().start().unwrap();
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
    run(&mut admin, "CALL operations_schedule()");
    wait_for_runs(&mut admin, "operation_insert_one", "succeeded", 1);
    let lent = "SELECT DISTINCT moment, who, superuser FROM witness ORDER BY 1";
    assert_eq!(text(&mut admin, lent).unwrap(), "at_commit|lab|f\nat_row|lab|f");
}

#[test]
fn what_a_role_leaves_in_the_workers_session_is_not_there_for_the_next() {
    let (server, mut lab, mut admin) = lab_server();
    run(
        &mut lab,
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF current_user = 'lab' THEN PERFORM pg_advisory_lock(77); END IF; RETURN new; END $$; \
         CREATE TRIGGER keep BEFORE INSERT ON operations FOR EACH ROW EXECUTE FUNCTION keep(); \
         CALL operations_schedule()",
    );
    wait_for_runs(&mut admin, "operation_insert_one", "succeeded", 1);
    let kept = "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory' AND objid = 77";
    assert_eq!(text(&mut admin, kept).unwrap(), "1");
    run(
        &mut admin,
        &format!(
            "CREATE ROLE other LOGIN PASSWORD '{}'; GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA public TO other; \
             GRANT SELECT, INSERT, UPDATE ON operations, witness TO other",
            server.password()
        ),
    );
    run(&mut server.connect_as("other", DATABASE).unwrap(), "CALL operations_schedule()");
    let runs = "SELECT (count(*) > 0)::text FROM witness WHERE moment = 'at_row' AND who = 'other'";
    wait_for_text(&mut admin, "a job to run as the other role", runs, "true");
    assert_eq!(text(&mut admin, kept).unwrap(), "0");
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
fn tables_that_pass_for_those_of_pg_cron_are_not_read() {
    let (_server, mut lab, mut admin) = lab_server();
    run(&mut admin, "CREATE SCHEMA cron AUTHORIZATION lab; GRANT EXECUTE ON FUNCTION operations_jobs() TO lab");
    // Whatever reads them runs a function of lab's.
    run(
        &mut lab,
        "CREATE FUNCTION cron.sprung() RETURNS text LANGUAGE plpgsql AS $$ BEGIN \
             INSERT INTO public.witness VALUES ('sprung', current_user, NULL); RETURN current_database(); END $$; \
         CREATE VIEW cron.job AS SELECT 1::bigint AS jobid, 'change_status'::text AS jobname, ''::text AS schedule, \
             'call public.change_status()'::text AS command, true AS active, 'lab'::text AS username, cron.sprung() AS database; \
         CREATE TABLE cron.job_run_details (jobid bigint, status text)",
    );
    run(&mut lab, "SELECT * FROM cron.job");
    assert_eq!(text(&mut lab, "SELECT who FROM witness WHERE moment = 'sprung'").unwrap(), "lab");
    run(&mut admin, "TRUNCATE witness");
    run(&mut lab, "CALL operations_schedule(); SELECT * FROM operations_jobs()");
    wait_for_runs(&mut admin, "change_status", "succeeded", 2);
    run(&mut lab, "CALL operations_prune_job_history(); CALL operations_unschedule()");
    assert_eq!(text(&mut admin, "SELECT who FROM witness WHERE moment = 'sprung'").unwrap(), "");
}
