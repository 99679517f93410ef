//! Bad input: one clear error with the right SQLSTATE, a DETAIL and a HINT, and nothing changed.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use operations_cluster::expect::{SOON, expect_refused, state};
use operations_cluster::{DATABASE, Error, Server, db_error, text, wait_until};

/// NULL where a value is needed.
const NULL: &str = "22004";
/// A value outside of what the procedure takes.
const INVALID: &str = "22023";
/// A date outside of what can be loaded.
const DATE: &str = "22008";
const NO_TABLE: &str = "42P01";
const READ_ONLY: &str = "25006";

/// Every call with bad arguments, with the SQLSTATE that names what is wrong.
const BAD: [(&str, &str); 32] = [
    ("operations_test_data(NULL, '2025-08-31', 10)", NULL),
    ("operations_test_data('2025-08-01', NULL, 10)", NULL),
    ("operations_test_data('2025-08-01', '2025-08-31', NULL)", NULL),
    ("operations_test_data(NULL, NULL, NULL, NULL)", NULL),
    ("operations_test_data('2025-08-31', '2025-08-01', 10)", INVALID),
    ("operations_test_data('infinity', 'infinity', 10)", DATE),
    ("operations_test_data('-infinity', '2025-08-01', 10)", DATE),
    ("operations_test_data('2025-08-01', 'infinity', 10)", DATE),
    ("operations_test_data('-infinity', 'infinity', 10)", DATE),
    ("operations_test_data('2025-08-01', '2025-08-31', 0)", INVALID),
    ("operations_test_data('2025-08-01', '2025-08-31', -1)", INVALID),
    ("operations_test_data('2025-08-01', '2025-08-31', -9223372036854775808)", INVALID),
    ("operations_test_data('2025-08-01', '2025-08-31', 1000000000000000000)", INVALID),
    ("operations_test_data('2025-08-01', '2025-08-31', 9223372036854775807)", INVALID),
    ("operations_test_data('9999-01-01', '9999-12-31', 10)", DATE),
    ("operations_test_data('2025-08-01', '9999-12-31', 10)", DATE),
    ("operations_test_data('4713-01-01 BC', '2025-08-31', 10)", DATE),
    ("operations_test_data('5874897-12-01', '5874897-12-31', 10)", DATE),
    ("change_status(0)", INVALID),
    ("change_status(-1)", INVALID),
    ("change_status(-2147483648)", INVALID),
    ("change_status(NULL)", NULL),
    ("operations_maintain_partitions(NULL)", NULL),
    ("operations_maintain_partitions(-1)", INVALID),
    ("operations_maintain_partitions(-2147483648)", INVALID),
    ("operations_maintain_partitions(2147483647)", INVALID),
    ("operations_maintain_partitions(3, -1)", INVALID),
    ("operations_maintain_partitions(3, -2147483648)", INVALID),
    ("operations_maintain_partitions(NULL, NULL)", NULL),
    ("operations_maintain_partitions(-1, 3)", INVALID),
    ("operations_test_data('2025-08-31', '2025-08-01', 0, NULL)", INVALID),
    ("operations_test_data('infinity', '2025-08-01', 10, 1)", DATE),
];

/// Calls that are right in themselves and write to the table.
const WRITES: [&str; 4] = [
    "operations_test_data('2025-08-01', '2025-08-31', 10, 1)",
    "operation_insert_one()",
    "change_status()",
    "operations_maintain_partitions()",
];

#[test]
fn bad_arguments_are_refused_and_change_nothing() {
    let server = Server::primary().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    session.batch_execute("CALL operations_test_data('2025-08-01', '2025-11-30', 100, 1)").unwrap();
    let before = state(&mut session).unwrap();
    for (call, code) in BAD {
        let error = expect_refused(&mut session, &format!("CALL {call}"), &[code]);
        assert_eq!(error.severity(), "ERROR", "{call}");
        assert_eq!(state(&mut session).unwrap(), before, "{call}");
    }
    // PostgreSQL itself refuses what is no date and no label, before any of our code runs.
    for (statement, code) in [
        ("CALL operations_test_data('2025-02-30', '2025-03-01', 10)", "22008"),
        ("CALL operations_test_data('soon', '2025-03-01', 10)", "22007"),
        ("SELECT 'by post'::operation_type_enum", "22P02"),
        ("CALL operations_test_data('2025-08-01', '2025-08-31', 10, 'seed')", "22P02"),
        ("CALL change_status(99999999999)", "42883"),
    ] {
        let error = db_error(session.batch_execute(statement)).unwrap();
        assert_eq!(error.code().code(), code, "{statement}: {error:?}");
    }
    assert_eq!(state(&mut session).unwrap(), before);
}

#[test]
fn without_setup_the_error_says_to_run_it() {
    let server = Server::primary().start().unwrap();
    let mut session = server.session().unwrap();
    session.batch_execute("CREATE EXTENSION operations_ext").unwrap();
    let before = state(&mut session).unwrap();
    for call in WRITES {
        let error = expect_refused(&mut session, &format!("CALL {call}"), &[NO_TABLE]);
        let hint = error.hint().unwrap();
        assert!(hint.contains("operations_setup"), "{call}: {hint}");
    }
    assert_eq!(state(&mut session).unwrap(), before);
}

#[test]
fn a_dropped_table_is_named_also_in_a_session_that_has_used_it() {
    let server = Server::primary().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    for call in WRITES {
        session.batch_execute(&format!("CALL {call}")).unwrap();
    }
    session.batch_execute("DROP TABLE operations CASCADE").unwrap();
    for call in WRITES {
        expect_refused(&mut session, &format!("CALL {call}"), &[NO_TABLE]);
    }
    // And setup makes it anew.
    session.batch_execute("CALL operations_setup()").unwrap();
    for call in WRITES {
        session.batch_execute(&format!("CALL {call}")).map_err(Error::from).unwrap();
    }
}

#[test]
fn a_dropped_aggregate_is_named() {
    let server = Server::primary().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    session
        .batch_execute(
            "CALL operations_test_data('2025-08-01', '2025-08-31', 10, 1); DROP MATERIALIZED VIEW client_type_sum_mv",
        )
        .unwrap();
    expect_refused(&mut session, "CALL change_status()", &[NO_TABLE]);
}

#[test]
fn a_read_only_transaction_is_refused() {
    let server = Server::primary().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    let before = state(&mut session).unwrap();
    for call in WRITES {
        session.batch_execute("BEGIN READ ONLY").unwrap();
        expect_refused(&mut session, &format!("CALL {call}"), &[READ_ONLY]);
        session.batch_execute("ROLLBACK").unwrap();
    }
    session.batch_execute("SET default_transaction_read_only = on").unwrap();
    for call in WRITES {
        expect_refused(&mut session, &format!("CALL {call}"), &[READ_ONLY]);
    }
    session.batch_execute("RESET ALL").unwrap();
    assert_eq!(state(&mut session).unwrap(), before);
}

#[test]
fn a_replica_refuses_writes_and_leaves_maintenance_to_the_primary() {
    let server = Server::primary().with_extension().start().unwrap();
    let replica = server.replica().start().unwrap();
    server.wait_for_catchup(&replica).unwrap();
    let mut session = replica.session().unwrap();
    for call in &WRITES[..3] {
        expect_refused(&mut session, &format!("CALL {call}"), &[READ_ONLY]);
    }
    for call in ["operations_setup()", "operations_schedule()", "operations_unschedule()"] {
        expect_refused(&mut session, &format!("CALL {call}"), &[READ_ONLY]);
    }
    for call in ["operations_maintain_partitions()", "operations_maintain_partitions(9, 1)"] {
        session.batch_execute(&format!("CALL {call}")).map_err(Error::from).unwrap();
    }
    // Bad arguments are named as on the primary, also where the maintenance has nothing to do.
    expect_refused(&mut session, "CALL change_status(-1)", &[INVALID]);
    expect_refused(&mut session, "CALL operations_test_data('2025-08-31', '2025-08-01', 10)", &[INVALID]);
}

#[test]
fn without_pg_cron_the_worker_gets_the_jobs() {
    let server = Server::primary().with_worker().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    session.batch_execute("CALL operations_schedule()").unwrap();
    let jobs = "SELECT string_agg(format('%s %s %s', job_name, scheduler, active), ', ' ORDER BY job_name COLLATE \"C\") \
                FROM operations_jobs()";
    assert_eq!(
        text(&mut session, jobs).unwrap(),
        "change_status worker t, operation_insert_one worker t, \
         operations_maintain_partitions worker t, operations_prune_job_history worker t"
    );
    // Twice is once; and what was never scheduled can be unscheduled.
    session
        .batch_execute("CALL operations_schedule(); CALL operations_unschedule(); CALL operations_unschedule()")
        .unwrap();
    assert_eq!(text(&mut session, jobs).unwrap(), "NULL");
}

#[test]
fn a_caller_of_schedule_learns_that_no_worker_is_there() {
    let server = Server::primary().with_extension().start().unwrap();
    let output = server.psql(DATABASE, "CALL operations_schedule()").unwrap();
    assert!(output.is_success(), "{output:?}");
    for part in ["WARNING:", "DETAIL:  operations_ext is not in shared_preload_libraries.", "HINT:"] {
        assert!(output.stderr.contains(part), "{part}: {output:?}");
    }
}

#[test]
fn one_error_is_one_error_in_the_log() {
    let server = Server::primary().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    expect_refused(&mut session, "CALL change_status(0)", &[INVALID]);
    session.batch_execute("SELECT 'after'").unwrap();
    wait_until("the error to be logged", SOON, || {
        let log = server.log().unwrap();
        let errors: Vec<_> = log.lines().filter(|line| line.contains("ERROR:")).collect();
        match errors.len() {
            0 => Err("nothing logged".to_owned()),
            1 => Ok(()),
            _ => unreachable!("{errors:?}"),
        }
    });
}
