//! `make status` asks as the superuser: what a role with fewer rights owns is named, and not read.

use operations_cluster::expect::run;
use operations_cluster::{finish, repository};

use crate::lab::{Lab, MALLORY};

const SPRINGS: &str = "WHERE lair.spring('index') = 1";

/// What `make status` prints of the database.
fn status(lab: &Lab) -> String {
    let mut psql = lab.server().client_program("psql", lab.database()).unwrap();
    psql.args(["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-f"]).arg(repository("lab/src/demo/status.sql"));
    finish(psql).unwrap().success().unwrap()
}

/// Who plans a query runs the constant parts of the indexes of what it reads.
#[test]
fn status_reads_nothing_of_a_role_that_is_no_superuser() {
    let mut lab = Lab::new("status", MALLORY);
    assert!(status(&lab).contains("20,000 rows"), "{}", status(&lab));
    run(&mut lab.superuser(), &format!("GRANT CREATE ON SCHEMA public TO {MALLORY}"));
    for (kind, relation) in
        [("TABLE", "operations_2025_08"), ("MATERIALIZED VIEW", "client_type_sum_mv"), ("TABLE", "operations")]
    {
        run(&mut lab.superuser(), &format!("ALTER {kind} public.{relation} OWNER TO {MALLORY}"));
        run(&mut lab.attacker(), &format!("CREATE INDEX trap ON public.{relation} (client_id) {SPRINGS}"));
        lab.expect_armed(&format!("SELECT count(*) FROM public.{relation} WHERE client_id > 0"), &["index"]);
        let printed = status(&lab);
        assert_eq!(lab.sprung(), [], "{printed}");
        assert!(printed.contains(&format!("not read: public.{relation} belongs to {MALLORY}")), "{printed}");
        assert!(!printed.contains(" rows"), "{printed}");
        // What comes from the catalogs is told all the same.
        assert!(printed.contains("partitions   "), "{printed}");
        let undo = format!("DROP INDEX IF EXISTS public.trap; ALTER {kind} public.{relation} OWNER TO CURRENT_USER");
        run(&mut lab.superuser(), &undo);
    }
    assert!(status(&lab).contains("20,000 rows"));
}

#[test]
fn a_name_moves_no_cursor() {
    let lab = Lab::new("status_name", MALLORY);
    let mut superuser = lab.superuser();
    run(
        &mut superuser,
        &format!("GRANT CREATE ON SCHEMA public TO {MALLORY}; ALTER TABLE operations_2025_08 OWNER TO {MALLORY}"),
    );
    run(&mut lab.attacker(), "ALTER TABLE public.operations_2025_08 RENAME TO \"\u{1b}[2J\u{9b}1m\r\u{7f}x\"");
    let printed = status(&lab);
    assert!(printed.contains("not read: public.\"?[2J?1m??x\" belongs to"), "{printed:?}");
}

/// Who owns the schema can put other functions in the place of the extension's.
#[test]
fn status_calls_no_function_that_is_not_the_extensions() {
    let mut lab = Lab::empty("status_function", MALLORY);
    run(&mut lab.superuser(), &format!("ALTER SCHEMA public OWNER TO {MALLORY}"));
    let columns = "job_name text, scheduler text, schedule text, active boolean, runs bigint, failures bigint, \
                   last_started_at timestamptz, last_finished_at timestamptz, last_status text, last_message text";
    run(
        &mut lab.attacker(),
        &format!(
            "CREATE FUNCTION public.operations_jobs() RETURNS TABLE ({columns}) LANGUAGE sql AS \
             $$ SELECT '', '', '', true, lair.spring('function'), 1, now(), now(), '', '' $$"
        ),
    );
    run(
        &mut lab.superuser(),
        "CREATE TABLE public.operations (id bigint, operation_date date, status smallint) PARTITION BY RANGE (id); \
         CREATE MATERIALIZED VIEW public.client_type_sum_mv AS SELECT 1",
    );
    lab.expect_armed("SELECT count(runs) FROM public.operations_jobs()", &["function"]);
    let printed = status(&lab);
    assert_eq!(lab.sprung(), [], "{printed}");
    assert!(printed.contains("public.operations_jobs() is not the extension's"), "{printed}");
    // What `make demo` waits for is asked in the same way.
    let missing = std::fs::read_to_string(repository("lab/src/demo/primary_missing.sql")).unwrap();
    let refused = lab.superuser().simple_query(&missing.replace("SLOT", "'none'").replace("FOLLOWER", "'none'")).err();
    assert_eq!(lab.sprung(), []);
    let refused = refused.as_ref().and_then(postgres::Error::as_db_error).map(postgres::error::DbError::message);
    assert_eq!(refused, Some("public.operations_jobs() is not the extension's"));
}

/// The primary of Compose asks for pg_cron's runs before it stops. Without pg_cron anybody may have made a table of that name.
#[test]
fn a_stop_reads_no_history_that_is_not_pg_crons() {
    let mut lab = Lab::new("stop", MALLORY);
    run(&mut lab.superuser(), &format!("GRANT CREATE ON DATABASE {} TO {MALLORY}", lab.database()));
    run(
        &mut lab.attacker(),
        "CREATE SCHEMA cron; CREATE VIEW cron.job_run_details AS \
         SELECT 'running' || lair.spring('history') AS status, 1::bigint AS runid",
    );
    lab.expect_armed("SELECT status FROM cron.job_run_details", &["history"]);
    let mut psql = lab.server().client_program("psql", lab.database()).unwrap();
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"]).arg(repository("docker/entrypoint/stop_between_runs.sql"));
    // Asks only whether the process is there.
    psql.env("SIGNAL", "0").env("SERVER", std::process::id().to_string());
    let finished = finish(psql).unwrap();
    assert_eq!(lab.sprung(), []);
    assert!(finished.is_success(), "{}", finished.stderr);
}
