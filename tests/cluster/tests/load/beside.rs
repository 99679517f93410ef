//! Loads beside others: other loads, readers of an empty month, who creates a month, the live workload.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use operations_cluster::expect::{AGGREGATE_DIFFERENCE, SOON, run, wait_blocked};
use operations_cluster::{text, value, wait_until};

use crate::common::{Dates, Load, Loader, ROWS_A_MONTH, Strategy, expect_sound, primary, wait_for_load};

#[test]
fn two_loads_at_once_into_the_same_months() {
    let server = primary().start().unwrap();
    let mut session = server.session().unwrap();
    let dates = Dates::of(&mut session);
    for strategy in [Strategy::New, Strategy::Empty, Strategy::Grown, Strategy::Full] {
        strategy.prepare(&mut session, &dates);
        let former: i64 = value(&mut session, "SELECT count(*) FROM operations").unwrap();
        let began = Instant::now();
        let loads =
            [1, 2].map(|seed| Load::start(&server, "", dates.statement(2 * ROWS_A_MONTH, &format!("{seed}, 2"))));
        loads.into_iter().for_each(Load::succeed);
        // Neither is in the other's way for longer than that one takes.
        assert!(began.elapsed() < Duration::from_secs(9), "{strategy:?}: it took {:?}", began.elapsed());
        let rows: i64 = value(&mut session, "SELECT count(*) FROM operations").unwrap();
        assert_eq!(rows, former + 4 * ROWS_A_MONTH, "{strategy:?}");
        expect_sound(&mut session);
        let months = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'operations'::regclass";
        assert_eq!(
            value::<i64>(&mut session, months).unwrap(),
            if strategy == Strategy::Empty { 4 } else { 3 },
            "{strategy:?}"
        );
    }
}

#[test]
fn a_reader_of_an_empty_month_does_not_stop_a_load() {
    let server = primary().start().unwrap();
    let mut loader = Loader::new(&server);
    let dates = Dates::of(&mut loader.session);
    Strategy::Empty.prepare(&mut loader.session, &dates);
    let mut reader = server.session().unwrap();
    run(&mut reader, "BEGIN; SELECT count(*) FROM operations");
    let began = Instant::now();
    loader.call(&dates.statement(2 * ROWS_A_MONTH, "1, 2"));
    let took = began.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(30)).contains(&took), "it took {took:?}");
    // It is READ COMMITTED: the next statement sees the rows.
    assert_eq!(value::<i64>(&mut reader, "SELECT count(*) FROM operations").unwrap(), 2 * ROWS_A_MONTH);
    run(&mut reader, "COMMIT");
    expect_sound(&mut loader.session);
}

/// CREATE INDEX CONCURRENTLY holds such a lock on the month and waits for the load: to wait for it would be a deadlock.
#[test]
fn who_keeps_a_month_from_being_analysed_does_not_stop_a_load() {
    let server = primary().start().unwrap();
    let mut loader = Loader::new(&server);
    let dates = Dates::of(&mut loader.session);
    Strategy::Full.prepare(&mut loader.session, &dates);
    let mut holder = server.session().unwrap();
    for (locked, least) in [(dates.partitions[0].as_str(), 3), ("ONLY operations", 10)] {
        run(&mut holder, &format!("BEGIN; LOCK TABLE {locked} IN SHARE UPDATE EXCLUSIVE MODE"));
        run(&mut loader.session, "SET lock_timeout = '15s'");
        let began = Instant::now();
        let heard = loader.heard_of(&dates.statement(2 * ROWS_A_MONTH, "1, 2"));
        let took = began.elapsed();
        let kept = format!("{}: others keep it from being analysed", locked.trim_start_matches("ONLY "));
        assert_eq!(heard.iter().filter(|notice| notice.contains(&kept)).count(), 1, "{heard:?}");
        assert!((Duration::from_secs(least)..Duration::from_secs(least + 9)).contains(&took), "it took {took:?}");
        run(&mut holder, "COMMIT");
        expect_sound(&mut loader.session);
    }
    // One that waits for the load in turn, for so long already that it has looked for a deadlock before there was one.
    run(&mut holder, "SET deadlock_timeout = '1min'");
    let mut waiter = loader.session;
    run(&mut waiter, "BEGIN; SELECT pg_advisory_xact_lock(1)");
    run(&mut holder, &format!("BEGIN; LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE", dates.partitions[0]));
    let pid = value::<i32>(&mut holder, "SELECT pg_backend_pid()").unwrap();
    let holding = std::thread::spawn(move || run(&mut holder, "SELECT pg_advisory_xact_lock(1); COMMIT"));
    wait_blocked(&server, &[pid]);
    dates.call(&mut waiter, 2 * ROWS_A_MONTH, "1, 2");
    run(&mut waiter, "COMMIT");
    holding.join().unwrap();
    expect_sound(&mut waiter);
}

#[test]
fn a_month_that_somebody_else_creates_or_writes_to_meanwhile() {
    const ROWS: i64 = 400_000;
    let mut was_beside = false;
    let server = primary().start().unwrap();
    let mut session = server.session().unwrap();
    let dates = Dates::of(&mut session);
    let insert = format!(
        "INSERT INTO operations (operation_date, operation_guid, client_id, operation_type, amount, status, message) \
         VALUES ('{}', gen_random_uuid(), 1, 'online', 1, 1, '{{}}')",
        dates.first_day,
    );
    for (strategy, meanwhile, rows) in [
        (Strategy::New, "CALL operations_maintain_partitions(3)".to_owned(), 0),
        (Strategy::New, format!("CALL operations_maintain_partitions(3); {insert}"), 1),
        (Strategy::Empty, insert, 1),
    ] {
        strategy.prepare(&mut session, &dates);
        let load = Load::start(&server, "", dates.statement(ROWS, "1, 2"));
        wait_for_load(&load, &mut session, |seen| seen.phase == "inserting rows" && seen.rows_done > 0).unwrap();
        run(&mut session, &meanwhile);
        was_beside |= !load.is_over();
        load.succeed();
        let count: i64 = value(&mut session, "SELECT count(*) FROM operations").unwrap();
        assert_eq!(count, ROWS + rows, "{strategy:?}: {meanwhile}");
        expect_sound(&mut session);
    }
    assert!(was_beside, "each load had ended before");
}

#[test]
fn the_live_workload_goes_on_beside_a_load() {
    let server = primary().start().unwrap();
    let mut session = server.session().unwrap();
    let dates = Dates::of(&mut session);
    Strategy::Grown.prepare(&mut session, &dates);
    run(&mut session, "CALL operation_insert_one()");
    let stop = Arc::new(AtomicBool::new(false));
    let live = |statement: &'static str| {
        let (mut session, stop) = (server.session().unwrap(), Arc::clone(&stop));
        let pid: i32 = value(&mut session, "SELECT pg_backend_pid()").unwrap();
        let thread = std::thread::spawn(move || {
            let (mut longest, mut count) = (Duration::ZERO, 0_i64);
            while !stop.load(Ordering::Relaxed) {
                let began = Instant::now();
                run(&mut session, statement);
                longest = longest.max(began.elapsed());
                count += 1;
                // As a workload comes: a load that wants the month for itself gets it in one of these moments.
                std::thread::sleep(Duration::from_millis(10));
            }
            (longest, count)
        });
        (pid, thread)
    };
    let (pids, inserters): (Vec<_>, Vec<_>) = (0..3).map(|_| live("CALL operation_insert_one()")).unzip();
    let (_, flipper) = live("CALL change_status(2000)");
    // The current month, which is in use, one that is new or empty, and the two with few rows.
    let load = format!(
        "CALL operations_test_data(date_trunc('month', current_date)::date, '{}', 1000000, 1, 2)",
        dates.last_day
    );
    let load = Load::start(&server, "", load);
    let waits = format!(
        "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - waitstart)), 0)::float8 FROM pg_locks \
         WHERE NOT granted AND locktype = 'relation' AND pid = ANY('{{{}}}')",
        pids.iter().map(i32::to_string).collect::<Vec<_>>().join(","),
    );
    let mut longest_wait = 0_f64;
    wait_until("the load to end", SOON, || {
        longest_wait = longest_wait.max(value(&mut session, &waits).unwrap());
        if load.is_over() { Ok(()) } else { Err("it runs".to_owned()) }
    });
    load.succeed();
    stop.store(true, Ordering::Relaxed);
    let (longest, counts): (Vec<_>, Vec<_>) = inserters.into_iter().map(|thread| thread.join().unwrap()).unzip();
    let (_, flips) = flipper.join().unwrap();
    assert!(longest_wait < 0.1, "an insert waited {longest_wait} s for a lock");
    // On a machine that does much else besides.
    let longest = longest.into_iter().max().unwrap();
    assert!(longest < Duration::from_millis(1100), "an insert took {longest:?}");
    let inserted: i64 = counts.into_iter().sum();
    assert!(inserted > 100 && flips > 0, "{inserted} inserts, {flips} calls of change_status()");
    let count: i64 = value(&mut session, "SELECT count(*) FROM operations").unwrap();
    assert_eq!(count, 1_000_000 + 500 + 1 + inserted);
    run(&mut session, "CALL change_status(1)");
    assert_eq!(text(&mut session, AGGREGATE_DIFFERENCE).unwrap(), "");
    expect_sound(&mut session);
}
