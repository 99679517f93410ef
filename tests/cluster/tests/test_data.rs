//! `operations_test_data`: what it makes, that a seed makes it again, that it makes all or nothing.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::time::{Duration, Instant};

use operations_cluster::expect::{PARTITIONS, SOON, state};
use operations_cluster::{Server, db_error, text, value, wait_until};
use postgres::Client;

/// All rows without their ids, in an order that the rows themselves give.
const ROWS: &str = "SELECT md5(string_agg(r, ',' ORDER BY r COLLATE \"C\")) FROM \
    (SELECT (operation_date, operation_guid, client_id, operation_type, amount, status, message)::text FROM operations) o(r)";

fn server() -> Server {
    Server::primary().with_extension().start().unwrap()
}

fn call(session: &mut Client, arguments: &str) {
    session
        .batch_execute(&format!("CALL operations_test_data({arguments})"))
        .map_err(operations_cluster::Error::from)
        .unwrap();
}

#[test]
fn adds_exactly_the_rows_that_were_asked_for_within_the_closed_interval() {
    let server = server();
    let mut session = server.session().unwrap();
    let mut expected = 0;
    for (dates, count) in [
        ("'2025-08-01', '2025-11-30'", 100_000),
        ("'2025-09-15', '2025-09-15'", 1),
        ("'2025-09-15', '2025-09-16'", 7_777),
        ("'2025-10-31', '2025-11-01'", 2),
        ("'2024-02-28', '2024-03-01'", 1_000),
    ] {
        call(&mut session, &format!("{dates}, {count}"));
        expected += count;
        let total = "SELECT count(*) FROM operations";
        assert_eq!(value::<i64>(&mut session, total).unwrap(), expected, "{dates}");
    }
    // Both ends are reached, and a leap day.
    let days = "SELECT string_agg(DISTINCT operation_date::text, ' ') FROM operations \
                WHERE operation_date < '2025-01-01'";
    assert_eq!(text(&mut session, days).unwrap(), "2024-02-28 2024-02-29 2024-03-01");
    let ends = "SELECT min(operation_date), max(operation_date), count(DISTINCT operation_date) FROM operations \
                WHERE operation_date > '2025-01-01'";
    assert_eq!(text(&mut session, ends).unwrap(), "2025-08-01|2025-11-30|122");
    assert!(text(&mut session, PARTITIONS).unwrap().starts_with("operations_2024_02 operations_2024_03 "));
}

#[test]
fn rows_look_like_a_banks() {
    let server = server();
    let mut session = server.session().unwrap();
    call(&mut session, "'2025-08-01', '2025-11-30', 200000, 42");

    let bad = "SELECT count(*) FROM operations WHERE NOT ( \
        amount > 0 AND scale(amount) = 2 AND status = 0 AND client_id > 0 \
        AND operation_guid::text ~ '^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$' \
        AND jsonb_typeof(message) = 'object' AND message->>'account_number' <> '' \
        AND (message->>'client_id')::int = client_id \
        AND message->>'operation_type' = operation_type::text)";
    assert_eq!(value::<i64>(&mut session, bad).unwrap(), 0);
    let guids = "SELECT count(DISTINCT operation_guid), count(DISTINCT id) FROM operations";
    assert_eq!(text(&mut session, guids).unwrap(), "200000|200000");

    // About 5,000 clients; the hundredth part of them does far more than its share, and half of them far less.
    let clients = value::<i64>(&mut session, "SELECT count(DISTINCT client_id) FROM operations").unwrap();
    assert!((4_000..=5_500).contains(&clients), "{clients} clients");
    let skew = "WITH c AS (SELECT count(*) AS n, row_number() OVER (ORDER BY count(*) DESC) AS place \
                FROM operations GROUP BY client_id) \
                SELECT sum(n) FILTER (WHERE place <= 50) > 0.1 * sum(n), \
                       sum(n) FILTER (WHERE place > 2500) < 0.3 * sum(n), max(n), min(n) FROM c";
    let answer = text(&mut session, skew).unwrap();
    assert!(answer.starts_with("t|t|"), "{answer}");

    // Both types, neither rare; many small amounts and few large ones.
    let types = "SELECT count(*) FROM (SELECT operation_type FROM operations GROUP BY 1 HAVING count(*) > 20000) t";
    assert_eq!(value::<i64>(&mut session, types).unwrap(), 2);
    let amounts = "SELECT avg(amount) > 1.3 * percentile_cont(0.5) WITHIN GROUP (ORDER BY amount), \
                   max(amount) > 10 * avg(amount), count(DISTINCT amount) > 1000, avg(amount), max(amount) FROM operations";
    let answer = text(&mut session, amounts).unwrap();
    assert!(answer.starts_with("t|t|t|"), "{answer}");

    // Spread over the days: none has less than half or more than twice its share.
    let days = "SELECT count(*) FROM (SELECT operation_date FROM operations GROUP BY 1 \
                HAVING count(*) BETWEEN 200000 / 122 / 2 AND 200000 / 122 * 2) d";
    assert_eq!(value::<i64>(&mut session, days).unwrap(), 122);
}

#[test]
fn a_seed_gives_the_same_rows_again_and_no_seed_gives_fresh_ones() {
    let (first, second) = (server(), server());
    let mut here = first.session().unwrap();
    let mut there = second.session().unwrap();
    // What a session sets must not matter; nor that ids have been used before.
    there
        .batch_execute(
            "SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Pacific/Kiritimati'; SET bytea_output = escape; \
             SET extra_float_digits = -10; SET default_transaction_isolation = serializable; \
             SET IntervalStyle = sql_standard; SET work_mem = '64kB'; CALL operation_insert_one(); \
             TRUNCATE operations",
        )
        .unwrap();
    for arguments in [
        "'2025-08-01', '2025-11-30', 20000, 42",
        "'2025-08-01', '2025-08-01', 1, -9223372036854775808",
        "'2025-12-01', '2026-01-31', 5000, 9223372036854775807",
        "'2025-08-01', '2025-11-30', 20000, 0",
    ] {
        call(&mut here, arguments);
        call(&mut there, arguments);
        let rows = text(&mut here, ROWS).unwrap();
        there.batch_execute("RESET DateStyle").unwrap();
        assert_eq!(text(&mut there, ROWS).unwrap(), rows, "{arguments}");
        there.batch_execute("SET DateStyle = 'SQL, DMY'").unwrap();
    }
    let mut seen = vec![text(&mut here, ROWS).unwrap()];
    for seed in ["1", "2", "NULL", "NULL"] {
        here.batch_execute("TRUNCATE operations").unwrap();
        call(&mut here, &format!("'2025-08-01', '2025-11-30', 100, {seed}"));
        let rows = text(&mut here, ROWS).unwrap();
        assert!(!seen.contains(&rows), "seed {seed} gave rows seen before");
        seen.push(rows);
    }
}

#[test]
fn a_cancelled_load_leaves_no_row_and_ends_within_a_second() {
    let server = server();
    let mut session = server.session().unwrap();
    let before = state(&mut session).unwrap();
    let (pid, loader) = start_big_load(&server);
    wait_for_progress(&mut session, pid, 100_000);
    let cancelled = Instant::now();
    session.execute("SELECT pg_cancel_backend($1)", &[&pid]).unwrap();
    let error = loader.join().unwrap().unwrap();
    let took = cancelled.elapsed();
    assert_eq!(error.code().code(), "57014", "{error:?}");
    assert!(took < Duration::from_secs(1), "it took {took:?}");
    // The months that the load made in its transaction are gone with it.
    assert_eq!(state(&mut session).unwrap(), before);
}

#[test]
fn statement_timeout_ends_a_load_too() {
    let server = server();
    let mut session = server.session().unwrap();
    let before = state(&mut session).unwrap();
    session.batch_execute("SET statement_timeout = '1s'").unwrap();
    let load = "CALL operations_test_data('2025-08-01', '2025-11-30', 50000000, 1)";
    let start = Instant::now();
    let error = db_error(session.batch_execute(load)).unwrap();
    assert_eq!(error.code().code(), "57014", "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(2));
    session.batch_execute("RESET ALL").unwrap();
    assert_eq!(state(&mut session).unwrap(), before);
}

#[test]
fn another_session_sees_the_progress() {
    let server = server();
    let mut session = server.session().unwrap();
    let (pid, loader) = start_big_load(&server);
    let first = wait_for_progress(&mut session, pid, 1);
    let second = wait_for_progress(&mut session, pid, first + 1);
    assert!(second > first);
    session.execute("SELECT pg_terminate_backend($1)", &[&pid]).unwrap();
    loader.join().unwrap();
}

#[test]
fn a_load_is_part_of_its_callers_transaction() {
    let server = server();
    let mut session = server.session().unwrap();
    let before = state(&mut session).unwrap();
    session.batch_execute("BEGIN; CALL operations_test_data('2024-01-01', '2024-01-31', 1000, 1); ROLLBACK").unwrap();
    assert_eq!(state(&mut session).unwrap(), before);
    session
        .batch_execute(
            "BEGIN; SAVEPOINT s; CALL operations_test_data('2024-01-01', '2024-01-31', 1000, 1); ROLLBACK TO s; \
             CALL operations_test_data('2024-01-01', '2024-01-31', 10, 1); COMMIT",
        )
        .unwrap();
    let total = "SELECT count(*) FROM operations";
    assert_eq!(value::<i64>(&mut session, total).unwrap(), 10);
}

#[test]
fn a_row_that_the_table_refuses_takes_the_whole_load_back() {
    let server = server();
    let mut session = server.session().unwrap();
    session
        .batch_execute("ALTER TABLE operations ADD CONSTRAINT no_halloween CHECK (operation_date <> '2025-10-31')")
        .unwrap();
    let load = "CALL operations_test_data('2025-08-01', '2025-11-30', 10000, 1)";
    let error = db_error(session.batch_execute(load)).unwrap();
    assert_eq!(error.code().code(), "23514", "{error:?}");
    let total = "SELECT count(*) FROM operations";
    assert_eq!(value::<i64>(&mut session, total).unwrap(), 0);
}

#[test]
fn ids_go_on_after_a_load_and_two_loads_at_once_do_not_disturb_each_other() {
    let server = server();
    let loaders: Vec<_> = (0..2)
        .map(|seed| {
            let mut session = server.session().unwrap();
            std::thread::spawn(move || {
                call(&mut session, &format!("'2025-08-01', '2026-02-28', 100000, {seed}"));
            })
        })
        .collect();
    for loader in loaders {
        loader.join().unwrap();
    }
    let mut session = server.session().unwrap();
    session.batch_execute("CALL operation_insert_one()").unwrap();
    let ids = "SELECT count(*), count(DISTINCT id), count(DISTINCT operation_guid) FROM operations";
    assert_eq!(text(&mut session, ids).unwrap(), "200001|200001|200001");
    let last = "SELECT (SELECT id FROM operations WHERE operation_date = current_date) = max(id) FROM operations";
    assert!(value::<bool>(&mut session, last).unwrap());
}

/// Starts a load that nobody waits for to end, into months that do not exist; returns its process and what ended it.
fn start_big_load(server: &Server) -> (i32, std::thread::JoinHandle<Option<postgres::error::DbError>>) {
    let mut session = server.session().unwrap();
    let pid = value(&mut session, "SELECT pg_backend_pid()").unwrap();
    let loader = std::thread::spawn(move || {
        db_error(session.batch_execute("CALL operations_test_data('2024-05-01', '2024-06-30', 50000000, 1)"))
    });
    (pid, loader)
}

/// Waits until pg_stat_progress_copy shows at least so many rows for a process, and returns how many.
fn wait_for_progress(session: &mut Client, pid: i32, rows: i64) -> i64 {
    wait_until(&format!("{rows} rows of progress"), SOON, || {
        let query = "SELECT tuples_processed FROM pg_stat_progress_copy WHERE pid = $1";
        let found = session.query(query, &[&pid]).unwrap();
        match found.first().map(|row| row.get::<_, i64>(0)) {
            Some(done) if done >= rows => Ok(done),
            other => Err(format!("{other:?}")),
        }
    })
}
