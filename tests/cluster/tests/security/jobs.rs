//! The state of the jobs: what is read of pg_cron is pg_cron's, and not somebody else's schema of that name.

use operations_cluster::expect::run;
use operations_cluster::text;

use crate::lab::{Lab, MALLORY, READER, refused};

const CRON: &str = "\
    CREATE VIEW cron.job AS SELECT 1::bigint AS jobid, '5 seconds'::text AS schedule, ''::text AS command, \
        ''::text AS nodename, 5432 AS nodeport, current_database()::text AS database, current_user::text AS username, \
        true AS active, 'change_status'::text AS jobname WHERE lair.spring('cron.job') = 1; \
    CREATE VIEW cron.job_run_details AS SELECT 1::bigint AS jobid, 1::bigint AS runid, 1 AS job_pid, ''::text AS database, \
        ''::text AS username, ''::text AS command, 'succeeded'::text AS status, ''::text AS return_message, \
        now() AS start_time, now() AS end_time WHERE lair.spring('cron.job_run_details') = 1; \
    GRANT USAGE ON SCHEMA cron TO PUBLIC; GRANT SELECT ON cron.job, cron.job_run_details TO PUBLIC";

#[test]
fn a_schema_named_cron_is_not_taken_for_pg_cron() {
    let mut lab = Lab::new("jobs_cron", MALLORY);
    run(&mut lab.superuser(), "CREATE SCHEMA cron AUTHORIZATION mallory");
    run(&mut lab.attacker(), CRON);
    lab.expect_armed("SELECT * FROM cron.job, cron.job_run_details", &["cron.job", "cron.job_run_details"]);
    let calls = [
        "SELECT * FROM public.operations_jobs()",
        "SELECT * FROM public.operations_pg_cron_jobs()",
        "SELECT * FROM public.operations_doctor()",
        "CALL public.operations_schedule()",
        "CALL public.operations_prune_job_history(0)",
        "CALL public.operations_test_data('2025-08-01', '2025-08-31', 20000, 3)",
        "CALL public.operations_unschedule()",
    ];
    // Whoever calls, nothing in there is theirs to run.
    for role in ["postgres", READER, MALLORY] {
        lab.expect_none_lent(role, &calls);
    }
}

/// Who may create schemas may make one of that name that nobody else may use.
#[test]
fn a_closed_schema_named_cron_does_not_blind_the_doctor() {
    let lab = Lab::new("jobs_closed", MALLORY);
    let mut superuser = lab.superuser();
    run(&mut superuser, "CREATE SCHEMA cron AUTHORIZATION mallory");
    let login = format!("CREATE ROLE sentry LOGIN PASSWORD '{}' IN ROLE operations_monitor", lab.server().password());
    run(&mut superuser, &login);
    run(&mut lab.attacker(), "CREATE TABLE cron.job (); CREATE TABLE cron.job_run_details ()");
    let mut sentry = lab.session("sentry");
    assert_eq!(refused(&mut sentry, "SELECT to_regclass('cron.job')"), "42501");
    let blind = "SELECT evidence FROM operations_doctor() WHERE code IN ('not_permitted', 'check_failed') AND evidence LIKE '%cron%'";
    assert_eq!(text(&mut sentry, blind).unwrap(), "");
}

#[test]
fn the_list_of_the_jobs_is_nobodys_to_write() {
    let lab = Lab::new("jobs_list", "mole");
    let forgeries = [
        "INSERT INTO operations_job VALUES ('change_status', 'postgres')",
        "UPDATE operations_job SET username = 'postgres'",
        "DELETE FROM operations_job",
        "TRUNCATE operations_job",
        "INSERT INTO operations_job_run_details (job_name, started_at, status) VALUES ('change_status', now(), 'failed')",
        "CREATE TRIGGER mine BEFORE INSERT ON operations_job FOR EACH ROW EXECUTE FUNCTION lair.spring_trigger()",
        "CREATE RULE mine AS ON INSERT TO operations_job DO ALSO SELECT lair.spring('rule')",
        "ALTER TABLE operations_job OWNER TO mole",
        "CALL operations_schedule()",
    ];
    for forgery in forgeries {
        run(
            &mut lab.superuser(),
            &format!("BEGIN; {}; ROLLBACK", forgery.replace("OWNER TO mole", "OWNER TO postgres")),
        );
        assert_eq!(refused(&mut lab.attacker(), forgery), "42501", "{forgery}");
    }
}
