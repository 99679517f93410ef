//! The life of the month partitions: what is made, what is detached, and that nobody waits for it.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use operations_cluster::expect::{PARTITIONS, run, state, wait_blocked};
use operations_cluster::{Server, text, value};
use postgres::Client;

const MAINTAIN: &str = "CALL operations_maintain_partitions";

fn server() -> Server {
    Server::primary().with_extension().start().unwrap()
}

/// The names of the months from one day to another, as SQL expressions.
fn months(session: &mut Client, from: &str, to: &str) -> String {
    let query = format!(
        "SELECT string_agg(to_char(m, '\"operations\"_YYYY_MM'), ' ' ORDER BY m) \
         FROM generate_series(date_trunc('month', {from}), {to}, '1 month') m"
    );
    text(session, &query).unwrap()
}

/// The name of the current month's partition.
fn current_month(session: &mut Client) -> String {
    text(session, "SELECT to_char(current_date, '\"operations\"_YYYY_MM')").unwrap()
}

/// Drops every partition after November 2025, as a server has it that was stopped then.
fn stop_for_long(session: &mut Client) {
    let drop = "SELECT string_agg(format('DROP TABLE %s', inhrelid::regclass), '; ') FROM pg_inherits \
                WHERE inhparent = 'operations'::regclass AND inhrelid::regclass::text > 'operations_2025_11'";
    let drop = text(session, drop).unwrap();
    run(session, &drop);
    assert!(text(session, PARTITIONS).unwrap().ends_with("operations_2025_11"));
}

#[test]
fn maintenance_makes_every_missing_month_and_then_nothing() {
    let server = server();
    let mut session = server.session().unwrap();
    stop_for_long(&mut session);
    run(&mut session, "DROP TABLE operations_2025_09, operations_2025_10");

    run(&mut session, &format!("{MAINTAIN}(0)"));
    let expected = months(&mut session, "'2025-08-01'::timestamptz", "now()");
    assert_eq!(text(&mut session, PARTITIONS).unwrap(), expected);

    run(&mut session, &format!("{MAINTAIN}()"));
    let expected = months(&mut session, "'2025-08-01'::timestamptz", "now() + interval '3 months'");
    assert_eq!(text(&mut session, PARTITIONS).unwrap(), expected);

    run(&mut session, &format!("{MAINTAIN}(p_months_ahead => 14)"));
    let expected = months(&mut session, "'2025-08-01'::timestamptz", "now() + interval '14 months'");
    assert_eq!(text(&mut session, PARTITIONS).unwrap(), expected);

    let before = state(&mut session).unwrap();
    run(&mut session, &format!("{MAINTAIN}(); {MAINTAIN}(14)"));
    assert_eq!(state(&mut session).unwrap(), before);
}

#[test]
fn a_new_month_is_a_whole_partition() {
    let server = server();
    let mut session = server.session().unwrap();
    run(&mut session, &format!("{MAINTAIN}(5)"));
    // Indexes, constraints and columns as the other months have them.
    let shapes = "SELECT count(DISTINCT shape) FROM (SELECT \
        (SELECT string_agg(indexdef, ';' ORDER BY indexdef) \
         FROM (SELECT regexp_replace(indexdef, 'operations_\\w+', '', 'g') AS indexdef FROM pg_indexes WHERE indexname IN \
               (SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = inhrelid)) i) || \
        (SELECT string_agg(pg_get_constraintdef(oid), ';' ORDER BY pg_get_constraintdef(oid)) FROM pg_constraint WHERE conrelid = inhrelid \
         AND contype = 'c') || \
        (SELECT string_agg(format('%s %s %s %s', attname, atttypid::regtype, attnotnull, atthasdef), ';' ORDER BY attnum) \
         FROM pg_attribute WHERE attrelid = inhrelid AND attnum > 0) AS shape \
        FROM pg_inherits WHERE inhparent = 'operations'::regclass) s WHERE shape IS NOT NULL";
    assert_eq!(value::<i64>(&mut session, shapes).unwrap(), 1);
    let owners =
        "SELECT count(DISTINCT relowner) FROM pg_class WHERE relname LIKE 'operations%' AND relkind IN ('r', 'p')";
    assert_eq!(value::<i64>(&mut session, owners).unwrap(), 1);
}

#[test]
fn retention_detaches_and_never_drops() {
    let server = server();
    let mut session = server.session().unwrap();
    run(&mut session, &format!("{MAINTAIN}(); CALL operations_test_data('2025-08-01', '2025-11-30', 4000, 1)"));
    let in_august = "SELECT count(*) FROM operations_2025_08";
    let rows = value::<i64>(&mut session, in_august).unwrap();
    assert!(rows > 0);
    run(&mut session, &format!("{MAINTAIN}(3, 2)"));

    let attached = text(&mut session, PARTITIONS).unwrap();
    let kept = months(&mut session, "now() - interval '1 month'", "now() + interval '3 months'");
    assert!(attached.ends_with(&kept), "{attached}");
    let oldest = months(&mut session, "now() - interval '3 months'", "now()");
    let oldest = oldest.split(' ').next().unwrap().to_owned();
    assert!(!attached.contains(&oldest), "{oldest} is in {attached}");
    // Detached, not dropped: all rows are there, in tables of their own.
    assert_eq!(value::<i64>(&mut session, in_august).unwrap(), rows);
    let left = "SELECT (SELECT count(*) FROM operations), (SELECT count(*) FROM operations_2025_08) + \
                (SELECT count(*) FROM operations_2025_09) + (SELECT count(*) FROM operations_2025_10) + \
                (SELECT count(*) FROM operations_2025_11)";
    assert_eq!(text(&mut session, left).unwrap(), "0|4000");

    // Maintenance without retention does not bring them back, and a second one with it has nothing to do.
    let before = state(&mut session).unwrap();
    run(&mut session, &format!("{MAINTAIN}(); {MAINTAIN}(3, 2)"));
    assert_eq!(state(&mut session).unwrap(), before);

    // A load into a month that was detached makes a partition of another name, and leaves the detached table alone.
    run(&mut session, "CALL operations_test_data('2025-08-01', '2025-08-31', 10, 1)");
    assert_eq!(
        text(&mut session, "SELECT DISTINCT tableoid::regclass FROM operations").unwrap(),
        "operations_2025_08_2"
    );
    assert_eq!(value::<i64>(&mut session, in_august).unwrap(), rows);
}

#[test]
fn an_insert_works_when_the_months_partition_was_dropped() {
    let server = server();
    let mut session = server.session().unwrap();
    let month = current_month(&mut session);
    run(&mut session, &format!("DROP TABLE {month}; CALL operation_insert_one(); CALL operation_insert_one()"));
    let rows = format!("SELECT count(*) FROM {month} WHERE operation_date = current_date");
    assert_eq!(value::<i64>(&mut session, &rows).unwrap(), 2);
}

#[test]
fn an_insert_works_when_the_months_partition_was_detached() {
    let server = server();
    let mut session = server.session().unwrap();
    let month = current_month(&mut session);
    run(&mut session, &format!("ALTER TABLE operations DETACH PARTITION {month}; CALL operation_insert_one()"));
    let rows = "SELECT count(*) FROM operations WHERE operation_date = current_date";
    assert_eq!(value::<i64>(&mut session, rows).unwrap(), 1);
}

#[test]
fn everything_works_after_a_long_stop() {
    let server = server();
    let mut session = server.session().unwrap();
    stop_for_long(&mut session);
    run(&mut session, "CALL operation_insert_one()");
    let rows = "SELECT count(*) FROM operations WHERE operation_date = current_date";
    assert_eq!(value::<i64>(&mut session, rows).unwrap(), 1);
    run(&mut session, &format!("{MAINTAIN}()"));
    let expected = months(&mut session, "'2025-08-01'::timestamptz", "now() + interval '3 months'");
    assert_eq!(text(&mut session, PARTITIONS).unwrap(), expected);
}

#[test]
fn a_load_crosses_the_ends_of_months_and_years() {
    let server = server();
    let mut session = server.session().unwrap();
    run(
        &mut session,
        "CALL operations_test_data('2023-12-31', '2024-01-01', 1000, 1); \
         CALL operations_test_data('2024-02-29', '2024-03-01', 1000, 1)",
    );
    let days = "SELECT string_agg(format('%s %s', tableoid::regclass, operation_date), ', ' ORDER BY operation_date) \
                FROM (SELECT DISTINCT tableoid, operation_date FROM operations) o";
    assert_eq!(
        text(&mut session, days).unwrap(),
        "operations_2023_12 2023-12-31, operations_2024_01 2024-01-01, \
         operations_2024_02 2024-02-29, operations_2024_03 2024-03-01"
    );
}

#[test]
fn readers_and_writers_of_the_primary_go_on() {
    let server = server();
    let mut reader = server.session().unwrap();
    run(&mut reader, "BEGIN; SELECT count(*) FROM operations");
    let mut writer = server.session().unwrap();
    run(&mut writer, "BEGIN; CALL operation_insert_one()");

    // Open transactions do not hold the maintenance up ...
    let mut maintainer = server.session().unwrap();
    run(&mut maintainer, &format!("SET lock_timeout = '5s'; BEGIN; {MAINTAIN}(7)"));
    // ... and the maintenance, still open, holds up neither them nor those that come.
    for session in [&mut reader, &mut writer, &mut server.session().unwrap()] {
        run(session, "SET lock_timeout = '5s'; SELECT count(*) FROM operations; CALL operation_insert_one()");
    }
    run(&mut maintainer, "COMMIT");
    run(&mut reader, "SELECT count(*) FROM operations; COMMIT");
    run(&mut writer, "COMMIT");
    let rows = "SELECT count(*) FROM operations";
    assert_eq!(value::<i64>(&mut reader, rows).unwrap(), 4);
}

#[test]
fn an_insert_that_makes_its_month_does_not_wait_for_readers() {
    let server = server();
    let mut session = server.session().unwrap();
    let month = current_month(&mut session);
    run(&mut session, &format!("DROP TABLE {month}"));
    let mut reader = server.session().unwrap();
    run(&mut reader, "BEGIN; SELECT count(*) FROM operations");
    run(&mut session, "SET lock_timeout = '5s'; CALL operation_insert_one()");
    run(&mut reader, "SELECT count(*) FROM operations; COMMIT");
}

#[test]
fn sessions_that_make_the_same_month_at_once_all_succeed() {
    let server = server();
    // One has made the month and not committed; the other waits, and then uses it or makes it itself.
    for (ending, rows) in [("COMMIT", 20), ("ROLLBACK", 10)] {
        let mut first = server.session().unwrap();
        run(&mut first, "DROP TABLE IF EXISTS operations_2024_06");
        run(&mut first, "BEGIN; CALL operations_test_data('2024-06-01', '2024-06-30', 10)");
        let mut second = server.session().unwrap();
        let pid = value::<i32>(&mut second, "SELECT pg_backend_pid()").unwrap();
        let waiting = std::thread::spawn(move || {
            run(&mut second, "CALL operations_test_data('2024-06-01', '2024-06-30', 10)");
        });
        wait_blocked(&server, &[pid]);
        run(&mut first, ending);
        waiting.join().unwrap();
        let count = "SELECT count(*) FROM operations_2024_06";
        assert_eq!(value::<i64>(&mut first, count).unwrap(), rows, "{ending}");
    }
}

#[test]
fn a_rush_on_a_missing_month_fails_nobody() {
    let server = server();
    let mut admin = server.session().unwrap();
    let month = current_month(&mut admin);
    // With many partitions it takes long to read which there are: the rivals make theirs meanwhile.
    run(&mut admin, &format!("{MAINTAIN}(400)"));
    for round in 1..=12 {
        run(&mut admin, &format!("DROP TABLE IF EXISTS {month}"));
        let calls = [
            "CALL operation_insert_one()",
            "CALL operation_insert_one()",
            "CALL operation_insert_one()",
            "CALL operations_maintain_partitions()",
            "CALL operations_maintain_partitions()",
            "CALL operations_test_data(current_date, current_date, 10)",
        ];
        let rush: Vec<_> = calls
            .into_iter()
            .map(|call| {
                let mut session = server.session().unwrap();
                std::thread::spawn(move || run(&mut session, call))
            })
            .collect();
        for session in rush {
            session.join().unwrap();
        }
        let rows = format!("SELECT count(*) FROM {month}");
        assert_eq!(value::<i64>(&mut admin, &rows).unwrap(), 13, "round {round}");
    }
    assert!(!server.log_contains("deadlock detected").unwrap());
}
