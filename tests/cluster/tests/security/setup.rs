//! A table of the name `operations` that somebody made before `operations_setup()` was called by a superuser.

use operations_cluster::db_error;
use operations_cluster::expect::run;
use operations_cluster::text;

use crate::lab::{Lab, MALLORY, READER, refused};

/// A partition with a trap in a check and an index, and a status whose comparison with a number calls a cast of its owner's.
const SQUAT: &str = "\
    CREATE TYPE lair.status AS (number int); \
    CREATE FUNCTION lair.as_number(lair.status) RETURNS int LANGUAGE sql IMMUTABLE AS \
        $$ SELECT lair.spring('cast') * ($1).number $$; \
    CREATE CAST (lair.status AS int) WITH FUNCTION lair.as_number(lair.status) AS IMPLICIT; \
    CREATE DOMAIN lair.mark AS smallint CHECK (value IS NULL OR lair.spring('domain') + value > 0); \
    CREATE TABLE public.operations (id bigint GENERATED ALWAYS AS IDENTITY, operation_date date NOT NULL, \
        operation_guid uuid, client_id int, operation_type public.operation_type_enum, amount numeric, \
        status @status@, message jsonb) PARTITION BY RANGE (operation_date); \
    CREATE TABLE public.operations_2025_08 PARTITION OF public.operations FOR VALUES FROM ('2025-08-01') TO ('2025-09-01'); \
    CREATE INDEX ON public.operations_2025_08 ((client_id + lair.spring('index expression'))); \
    ALTER TABLE public.operations_2025_08 ADD CHECK (client_id > 0 OR lair.spring('check') = 2); \
    CREATE INDEX operations_status_id_idx ON public.operations (id); \
    INSERT INTO public.operations (operation_date, client_id, operation_type, amount, status) \
        VALUES ('2025-08-01', 1, 'online', 1, @done@)";

const READ: &str = "SELECT count(*) FROM operations WHERE status = 1";

fn squat(name: &str, status: &str, done: &str, armed: &str, traps: &[&str]) {
    let mut lab = Lab::empty(name, MALLORY);
    run(
        &mut lab.superuser(),
        "CREATE EXTENSION operations_ext; GRANT CREATE ON SCHEMA public TO mallory; \
         GRANT EXECUTE ON PROCEDURE change_status(integer) TO reader; \
         GRANT EXECUTE ON FUNCTION operations_verify_rollup(boolean) TO reader",
    );
    run(&mut lab.attacker(), &SQUAT.replace("@status@", status).replace("@done@", done));
    lab.expect_armed(armed, traps);
    let mut breaches = lab.breaches("mallory", &["SELECT 1"]);
    // Whether it is refused is not asked: as whom the traps ran is.
    lab.sprung();
    let setup = db_error(lab.superuser().batch_execute("CALL operations_setup()"));
    let sprung = lab.sprung();
    if sprung.iter().any(|sprung| sprung.role != MALLORY) {
        breaches.push(format!("operations_setup(): {sprung:?}, error: {setup:?}"));
    }
    let _missing = lab.superuser().batch_execute("GRANT SELECT ON client_type_sum_live, client_type_sum_mv TO reader");
    let calls = [
        "SELECT count(*) FROM client_type_sum_live",
        "CALL change_status()",
        "SELECT count(*) FROM operations_verify_rollup()",
        "SELECT count(*) FROM operations_verify_rollup(true)",
    ];
    breaches.extend(lab.breaches(READER, &calls));
    assert!(breaches.is_empty(), "ran with rights that its owner does not have:\n{}", breaches.join("\n"));
}

#[test]
fn what_is_on_a_table_that_was_there_before_lends_its_owner_no_rights() {
    squat("setup_table", "smallint", "1", READ, &["index expression", "check"]);
}

#[test]
fn a_cast_of_a_table_that_was_there_before_lends_its_owner_no_rights() {
    squat("setup_cast", "lair.status", "ROW(1)", READ, &["cast"]);
}

#[test]
fn a_domain_of_a_table_that_was_there_before_lends_its_owner_no_rights() {
    squat("setup_domain", "lair.mark", "1", "SELECT 1::smallint::lair.mark", &["domain"]);
}

/// What the owner of a table does while others have it read leaves nothing behind in their session.
#[test]
fn a_session_is_left_as_it_was() {
    let lab = Lab::empty("setup_session", MALLORY);
    run(&mut lab.superuser(), "CREATE EXTENSION operations_ext; GRANT CREATE ON SCHEMA public TO mallory");
    let poison = "CREATE OR REPLACE FUNCTION lair.spring(what text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS \
        $$ BEGIN PERFORM set_config('search_path', 'lair, pg_catalog', false); RETURN 1; END $$";
    run(&mut lab.attacker(), &format!("{SQUAT}; {poison}").replace("@status@", "smallint").replace("@done@", "1"));
    let path = "SHOW search_path";
    let mut superuser = lab.superuser();
    run(&mut superuser, "SELECT count(*) FROM operations WHERE client_id = 1");
    assert_eq!(text(&mut superuser, path).unwrap(), "lair, pg_catalog");
    // Whether it is refused is not asked: what it leaves is.
    let _refused = lab.superuser().batch_execute("CALL public.operations_setup()");
    for call in ["CALL public.operations_setup()", "SELECT count(*) FROM public.operations_verify_rollup()"] {
        let mut superuser = lab.superuser();
        let before = text(&mut superuser, path).unwrap();
        let _refused = superuser.batch_execute(call);
        assert_eq!(text(&mut superuser, path).unwrap(), before, "{call}");
    }
}

#[test]
fn nothing_of_the_extension_is_anybodys_to_take_apart() {
    let lab = Lab::new("setup_objects", "mole");
    for statement in [
        "DROP EXTENSION operations_ext CASCADE",
        "ALTER EXTENSION operations_ext DROP TABLE operations_job",
        "DROP FUNCTION operations_count_change() CASCADE",
        "DROP TABLE operations CASCADE",
        "DROP VIEW client_type_sum_live",
        "DROP MATERIALIZED VIEW client_type_sum_mv",
        "ALTER TABLE operations DISABLE TRIGGER operations_count_insert",
        "CREATE RULE mine AS ON INSERT TO operations DO ALSO SELECT 1",
        "CREATE POLICY mine ON operations USING (false)",
        "CREATE INDEX ON operations ((lair.spring('index')))",
        "CREATE STATISTICS lair.mine ON (client_id + 1), amount FROM operations_2025_08",
        "ALTER TABLE operations ALTER client_id SET DEFAULT lair.spring('default')",
        "CREATE TABLE public.operations_load_x (LIKE operations)",
        "CREATE CAST (text AS operation_type_enum) WITH INOUT AS IMPLICIT",
        "CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION lair.none()",
        "ALTER TYPE operation_type_enum ADD VALUE 'mine'",
        "ALTER SEQUENCE operations_id_seq RESTART",
        "SELECT setval('operations_id_seq', 1)",
        "CREATE PUBLICATION mine FOR TABLE operations",
        "TRUNCATE operations",
        "COMMENT ON TABLE operations IS 'mine'",
        "ALTER DATABASE security_setup_objects SET search_path = lair",
        "SET session_replication_role = replica",
        "SELECT pg_create_physical_replication_slot('mine')",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "ALTER SYSTEM SET operations_ext.database = 'x'",
        "COPY operations TO '/tmp/operations_ext.load.1.1'",
        "COPY operations FROM PROGRAM 'true'",
        "SELECT pg_ls_dir('.')",
    ] {
        assert_eq!(refused(&mut lab.attacker(), statement), "42501", "{statement}");
    }
}
