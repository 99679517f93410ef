//! Loads that end in the middle: cancelled, timed out, killed. In each phase, with workers.

use std::time::{Duration, Instant};

use operations_cluster::expect::{CONTENTS, SOON, expect_equal, run, state, wait_for_text};
use operations_cluster::{DATABASE, SUPERUSER, db_error, text, value, wait_until};
use postgres::error::SqlState;

use crate::common::{Dates, Load, ORPHANS, Strategy, expect_sound, primary, wait_for_load};

/// Enough that each phase lasts long enough to be seen and met.
const ROWS: i64 = 250_000;

/// The phases that last long enough to be met in them.
const PHASES: [&str; 3] = ["inserting rows", "building indexes", "waiting for workers"];

/// How often to try to meet a load in a phase.
const ATTEMPTS: u32 = 5;

const WORKERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker'";

#[test]
fn a_cancelled_load_ends_within_a_second_in_every_phase() {
    let server = primary().start().unwrap();
    let mut session = server.session().unwrap();
    let dates = Dates::of(&mut session);
    let mut met = Vec::new();
    for strategy in [Strategy::New, Strategy::Empty, Strategy::Grown, Strategy::Full] {
        for phase in PHASES {
            strategy.prepare(&mut session, &dates);
            let before = state(&mut session).unwrap();
            let load = Load::start(&server, "", dates.statement(ROWS, "1, 2"));
            if load.reach(&mut session, phase).is_none() {
                load.succeed();
                continue;
            }
            let cancelled = Instant::now();
            session.execute("SELECT pg_cancel_backend($1)", &[&load.pid]).unwrap();
            // It may have ended in the moment between.
            let Some(error) = db_error(load.end()) else { continue };
            let took = cancelled.elapsed();
            assert_eq!(error.code().code(), "57014", "{strategy:?}: {error:?}");
            assert!(took < Duration::from_secs(1), "{strategy:?}, {phase}: it took {took:?}");
            met.push(phase);
            wait_for_text(&mut session, "the workers to be gone", WORKERS, "0");
            assert_eq!(state(&mut session).unwrap(), before, "{strategy:?}, {phase}");
            expect_sound(&mut session);
        }
    }
    // Who is last, and has nothing to wait for, is up to the scheduler.
    assert!(PHASES[..2].iter().all(|phase| met.contains(phase)), "{met:?}");
}

#[test]
fn a_timeout_and_a_terminated_process_end_a_load_and_its_workers() {
    let server = primary().start().unwrap();
    let mut session = server.session().unwrap();
    let dates = Dates::of(&mut session);
    for strategy in [Strategy::New, Strategy::Empty, Strategy::Grown, Strategy::Full, Strategy::Copy] {
        strategy.prepare(&mut session, &dates);
        let before = state(&mut session).unwrap();
        let began = Instant::now();
        let load = Load::start(&server, "SET statement_timeout = '300ms'", dates.statement(40 * ROWS, "1, 2"));
        let error = db_error(load.end()).unwrap();
        assert_eq!(error.code().code(), "57014", "{strategy:?}: {error:?}");
        assert!(began.elapsed() < Duration::from_millis(1500), "{strategy:?}: {:?}", began.elapsed());
        wait_for_text(&mut session, "the workers to be gone", WORKERS, "0");
        assert_eq!(state(&mut session).unwrap(), before, "{strategy:?}");
        if strategy == Strategy::Copy {
            continue; // It has no workers.
        }
        for victim in ["the caller", "a worker"] {
            strategy.prepare(&mut session, &dates);
            let before = state(&mut session).unwrap();
            let load = Load::start(&server, "", dates.statement(40 * ROWS, "1, 2"));
            let seen = load.reach(&mut session, "inserting rows").unwrap();
            let pid = if victim == "a worker" { seen.workers[0] } else { load.pid };
            session.execute("SELECT pg_terminate_backend($1)", &[&pid]).unwrap();
            let error = load.end().unwrap_err();
            if victim == "a worker" {
                assert_eq!(error.code().map(SqlState::code), Some("57P01"), "{strategy:?}: {error:?}");
            } else {
                // Its client may see only that the connection was closed, so the log is asked.
                let said = format!("[{pid}] {SUPERUSER}@{DATABASE} [unknown] FATAL:  terminating connection due to");
                assert!(server.log_contains(&said).unwrap(), "{strategy:?}: {error:?}");
            }
            wait_for_text(&mut session, "the workers to be gone", WORKERS, "0");
            wait_for_text(&mut session, "its progress to be gone", "TABLE operations_load_progress", "");
            assert_eq!(state(&mut session).unwrap(), before, "{strategy:?}, {victim}");
        }
        expect_sound(&mut session);
    }
}

#[test]
fn a_killed_process_leaves_no_row_and_the_next_load_works() {
    let mut server = primary().start().unwrap();
    for (strategy, victim, phase) in [
        (Strategy::New, "a worker", "inserting rows"),
        (Strategy::Empty, "the caller", "building indexes"),
        (Strategy::Grown, "all", "building indexes"),
        (Strategy::Full, "a worker", "inserting rows"),
        (Strategy::Grown, "the caller", "inserting rows"),
        (Strategy::Empty, "all", "inserting rows"),
    ] {
        let mut session = server.session().unwrap();
        let dates = Dates::of(&mut session);
        // Which process is done first is up to the scheduler: a load may never be seen in that phase with a worker.
        let met = (0..ATTEMPTS).find_map(|_| {
            strategy.prepare(&mut session, &dates);
            let before = (text(&mut session, CONTENTS).unwrap(), state(&mut session).unwrap());
            let load = Load::start(&server, "", dates.statement(4 * ROWS, "1, 2"));
            match load.reach(&mut session, phase) {
                Some(seen) => Some((before, load, seen)),
                None => {
                    load.succeed();
                    None
                }
            }
        });
        let ((before, partitions), load, seen) =
            met.unwrap_or_else(|| panic!("{strategy:?}: none of {ATTEMPTS} loads was seen {phase}"));
        match victim {
            "a worker" => server.kill_process(seen.workers[0]).unwrap(),
            "the caller" => server.kill_process(load.pid).unwrap(),
            _ => server.kill_all().unwrap(),
        }
        assert!(load.end().is_err(), "{strategy:?}, {victim}");
        if victim == "all" {
            server.start().unwrap();
        }
        // Where one process was killed, the server recovers by itself, once it has noticed and ended all sessions.
        wait_until("the sessions to be ended", SOON, || match text(&mut session, "SELECT 1") {
            Ok(_) => Err("one is there".to_owned()),
            Err(_) => Ok(()),
        });
        let mut session = wait_until("the server to have recovered", SOON, || {
            let mut session = server.session().map_err(|error| error.to_string())?;
            text(&mut session, "SELECT 1").map(|_| session).map_err(|error| error.to_string())
        });
        assert_eq!(text(&mut session, CONTENTS).unwrap(), before, "{strategy:?}, {victim}");
        assert_eq!(state(&mut session).unwrap(), partitions, "{strategy:?}, {victim}");
        expect_sound(&mut session);
        let rows: i64 = value(&mut session, "SELECT count(*) FROM operations").unwrap();
        dates.call(&mut session, ROWS / 2, "2, 3");
        assert_eq!(value::<i64>(&mut session, "SELECT count(*) FROM operations").unwrap(), rows + ROWS / 2);
        expect_sound(&mut session);
        run(&mut session, "CALL operation_insert_one()");
    }
}

#[test]
fn files_that_a_crash_leaves_behind_are_removed_by_the_next_load_on_the_replica_too() {
    let mut primary = primary().start().unwrap();
    let replica = primary.replica().start().unwrap();
    const LOAD: &str = "CALL operations_test_data('2024-01-01', '2024-01-31', 20000, 1)";
    const MAINTAIN: &str = "CALL operations_maintain_partitions()";
    for (strategy, next) in [
        (Strategy::New, LOAD.to_owned()),
        (Strategy::Empty, MAINTAIN.to_owned()),
        (
            Strategy::Grown,
            format!("BEGIN; SAVEPOINT s; {LOAD}; ROLLBACK TO s; {MAINTAIN}; RELEASE s; {MAINTAIN}; COMMIT"),
        ),
        (Strategy::Copy, format!("{LOAD}; {MAINTAIN}")),
    ] {
        let mut session = primary.session().unwrap();
        let dates = Dates::of(&mut session);
        strategy.prepare(&mut session, &dates);
        run(&mut session, "CHECKPOINT");
        assert_eq!(text(&mut session, ORPHANS).unwrap(), "", "{strategy:?}");
        let load = Load::start(&primary, "", dates.statement(4 * ROWS, "1, 2"));
        let reached = wait_for_load(&load, &mut session, |seen| seen.rows_done > ROWS);
        assert!(reached.is_some(), "{strategy:?}: the load was over before it could be killed");
        primary.kill_all().unwrap();
        assert!(load.end().is_err(), "{strategy:?}");
        primary.start().unwrap();
        let mut session = primary.session().unwrap();
        // In older minor releases (seen with 16.6) a replica that had the beginning of the record that the crash cut short
        // waits until the page after it is full, before it sees there that the record was given up.
        run(&mut session, "SELECT pg_switch_wal()");
        primary.wait_for_catchup(&replica).unwrap();
        let left = text(&mut session, ORPHANS).unwrap();
        assert!(left.split(' ').count() > 4, "{strategy:?}: {left}");
        assert_ne!(text(&mut replica.session().unwrap(), ORPHANS).unwrap(), "", "{strategy:?}");
        // A load that is taken back removes nothing, and forgets nothing.
        run(&mut session, &format!("BEGIN; {LOAD}; ROLLBACK"));
        let still_left = text(&mut session, ORPHANS).unwrap();
        let still_left: Vec<_> = still_left.split(' ').collect();
        assert!(left.split(' ').all(|file| still_left.contains(&file)), "{strategy:?}: {left}; then {still_left:?}");
        run(&mut session, &next);
        primary.wait_for_catchup(&replica).unwrap();
        for server in [&primary, &replica] {
            let mut session = server.session().unwrap();
            // The first of an orphan's files stays, empty, until then.
            run(&mut session, "CHECKPOINT");
            assert_eq!(text(&mut session, ORPHANS).unwrap(), "", "{strategy:?}, port {}", server.port());
        }
        expect_sound(&mut session);
    }
    assert!(primary.log_contains("files that a load has left behind in a crash").unwrap());
    expect_equal(&primary, &replica);
}
