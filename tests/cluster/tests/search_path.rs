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

const EVIL: &str = r#"
CREATE SCHEMA evil;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
CREATE FUNCTION evil.trap(what pg_catalog.text) RETURNS pg_catalog.bool LANGUAGE plpgsql AS
    $$ BEGIN RAISE LOG 'TRAP SPRUNG: %', what; RETURN true; END $$;
CREATE FUNCTION evil.row_trap() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE LOG 'TRAP SPRUNG: %', TG_RELID::pg_catalog.regclass; RETURN NEW; END $$;
SET check_function_bodies = off;
DO $make$
DECLARE thing record; made int := 0;
BEGIN
    FOR thing IN
        SELECT proname, pg_get_function_identity_arguments(oid) AS arguments, pg_get_function_result(oid) AS result
        FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind IN ('f', 'a', 'w')
        AND NOT ('internal'::regtype = ANY (proargtypes) OR 'cstring'::regtype = ANY (proargtypes))
        AND prorettype NOT IN ('internal'::regtype, 'cstring'::regtype)
    LOOP
        BEGIN
            EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', thing.proname,
                thing.arguments, thing.result,
                format('BEGIN RAISE LOG %L; RETURN%s; END', 'TRAP SPRUNG: function ' || thing.proname,
                       CASE WHEN thing.result LIKE 'SETOF%' OR thing.result LIKE 'TABLE%' OR thing.arguments LIKE '%OUT %'
                            OR thing.result = 'void' THEN '' ELSE ' NULL' END));
            made := made + 1;
        EXCEPTION WHEN OTHERS THEN NULL;  -- what cannot be made cannot be a trap
        END;
    END LOOP;
    IF made < 1500 THEN RAISE 'only % look-alike functions', made; END IF;

    made := 0;
    FOR thing IN
        SELECT oprname, oid, nullif(oprleft, 0)::regtype AS l, oprright::regtype AS r, oprresult::regtype AS result
        FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprright <> 0
    LOOP
        BEGIN
            EXECUTE format('CREATE FUNCTION evil.operator_%s(%s) RETURNS %s LANGUAGE plpgsql AS %L', thing.oid,
                concat_ws(',', thing.l, thing.r), thing.result,
                format('BEGIN RAISE LOG %L; RETURN NULL; END', 'TRAP SPRUNG: operator ' || thing.oid::regoperator));
            EXECUTE format('CREATE OPERATOR evil.%s (%s RIGHTARG = %s, FUNCTION = evil.operator_%s)', thing.oprname,
                'LEFTARG = ' || thing.l || ',', thing.r, thing.oid);
            made := made + 1;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    IF made < 500 THEN RAISE 'only % look-alike operators', made; END IF;

    FOR thing IN SELECT typname FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype = 'b'
        AND typcategory <> 'A' AND typname NOT LIKE 'pg\_%'
    LOOP
        EXECUTE format('CREATE DOMAIN evil.%I AS pg_catalog.%I CHECK (evil.trap(%L))', thing.typname, thing.typname,
            'type ' || thing.typname);
    END LOOP;

    -- All columns but those of pseudo-types, which no view may have.
    FOR thing IN
        SELECT relname, string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS columns
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND atttypid <> 'anyarray'::regtype
        WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v') AND relname NOT LIKE 'pg\_stat%ist%' GROUP BY relname
    LOOP
        EXECUTE format('CREATE VIEW evil.%I AS SELECT %s FROM pg_catalog.%I WHERE evil.trap(%L)', thing.relname,
            thing.columns, thing.relname, 'relation ' || thing.relname);
    END LOOP;
END $make$;
SET check_function_bodies = on;

CREATE TYPE evil.operation_type_enum AS ENUM ('offline', 'online');
CREATE TABLE evil.operations (LIKE public.operations INCLUDING ALL);
CREATE TRIGGER trap BEFORE INSERT OR UPDATE ON evil.operations FOR EACH ROW EXECUTE FUNCTION evil.row_trap();
INSERT INTO evil.operations (operation_date, operation_guid, client_id, operation_type, amount, message)
    SELECT current_date, gen_random_uuid(), 1, 'online', 1, '{}' FROM generate_series(1, 10);
CREATE VIEW evil.client_type_sum_mv AS SELECT * FROM public.client_type_sum_mv WHERE evil.trap('client_type_sum_mv');
CREATE VIEW evil.operations_job AS SELECT * FROM public.operations_job WHERE evil.trap('operations_job');
"#;

/// Relations in the session's own temporary schema, which comes before everything else for relations and types.
const TEMPORARY: &str = r#"
CREATE TEMP TABLE operations (LIKE public.operations INCLUDING ALL);
CREATE TEMP VIEW client_type_sum_mv AS SELECT * FROM public.client_type_sum_mv WHERE evil.trap('pg_temp.client_type_sum_mv');
CREATE TEMP VIEW operations_job AS SELECT * FROM public.operations_job WHERE evil.trap('pg_temp.operations_job');
CREATE TEMP VIEW pg_class AS SELECT * FROM pg_catalog.pg_class WHERE evil.trap('pg_temp.pg_class');
CREATE TEMP VIEW pg_inherits AS SELECT * FROM pg_catalog.pg_inherits WHERE evil.trap('pg_temp.pg_inherits');
CREATE TYPE pg_temp.operation_type_enum AS ENUM ('offline', 'online');
CREATE DOMAIN pg_temp.date AS pg_catalog.date CHECK (evil.trap('pg_temp.date'));
CREATE TRIGGER trap BEFORE INSERT OR UPDATE ON pg_temp.operations FOR EACH ROW EXECUTE FUNCTION evil.row_trap();
"#;

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
    let server = Server::primary()
        .with_worker()
        .with_extension()
        .setting("operations_ext.insert_interval", "1s")
        .setting("operations_ext.change_status_interval", "1s")
        .start()
        .unwrap();
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
