//! Who evaluates what for the sums: nothing that a reader brings runs with the rights of somebody else, and no sum tells of
//! rows that its reader could not see through a plain view.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use operations_cluster::expect::{AGGREGATE_DIFFERENCE, LIVE_DIFFERENCE, fill_with_sums, run, tick};
use operations_cluster::{DATABASE, Server, db_error, text, value};
use postgres::Client;

/// A role that may read the live view, make temporary objects, and no more.
const READER: &str = "CREATE ROLE reader LOGIN PASSWORD '@password@'; GRANT SELECT ON client_type_sum_live TO reader";

/// A function of the reader's that makes it a superuser if whoever runs it may, as the key of a partitioned table.
const TRAP: &str = "\
    CREATE FUNCTION pg_temp.grasp() RETURNS void LANGUAGE plpgsql AS $$ BEGIN ALTER ROLE reader SUPERUSER; END $$; \
    CREATE FUNCTION pg_temp.trap(date) RETURNS integer LANGUAGE plpgsql IMMUTABLE COST 0.0001 AS $$ \
    BEGIN PERFORM pg_temp.grasp(); RETURN 1; EXCEPTION WHEN insufficient_privilege THEN RETURN 1; END $$; \
    CREATE TEMP TABLE bait (operation_date date) PARTITION BY LIST (pg_temp.trap(operation_date)); \
    CREATE TEMP TABLE hook PARTITION OF bait FOR VALUES IN (1)";

fn server() -> Server {
    let server = Server::primary().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    fill_with_sums(&mut session);
    run(&mut session, &READER.replace("@password@", server.password()));
    server
}

#[track_caller]
fn code(session: &mut Client, statement: &str) -> Option<String> {
    db_error(session.batch_execute(statement)).map(|error| error.code().code().to_owned())
}

#[test]
fn a_reader_of_the_sums_has_nothing_run_as_somebody_else() {
    let server = server();
    let mut admin = server.session().unwrap();
    // Its own table, whatever it is, is no partition of operations; and one of ours is not tracked.
    run(&mut admin, "VACUUM FULL operations_2025_08");
    let mut reader = server.connect_as("reader", DATABASE).unwrap();
    run(&mut reader, TRAP);
    let is_superuser = "SELECT rolsuper FROM pg_roles WHERE rolname = 'reader'";
    let refused = code(&mut reader, "SELECT operations_direct_sums(ARRAY['hook'::regclass::oid])");
    assert_eq!(text(&mut admin, is_superuser).unwrap(), "f");
    assert_eq!(refused.as_deref(), Some("42501"));
    run(&mut reader, "TABLE client_type_sum_live");
    assert_eq!(text(&mut admin, is_superuser).unwrap(), "f");
    // The trap does what it says, where it is let.
    run(&mut admin, &format!("{TRAP}; INSERT INTO bait VALUES ('2025-08-01')"));
    assert_eq!(text(&mut admin, is_superuser).unwrap(), "t");
}

#[test]
fn what_is_open_to_all_takes_no_oids_and_no_names() {
    let server = server();
    let mut admin = server.session().unwrap();
    let open = "SELECT p.oid::regprocedure FROM pg_proc p \
        JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' \
        JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'operations_ext' \
        WHERE p.pronargs > 0 AND has_function_privilege('reader', p.oid, 'EXECUTE') \
          AND p.proname NOT LIKE 'operation_type_enum%' AND EXISTS (SELECT FROM unnest(p.proargtypes) t \
              WHERE t::regtype::text ~ '^(oid|reg.*|name|text|character varying|\"char\"|anyelement|record)(\\[\\])?$')";
    assert_eq!(text(&mut admin, open).unwrap(), "");
}

/// As in any view of PostgreSQL: the policies for the owner of the view decide, and who reads it gets what the owner sees.
#[test]
fn row_level_security_holds_for_the_owner_of_the_view() {
    let server = server();
    let mut admin = server.session().unwrap();
    run(
        &mut admin,
        &format!(
            "CREATE ROLE keeper LOGIN PASSWORD '{password}'; CREATE ROLE watcher LOGIN PASSWORD '{password}'; \
             GRANT SELECT ON operations TO keeper, watcher; GRANT SELECT ON client_type_sum_live TO watcher; \
             GRANT CREATE ON SCHEMA public TO keeper; \
             ALTER TABLE operations ENABLE ROW LEVEL SECURITY; \
             CREATE POLICY few ON operations FOR SELECT USING (client_id % 5 = 0)",
            password = server.password()
        ),
    );
    // Hidden from the reader of operations, who has no function to get at their sums.
    let mut watcher = server.connect_as("watcher", DATABASE).unwrap();
    assert_eq!(code(&mut watcher, "SELECT operations_direct_sums(NULL)").as_deref(), Some("42501"));
    let parts = "SELECT operations_direct_sums(ARRAY(SELECT inhrelid FROM pg_inherits))";
    assert_eq!(code(&mut watcher, parts).as_deref(), Some("42501"));
    // The owner of operations sees all, and so does its view.
    assert_eq!(text(&mut admin, LIVE_DIFFERENCE).unwrap(), "");
    assert_ne!(text(&mut watcher, LIVE_DIFFERENCE).unwrap(), "");
    // An owner to whom policies apply has in its view what they let it see, however much of it is tracked.
    run(
        &mut admin,
        "ALTER VIEW client_type_sum_live OWNER TO keeper; ALTER MATERIALIZED VIEW client_type_sum_mv OWNER TO keeper",
    );
    let mut keeper = server.connect_as("keeper", DATABASE).unwrap();
    for between in ["CALL change_status(100)", "VACUUM FULL operations_2025_08", "CALL change_status(100)"] {
        run(&mut admin, between);
        if between.starts_with("CALL") {
            assert_eq!(text(&mut keeper, AGGREGATE_DIFFERENCE).unwrap(), "", "{between}");
        }
        assert_eq!(text(&mut keeper, LIVE_DIFFERENCE).unwrap(), "", "{between}");
        assert_eq!(text(&mut watcher, LIVE_DIFFERENCE).unwrap(), "", "{between}");
        let hidden = "SELECT count(*) FROM client_type_sum_live WHERE client_id % 5 <> 0";
        assert_eq!(text(&mut watcher, hidden).unwrap(), "0", "{between}");
        let rollups = "SELECT count(*) FROM operations_rollup_live WHERE client_id % 5 <> 0";
        match db_error(keeper.query_one(rollups, &[])) {
            Some(error) => assert_eq!(error.code().code(), "42501"),
            None => assert_eq!(text(&mut keeper, rollups).unwrap(), "0", "{between}"),
        }
    }
}

/// FORCE takes the owner's way round the policies from it, so that its views hold what the policies let it see.
#[test]
fn forced_row_level_security_is_the_same_for_what_is_tracked_and_what_is_not() {
    let server = server();
    let mut admin = server.session().unwrap();
    run(
        &mut admin,
        "CREATE ROLE boss; GRANT ALL ON SCHEMA public TO boss; GRANT EXECUTE ON PROCEDURE change_status, operations_setup TO boss; \
         ALTER TABLE operations OWNER TO boss; ALTER VIEW client_type_sum_live OWNER TO boss; \
         ALTER MATERIALIZED VIEW client_type_sum_mv OWNER TO boss; \
         DO $$ DECLARE p regclass; BEGIN FOR p IN SELECT inhrelid::regclass FROM pg_inherits \
         WHERE inhparent = 'operations'::regclass LOOP EXECUTE format('ALTER TABLE %s OWNER TO boss', p); END LOOP; END $$; \
         SET ROLE boss; CALL operations_setup(); RESET ROLE",
    );
    tick(&mut admin);
    assert_eq!(text(&mut admin, LIVE_DIFFERENCE).unwrap(), "");
    run(
        &mut admin,
        "CREATE POLICY few ON operations FOR SELECT USING (client_id % 5 = 0); \
         ALTER TABLE operations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    );
    for between in ["SELECT", "VACUUM FULL operations_2025_08", "CALL change_status(100)"] {
        run(&mut admin, between);
        run(&mut admin, "SET ROLE boss");
        assert_eq!(text(&mut admin, LIVE_DIFFERENCE).unwrap(), "", "{between}");
        assert!(value::<i64>(&mut admin, "SELECT count(*) FROM client_type_sum_live").unwrap() > 0);
        run(&mut admin, "RESET ROLE");
    }
    run(&mut admin, "ALTER TABLE operations DISABLE ROW LEVEL SECURITY");
    assert_eq!(text(&mut admin, LIVE_DIFFERENCE).unwrap(), "");
    tick(&mut admin);
    assert_eq!(text(&mut admin, AGGREGATE_DIFFERENCE).unwrap(), "");
}
