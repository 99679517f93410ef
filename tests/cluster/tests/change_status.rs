//! `change_status`: which rows it takes, that no two sessions take the same, and that the aggregate is right.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use operations_cluster::expect::{AGGREGATE_DIFFERENCE, SOON, run, wait_blocked};
use operations_cluster::{Server, text, value, wait_until};
use postgres::Client;

const FLIPPED: &str = "SELECT coalesce(string_agg(id::text, ' ' ORDER BY id), '') FROM operations WHERE status = 1";

fn server_with_rows(rows: u32) -> Server {
    // Every wait of 20 ms for a lock is logged, so that a test can say that there was none for rows.
    let server = Server::primary()
        .with_extension()
        .setting("deadlock_timeout", "20ms")
        .setting("log_lock_waits", "on")
        .start()
        .unwrap();
    // The later months first, so that old ids lie in late months.
    let mut session = server.session().unwrap();
    for dates in [
        "'2025-11-01', '2025-11-30'",
        "'2025-08-01', '2025-08-31'",
        "'2025-09-01', '2025-10-31'",
        "'2025-08-01', '2025-11-30'",
    ] {
        run(&mut session, &format!("CALL operations_test_data({dates}, {}, 1)", rows / 4));
    }
    server
}

fn expect_exact_aggregate(session: &mut Client) {
    assert_eq!(text(session, AGGREGATE_DIFFERENCE).unwrap(), "");
}

#[test]
fn takes_the_oldest_ids_of_the_seconds_parity() {
    let server = server_with_rows(400);
    let mut session = server.session().unwrap();
    let second = "SELECT floor(extract(epoch FROM clock_timestamp()))::bigint";
    let mut seen = [0, 0];
    wait_until("a call in an even and one in an odd second", SOON, || {
        run(&mut session, "UPDATE operations SET status = 0");
        let before = value::<i64>(&mut session, second).unwrap();
        run(&mut session, "CALL change_status(7)");
        if value::<i64>(&mut session, second).unwrap() == before {
            let parity = before % 2;
            let oldest = format!(
                "SELECT string_agg(id::text, ' ' ORDER BY id) FROM \
                 (SELECT id FROM operations WHERE id % 2 = {parity} ORDER BY id LIMIT 7) o"
            );
            let expected = text(&mut session, &oldest).unwrap();
            assert_eq!(text(&mut session, FLIPPED).unwrap(), expected);
            expect_exact_aggregate(&mut session);
            seen[parity as usize] += 1;
        }
        match seen.contains(&0) {
            false => Ok(()),
            true => Err(format!("calls in even and odd seconds: {seen:?}")),
        }
    });
}

#[test]
fn takes_a_batch_at_a_time_until_all_is_done() {
    let server = server_with_rows(1000);
    let mut session = server.session().unwrap();
    let done = "SELECT count(*) FROM operations WHERE status = 1";
    let mut before = 0;
    wait_until("all rows to be done", SOON, || {
        run(&mut session, "CALL change_status(60)");
        let now = value::<i64>(&mut session, done).unwrap();
        assert!((0..=60).contains(&(now - before)), "from {before} to {now}");
        before = now;
        match now {
            1000 => Ok(()),
            _ => Err(format!("{now} of 1000")),
        }
    });
    expect_exact_aggregate(&mut session);
    // With nothing to do it does nothing.
    run(&mut session, "CALL change_status(); CALL change_status(1)");
    assert_eq!(value::<i64>(&mut session, done).unwrap(), 1000);
    expect_exact_aggregate(&mut session);
}

#[test]
fn a_batch_larger_than_what_is_there_takes_all_of_its_parity() {
    let server = server_with_rows(1000);
    let mut session = server.session().unwrap();
    run(&mut session, "CALL change_status(2147483647)");
    let done = "SELECT count(*), count(DISTINCT id % 2) FROM operations WHERE status = 1";
    assert_eq!(text(&mut session, done).unwrap(), "500|1");
}

#[test]
fn rows_that_others_hold_are_passed_over_without_waiting() {
    let server = server_with_rows(400);
    let mut holder = server.session().unwrap();
    run(&mut holder, "BEGIN; SELECT FROM operations WHERE id <= 20 FOR UPDATE");
    let mut session = server.session().unwrap();
    run(&mut session, "SET lock_timeout = '5s'; CALL change_status(5)");
    let flipped = "SELECT count(*), min(id) > 20, max(id) <= 30 FROM operations WHERE status = 1";
    assert_eq!(text(&mut session, flipped).unwrap(), "5|t|t");
    run(&mut holder, "ROLLBACK");
}

#[test]
fn eight_sessions_flip_every_row_once() {
    let server = server_with_rows(24_000);
    let mut admin = server.session().unwrap();
    run(
        &mut admin,
        "CREATE TABLE flips (id bigint, old smallint, new smallint); \
         CREATE FUNCTION record_flip() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO flips VALUES (new.id, old.status, new.status); RETURN NULL; END $$; \
         CREATE TRIGGER record_flip AFTER UPDATE ON operations FOR EACH ROW EXECUTE FUNCTION record_flip()",
    );
    let left = "SELECT count(*) FROM operations WHERE status = 0";
    let workers: Vec<_> = (0..8)
        .map(|number| {
            let mut session = server.session().unwrap();
            std::thread::spawn(move || {
                wait_until("all rows to be done", SOON, || {
                    // Batches of different sizes, so that sessions overlap in all ways.
                    run(&mut session, &format!("CALL change_status({})", 150 + number * 50));
                    match value::<i64>(&mut session, left).unwrap() {
                        0 => Ok(()),
                        rows => Err(format!("{rows} rows are left")),
                    }
                });
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    let flips = "SELECT count(*), count(DISTINCT id), min(old), max(old), min(new), max(new) FROM flips";
    assert_eq!(text(&mut admin, flips).unwrap(), "24000|24000|0|0|1|1");
    expect_exact_aggregate(&mut admin);
    let log = server.log().unwrap();
    let lines: Vec<_> = log.lines().collect();
    for (number, line) in lines.iter().enumerate() {
        // What it says of it is in the lines that follow.
        let said = &lines[number..lines.len().min(number + 6)];
        assert!(!line.contains("deadlock detected"), "{said:#?}");
        // SKIP LOCKED itself may wait where a row was just updated: for the transaction that is locking the row's new version.
        let is_skip_locked = said.iter().any(|line| line.contains("while locking updated version"));
        let is_wait = line.contains("ShareLock on transaction") || line.contains("on tuple");
        assert!(!is_wait || is_skip_locked, "{said:#?}");
    }
}

#[test]
fn the_aggregate_is_right_whichever_session_ends_last() {
    let server = server_with_rows(4_000);
    // The first has flipped and refreshed inside a transaction that stays open; the second has to wait for it.
    let mut first = server.session().unwrap();
    run(&mut first, "BEGIN; CALL change_status(100)");
    let mut second = server.session().unwrap();
    let pid = value::<i32>(&mut second, "SELECT pg_backend_pid()").unwrap();
    let waiting = std::thread::spawn(move || run(&mut second, "CALL change_status(100)"));
    wait_blocked(&server, &[pid]);
    run(&mut first, "COMMIT");
    waiting.join().unwrap();
    let done = "SELECT count(*) FROM operations WHERE status = 1";
    assert_eq!(value::<i64>(&mut first, done).unwrap(), 200);
    expect_exact_aggregate(&mut first);
}

#[test]
fn readers_of_the_aggregate_are_not_blocked() {
    let server = server_with_rows(4_000);
    let mut reader = server.session().unwrap();
    run(&mut reader, "BEGIN; SELECT count(*) FROM client_type_sum_mv");
    let mut session = server.session().unwrap();
    run(&mut session, "SET lock_timeout = '5s'; BEGIN; CALL change_status(100)");
    run(&mut reader, "SET lock_timeout = '5s'; SELECT count(*) FROM client_type_sum_mv; COMMIT");
    run(&mut session, "COMMIT");
}

#[test]
fn a_rolled_back_call_leaves_nothing() {
    let server = server_with_rows(400);
    let mut session = server.session().unwrap();
    run(&mut session, "BEGIN; CALL change_status(100); ROLLBACK");
    assert_eq!(text(&mut session, FLIPPED).unwrap(), "");
    assert_eq!(text(&mut session, "SELECT count(*) FROM client_type_sum_mv").unwrap(), "0");
}
