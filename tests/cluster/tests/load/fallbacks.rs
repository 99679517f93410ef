//! A table or partition that is not as operations_setup() makes it is loaded by COPY, and DEBUG1 says why.

use operations_cluster::expect::run;
use operations_cluster::{db_error, text, value};

use crate::common::{Dates, Loader, ROWS_A_MONTH, Strategy, expect_sound, primary};

const ROWS: i64 = 3_000;

/// What is done, what is said of it, and what undoes it. @p@ is a partition that is loaded.
const DEVIATIONS: [(&str, &str, &str); 14] = [
    (
        "CREATE TRIGGER t AFTER INSERT ON operations FOR EACH ROW EXECUTE FUNCTION note()",
        "operations has the trigger t",
        "DROP TRIGGER t ON operations",
    ),
    (
        "CREATE TRIGGER t BEFORE INSERT ON @p@ FOR EACH ROW EXECUTE FUNCTION note()",
        "@p@ has the trigger t",
        "DROP TRIGGER t ON @p@",
    ),
    (
        "CREATE TRIGGER t AFTER INSERT ON operations EXECUTE FUNCTION note()",
        "operations has the trigger t",
        "DROP TRIGGER t ON operations",
    ),
    (
        "CREATE OR REPLACE TRIGGER operations_count_insert AFTER INSERT ON operations FOR EACH ROW \
         WHEN (new.status >= 0) EXECUTE FUNCTION operations_count_change()",
        "has the trigger operations_count_insert",
        "DROP TRIGGER operations_count_insert ON operations; CALL operations_setup()",
    ),
    (
        "ALTER TABLE operations ADD COLUMN extra integer DEFAULT 7",
        "operations has other columns",
        "ALTER TABLE operations DROP COLUMN extra",
    ),
    ("CREATE INDEX i ON @p@ (client_id)", "@p@ has other indexes", "DROP INDEX i"),
    (
        "ALTER TABLE operations ADD CONSTRAINT c CHECK (client_id > 0)",
        "has the constraint c",
        "ALTER TABLE operations DROP CONSTRAINT c",
    ),
    (
        "CREATE TABLE client AS SELECT generate_series(0, 20000) AS id; ALTER TABLE client ADD PRIMARY KEY (id); \
         ALTER TABLE operations ADD CONSTRAINT f FOREIGN KEY (client_id) REFERENCES client",
        "operations has the",
        "ALTER TABLE operations DROP CONSTRAINT f; DROP TABLE client",
    ),
    (
        "CREATE TABLE other (d date, i bigint, CONSTRAINT f FOREIGN KEY (d, i) REFERENCES operations)",
        "operations has the",
        "DROP TABLE other",
    ),
    ("CREATE TABLE rest PARTITION OF operations DEFAULT", "operations has a DEFAULT partition", "DROP TABLE rest"),
    (
        "ALTER TABLE @p@ SET (fillfactor = 50)",
        "@p@ has the storage parameter fillfactor=50",
        "ALTER TABLE @p@ RESET (fillfactor)",
    ),
    ("ALTER TABLE @p@ SET UNLOGGED", "@p@ is not a plain logged table", "ALTER TABLE @p@ SET LOGGED"),
    (
        "ALTER TABLE operations ALTER COLUMN id SET INCREMENT BY 2",
        "the identity of operations does not count up by one to the end of bigint",
        "ALTER TABLE operations ALTER COLUMN id SET INCREMENT BY 1",
    ),
    // The last one: what is dropped stays a column.
    (
        "ALTER TABLE operations ADD COLUMN twice numeric GENERATED ALWAYS AS (amount * 2) STORED",
        "operations has other columns",
        "",
    ),
];

#[test]
fn every_deviation_is_named_and_loaded_by_copy() {
    let server = primary().start().unwrap();
    for (done, said, undone) in DEVIATIONS {
        // A column that was dropped is a deviation of its own.
        let own = format!("d{}", DEVIATIONS.iter().position(|other| other.0 == done).unwrap());
        let database = if undone.contains("DROP COLUMN") { own.as_str() } else { operations_cluster::DATABASE };
        if database == own {
            server.create_database(&own).unwrap();
            run(&mut server.connect(&own).unwrap(), "CREATE EXTENSION operations_ext; CALL operations_setup()");
        }
        let mut loader = Loader::of(&server, operations_cluster::SUPERUSER, database);
        let session = &mut loader.session;
        run(
            session,
            "CREATE TABLE IF NOT EXISTS noted (n integer); TRUNCATE noted; CREATE OR REPLACE FUNCTION note() RETURNS trigger \
             LANGUAGE plpgsql AS 'BEGIN INSERT INTO noted VALUES (1); RETURN new; END'",
        );
        let dates = Dates::of(session);
        Strategy::Empty.prepare(session, &dates);
        let filled = |text: &str| text.replace("@p@", &dates.partitions[0]);
        // What COPY is compared with.
        dates.call(session, ROWS, "5");
        run(
            session,
            "DROP TABLE IF EXISTS expected; CREATE TABLE expected AS SELECT operation_date, operation_guid, client_id, \
                      operation_type, amount, status, message FROM operations; TRUNCATE operations",
        );
        run(session, &filled(done));
        run(session, "SET client_min_messages = debug1");
        let strategies = loader.heard_of(&dates.statement(ROWS, "5, 3"));
        run(&mut loader.session, "RESET client_min_messages");
        let strategies: Vec<_> = strategies.iter().map(|line| line.replace("public.", "")).collect();
        let reason = strategies.iter().find_map(|line| line.strip_prefix("operations_test_data uses COPY: "));
        assert!(reason.is_some_and(|reason| reason.contains(&filled(said))), "{done}: {reason:?}");
        let session = &mut loader.session;
        let difference = "SELECT count(*) FROM (SELECT operation_date, operation_guid, client_id, operation_type, amount, status, \
                          message FROM operations EXCEPT ALL TABLE expected) d";
        assert_eq!(value::<i64>(session, difference).unwrap(), 0, "{done}");
        assert_eq!(value::<i64>(session, "SELECT count(*) FROM operations").unwrap(), ROWS, "{done}");
        let fired: i64 = value(session, "SELECT count(*) FROM noted").unwrap();
        let expected: i64 = match done {
            trigger if !trigger.contains("note()") => 0,
            trigger if trigger.contains("@p@") => {
                value(session, &format!("SELECT count(*) FROM {}", dates.partitions[0])).unwrap()
            }
            trigger if trigger.contains("EACH ROW") => ROWS,
            _ => 1,
        };
        assert_eq!(fired, expected, "{done}");
        let ids = "SELECT max(id) - min(id) + 1 FROM operations";
        let step = if done.contains("INCREMENT") { 2 } else { 1 };
        assert_eq!(value::<i64>(session, ids).unwrap(), ROWS * step - (step - 1), "{done}");
        expect_sound(session);
        run(session, &filled(undone));
        if !undone.is_empty() && !undone.contains("DROP COLUMN") {
            // And then COPY is not used any more.
            run(session, "TRUNCATE operations");
            assert_ne!(loader.call(&dates.statement(ROWS, "5, 3")), [Strategy::Copy.note(); 2], "{undone}");
        }
        assert_eq!(
            text(&mut loader.session, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").unwrap(),
            "0"
        );
    }
}

/// Who loads without being the owner, and who may not.
#[test]
fn rights() {
    let server = primary().start().unwrap();
    let mut admin = server.session().unwrap();
    let dates = Dates::of(&mut admin);
    run(
        &mut admin,
        &format!(
            "CREATE ROLE owner NOLOGIN; ALTER TABLE operations OWNER TO owner; GRANT CREATE, USAGE ON SCHEMA public TO owner; \
             CREATE ROLE loader LOGIN PASSWORD '{}'; GRANT USAGE ON SCHEMA public TO loader; \
             GRANT EXECUTE ON PROCEDURE operations_test_data TO loader",
            server.password(),
        ),
    );
    let mut loader = Loader::of(&server, "loader", operations_cluster::DATABASE);
    let load = dates.statement(2 * ROWS_A_MONTH, "1, 3");
    let refused = |loader: &mut Loader, code: &str| {
        let error = operations_cluster::db_error(loader.session.batch_execute(&load)).unwrap();
        assert_eq!(error.code().code(), code, "{error:?}");
    };
    refused(&mut loader, "42501");
    run(&mut admin, "GRANT INSERT ON operations TO loader");
    for strategy in [Strategy::New, Strategy::Empty, Strategy::Grown, Strategy::Full, Strategy::Copy] {
        strategy.prepare(&mut admin, &dates);
        assert_eq!(loader.call(&load), [strategy.note(); 2], "{strategy:?}");
        let owners = "SELECT string_agg(DISTINCT relowner::regrole::text, ' ') FROM pg_class \
                      WHERE relname ~ '^operations_2' AND relowner <> 10";
        let of_admin = "SELECT count(*) FROM pg_class WHERE relname ~ '^operations_2' AND relowner = 10";
        assert_eq!(text(&mut admin, owners).unwrap(), "owner", "{strategy:?}");
        assert_eq!(value::<i64>(&mut admin, of_admin).unwrap(), 0, "{strategy:?}");
        assert_eq!(text(&mut loader.session, "SELECT current_user, session_user").unwrap(), "loader|loader");
        expect_sound(&mut admin);
    }
    Strategy::New.prepare(&mut admin, &dates);
    run(&mut admin, "ALTER TABLE operations ENABLE ROW LEVEL SECURITY");
    refused(&mut loader, "0A000");
    run(
        &mut admin,
        "ALTER TABLE operations DISABLE ROW LEVEL SECURITY; REVOKE INSERT ON operations FROM loader; \
                     GRANT INSERT (operation_date, amount) ON operations TO loader",
    );
    refused(&mut loader, "42501");
}

/// What the table is like is found out before rows are written, and the reason that is told is the one that there is.
#[test]
fn each_reason_is_told_as_it_is() {
    let server = primary().start().unwrap();
    let mut loader = Loader::new(&server);
    let dates = Dates::of(&mut loader.session);
    for (done, code, said, undone) in [
        (
            "ALTER TYPE operation_type_enum RENAME VALUE 'offline' TO 'away'",
            "22P02",
            "operation_type_enum has no label offline",
            "ALTER TYPE operation_type_enum RENAME VALUE 'away' TO 'offline'",
        ),
        (
            "ALTER TABLE operations ALTER COLUMN id RESTART WITH 9223372036854775000",
            "2200H",
            "the sequence of the column id has not as many numbers left",
            "ALTER TABLE operations ALTER COLUMN id RESTART WITH 1000",
        ),
        (
            "CREATE FUNCTION rename_stage() RETURNS event_trigger LANGUAGE plpgsql AS $$ DECLARE t text; BEGIN \
             FOR t IN SELECT DISTINCT objid::regclass::text FROM pg_event_trigger_ddl_commands() \
                      WHERE object_type = 'table' AND objid::regclass::text ~ 'operations_load' LOOP \
             EXECUTE format('ALTER TABLE %s RENAME TO renamed', t); END LOOP; END $$; \
             CREATE EVENT TRIGGER renaming ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION rename_stage()",
            "42P01",
            "which a load has just made, does not exist",
            "DROP EVENT TRIGGER renaming",
        ),
    ] {
        Strategy::New.prepare(&mut loader.session, &dates);
        run(&mut loader.session, done);
        run(&mut loader.session, "SET client_min_messages = debug1");
        loader.heard();
        let error = db_error(loader.session.batch_execute(&dates.statement(ROWS, "5, 3"))).unwrap();
        assert_eq!(error.code().code(), code, "{done}: {error:?}");
        run(&mut loader.session, "RESET client_min_messages");
        let heard = loader.heard();
        let told = error.message().contains(said) || heard.iter().any(|line| line.ends_with(said));
        assert!(told, "{done}: {error:?}, {heard:?}");
        run(&mut loader.session, undone);
        assert_eq!(value::<i64>(&mut loader.session, "SELECT count(*) FROM operations").unwrap(), 0);
        dates.call(&mut loader.session, ROWS, "5, 3");
        expect_sound(&mut loader.session);
    }
}
