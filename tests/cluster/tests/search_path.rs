//! An attacker's objects in front of PostgreSQL's and ours on the search_path: none of them is ever called.
//!
//! The schema `evil` gets a look-alike of every function, operator, type and relation of `pg_catalog` that can be
//! made, and of our own; each writes a line to the server's log when it is used, which no rollback takes back.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use operations_cluster::expect::{SOON, wait_for_text};
use operations_cluster::{DATABASE, Server, text, value, wait_until};
use postgres::Client;

/// What the traps write.
const MARK: &str = "TRAP SPRUNG";

const EVIL: &str = include_str!("search_path/evil.sql");

/// Relations in the session's own temporary schema, which comes before everything else for relations and types.
const TEMPORARY: &str = include_str!("search_path/temporary.sql");

const PATH: &str = "evil, pg_catalog, public";

#[test]
fn a_superuser_who_calls_every_procedure_springs_no_trap() {
    let server = Server::primary().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    session.batch_execute(EVIL).unwrap();
    expect_traps_to_work(&server, &mut session);
    session.batch_execute(TEMPORARY).unwrap();
    let sprung = traps(&server);

    session.batch_execute(&format!("SET search_path = {PATH}")).unwrap();
    // Dates without partitions, so that every call has something to make.
    for call in [
        "public.operations_setup()",
        "public.operations_test_data('2024-01-15', '2024-02-15', 1000, 7)",
        "public.operations_test_data('2024-01-15', '2024-02-15', 1000)",
        "public.operation_insert_one()",
        "public.change_status(100)",
        "public.change_status()",
        "public.operations_maintain_partitions()",
        "public.operations_maintain_partitions(5, 12)",
        "public.operations_schedule()",
        "public.operations_unschedule()",
    ] {
        if let Err(error) = session.batch_execute(&format!("CALL {call}")) {
            let text = operations_cluster::Error::from(error).to_string();
            unreachable!("{call}: {text}\n{:?}", &traps(&server)[sprung.len()..]);
        }
        assert_eq!(traps(&server), sprung, "{call}");
    }
    session.batch_execute("SELECT pg_catalog.count(*) FROM public.operations_jobs()").unwrap();
    assert_eq!(traps(&server), sprung, "operations_jobs()");
    for full in [false, true] {
        let query = format!("SELECT pg_catalog.count(*) FROM public.operations_doctor({full})");
        session.batch_execute(&query).unwrap();
        assert_eq!(traps(&server), sprung, "operations_doctor({full})");
    }

    // All that the calls should do happened in the real table; retention has detached its old months.
    let mut witness = server.session().unwrap();
    let rows = "SELECT (SELECT count(*) FROM operations_2024_01) + (SELECT count(*) FROM operations_2024_02)";
    assert_eq!(value::<i64>(&mut witness, rows).unwrap(), 2000);
    let today = "SELECT count(*) FROM public.operations WHERE operation_date = current_date";
    assert_eq!(value::<i64>(&mut witness, today).unwrap(), 1);
    let flipped = "SELECT (SELECT count(*) FROM operations_2024_01 WHERE status = 1) \
                   + (SELECT count(*) FROM operations_2024_02 WHERE status = 1) >= 100";
    assert!(value::<bool>(&mut witness, flipped).unwrap());
    let evil = "SELECT count(*), sum(status) FROM evil.operations";
    assert_eq!(text(&mut witness, evil).unwrap(), "10|0");
}

#[test]
fn the_worker_springs_no_trap() {
    let server = Server::primary().with_fast_worker().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    session.batch_execute(EVIL).unwrap();
    let sprung = traps(&server);
    session
        .batch_execute(&format!(
            "ALTER DATABASE {DATABASE} SET search_path = {PATH}; ALTER ROLE postgres SET search_path = {PATH}; \
             CALL operations_schedule()"
        ))
        .unwrap();
    // Each of the jobs twice, so that also what is prepared once and used again has been used.
    let ran = "SELECT count(*) FROM (SELECT job_name FROM public.operations_job_run_details \
               WHERE job_name IN ('operation_insert_one', 'change_status') AND status = 'succeeded' \
               GROUP BY 1 HAVING count(*) >= 2) twice";
    wait_until("both jobs to run twice", SOON, || {
        let runs = "SELECT job_name, status, count(*), max(return_message) FROM public.operations_job_run_details GROUP BY 1, 2";
        match text(&mut session, ran).unwrap().as_str() {
            "2" => Ok(()),
            _ => Err(text(&mut session, runs).unwrap()),
        }
    });
    assert_eq!(traps(&server), sprung);
    session.batch_execute("CALL operations_unschedule()").unwrap();
    let evil = "SELECT count(*), sum(status) FROM evil.operations";
    wait_for_text(&mut session, "the look-alike table to be untouched", evil, "10|0");
}

/// The lines that traps have written up to now.
fn traps(server: &Server) -> Vec<String> {
    let log = server.log().unwrap();
    log.lines().filter(|line| line.contains(MARK) && line.contains("LOG:")).map(str::to_owned).collect()
}

/// Shows that the traps are armed: used on purpose, each kind is noticed.
fn expect_traps_to_work(server: &Server, session: &mut Client) {
    for (kind, query) in [
        ("function lower", "SELECT lower('A'::pg_catalog.text)"),
        ("operator +(integer,integer)", "SELECT 1 + 1"),
        ("type uuid", "SELECT '0c3c3a3a-0000-4000-8000-000000000000'::uuid"),
        ("relation pg_class", "SELECT * FROM pg_class LIMIT 1"),
    ] {
        session.batch_execute(&format!("SET search_path = {PATH}")).unwrap();
        session.batch_execute(query).unwrap();
        session.batch_execute("RESET search_path").unwrap();
        let log = traps(server);
        assert!(log.last().is_some_and(|line| line.contains(kind)), "{kind}: {log:?}");
    }
}

/// Operators for types that `pg_catalog` has none for, each of which fails: the schema in which CREATE EXTENSION works is on its
/// search_path, and an operator for just these types is a better match than one of `pg_catalog` for others.
const OPERATORS: &str = "\
    CREATE ROLE mallory; CREATE SCHEMA app AUTHORIZATION mallory; SET ROLE mallory; \
    DO $$ DECLARE of record; BEGIN \
        FOR of IN SELECT * FROM (VALUES \
            ('=', 'oid', 'regnamespace', 'boolean'), ('=', 'oid', 'regclass', 'boolean'), ('=', 'oid', 'regprocedure', 'boolean'), \
            ('=', 'oid', 'regtype', 'boolean'), ('=', 'oid', 'regrole', 'boolean'), ('=', 'int2[]', 'int2[]', 'boolean'), \
            ('=', 'name[]', 'name[]', 'boolean'), ('<>', 'numeric', 'int4', 'boolean'), ('||', 'int8[]', 'int8[]', 'int8[]') \
        ) AS v (name, one, other, answer) LOOP \
            EXECUTE format('CREATE FUNCTION app.trap(%s, %s) RETURNS %s LANGUAGE plpgsql COST 0.001 AS \
                ''BEGIN RAISE EXCEPTION ''''TRAP SPRUNG''''; END''', of.one, of.other, of.answer); \
            EXECUTE format('CREATE OPERATOR app.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = app.trap)', of.name, of.one, of.other); \
        END LOOP; \
    END $$; RESET ROLE";

/// What has such an operator in it.
const USES: &str = "\
    SELECT coalesce(string_agg(pg_describe_object(d.classid, d.objid, d.objsubid), ', '), '') FROM pg_depend d \
    JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND d.refobjid = o.oid \
    WHERE o.oprnamespace = 'app'::regnamespace";

#[test]
fn operators_in_the_schema_of_the_extension_are_not_its_own() {
    let server = Server::primary().start().unwrap();
    let mut session = server.session().unwrap();
    session.batch_execute(OPERATORS).unwrap();
    // With the type that DROP EXTENSION has left, which is looked at more closely.
    session.batch_execute("CREATE TYPE app.operation_type_enum AS ENUM ('offline', 'online')").unwrap();
    session.batch_execute("CREATE EXTENSION operations_ext SCHEMA app").unwrap();
    session
        .batch_execute(
            "CALL app.operations_setup(); CALL app.operations_test_data('2025-08-01', '2025-09-30', 1000, 7); \
             CALL app.change_status(100); SELECT count(*) FROM app.client_type_sum_live; \
             SELECT count(*) FROM app.operations_verify_rollup(); SELECT count(*) FROM app.operations_doctor(true)",
        )
        .unwrap();
    assert_eq!(text(&mut session, USES).unwrap(), "");
}

#[test]
fn an_update_takes_the_operators_of_others_out_of_the_views() {
    let server = Server::primary().start().unwrap();
    let mut session = server.session().unwrap();
    session.batch_execute(OPERATORS).unwrap();
    session.batch_execute("CREATE EXTENSION operations_ext SCHEMA app VERSION '0.1.0'").unwrap();
    assert_ne!(text(&mut session, USES).unwrap(), "", "0.1.0 took them");
    session.batch_execute("ALTER EXTENSION operations_ext UPDATE").unwrap();
    assert_eq!(text(&mut session, USES).unwrap(), "");
}
