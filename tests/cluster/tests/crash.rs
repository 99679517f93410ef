//! R1: the primary's postmaster is killed under load. Every row and flip that was acknowledged is there afterwards,
//! the jobs run again, and the replica streams again.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use operations_cluster::expect::{AGGREGATE_DIFFERENCE, CONTENTS, SOON, expect_indexes_match, run, wait_for_text};
use operations_cluster::{Server, text, value, wait_until};
use postgres::Client;

/// Rows that each writer must have acknowledged before the server is killed.
const EACH: usize = 200;

#[test]
fn r1_a_killed_postmaster_loses_nothing_that_was_acknowledged() {
    let mut primary = Server::primary()
        .with_worker()
        .with_extension()
        .setting("operations_ext.insert_interval", "1s")
        .setting("operations_ext.change_status_interval", "1s")
        .as_shipped()
        .start()
        .unwrap();
    let replica = primary.replica().start().unwrap();
    let mut session = primary.session().unwrap();
    run(&mut session, "CALL operations_test_data('2025-08-01', '2025-11-30', 20000, 1); CALL operations_schedule()");

    for round in 1..=3 {
        let inserted = Arc::new(AtomicUsize::new(0));
        let inserters: Vec<_> = (0..3).map(|_| insert_until_killed(&primary, Arc::clone(&inserted))).collect();
        let flippers: Vec<_> = (0..2).map(|_| flip_until_killed(&primary)).collect();
        wait_until("writers to be under way", SOON, || match inserted.load(Ordering::Relaxed) {
            count if count >= 3 * EACH => Ok(()),
            count => Err(format!("{count} rows acknowledged")),
        });
        primary.kill_postmaster().unwrap();
        let rows: HashSet<String> = inserters.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        let flips: HashSet<i64> = flippers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        assert!(rows.len() >= 3 * EACH && !flips.is_empty());

        primary.start().unwrap();
        replica.wait_streaming(SOON).unwrap();
        let mut session = primary.session().unwrap();
        expect_rows(&mut session, &rows, round);
        let ids: Vec<i64> = flips.into_iter().collect();
        let kept = "SELECT count(*) FROM operations WHERE id = ANY($1) AND status = 1";
        let kept: i64 = session.query_one(kept, &[&ids]).unwrap().get(0);
        assert_eq!(usize::try_from(kept).unwrap(), ids.len(), "round {round}");
        // The jobs run already: the scans that are compared must see the same rows.
        run(&mut session, "BEGIN ISOLATION LEVEL REPEATABLE READ");
        expect_indexes_match(&mut session);
        run(&mut session, "COMMIT");

        // The jobs run again by themselves.
        let latest =
            value::<i64>(&mut session, "SELECT coalesce(max(run_id), 0) FROM operations_job_run_details").unwrap();
        for job in ["operation_insert_one", "change_status"] {
            let again = format!(
                "SELECT count(*) > 0 FROM operations_job_run_details \
                 WHERE run_id > {latest} AND job_name = '{job}' AND status = 'succeeded'"
            );
            wait_for_text(&mut session, &format!("{job} to run again"), &again, "t");
        }
    }

    run(&mut primary.session().unwrap(), "CALL operations_unschedule()");
    let mut session = primary.session().unwrap();
    // A run that was under way when the jobs were removed may still end.
    run(&mut session, "CALL change_status(1)");
    wait_for_text(&mut session, "the aggregate to be exact", AGGREGATE_DIFFERENCE, "");
    wait_until("equal contents on both", SOON, || {
        primary.wait_for_catchup(&replica).map_err(|error| error.to_string())?;
        let here = text(&mut primary.session().unwrap(), CONTENTS).unwrap();
        let there = text(&mut replica.session().unwrap(), CONTENTS).unwrap();
        match here == there {
            true => Ok(()),
            false => Err(format!("{here} and {there}")),
        }
    });
}

/// Inserts row after row, each its own transaction, until the server is gone; returns the acknowledged guids.
fn insert_until_killed(server: &Server, count: Arc<AtomicUsize>) -> std::thread::JoinHandle<Vec<String>> {
    let mut session = server.session().unwrap();
    std::thread::spawn(move || {
        let mut acknowledged = Vec::new();
        let insert = "INSERT INTO operations (operation_date, operation_guid, client_id, operation_type, amount, message) \
                      VALUES (current_date, gen_random_uuid(), 1, 'online', 1, '{}') RETURNING operation_guid::text";
        while let Ok(row) = session.query_one(insert, &[]) {
            acknowledged.push(row.get(0));
            count.fetch_add(1, Ordering::Relaxed);
        }
        acknowledged
    })
}

/// Flips rows as `change_status` does, a few at a time, until the server is gone; returns the acknowledged ids.
fn flip_until_killed(server: &Server) -> std::thread::JoinHandle<Vec<i64>> {
    let mut session = server.session().unwrap();
    std::thread::spawn(move || {
        let mut acknowledged = Vec::new();
        let flip = "WITH batch AS (SELECT operation_date, id FROM operations WHERE status = 0 ORDER BY id DESC LIMIT 5 \
                    FOR UPDATE SKIP LOCKED) UPDATE operations o SET status = 1 FROM batch b \
                    WHERE o.operation_date = b.operation_date AND o.id = b.id RETURNING o.id";
        while let Ok(rows) = session.query(flip, &[]) {
            acknowledged.extend(rows.iter().map(|row| row.get::<_, i64>(0)));
        }
        acknowledged
    })
}

fn expect_rows(session: &mut Client, guids: &HashSet<String>, round: u32) {
    let guids: Vec<&String> = guids.iter().collect();
    let kept = "SELECT count(*) FROM operations WHERE operation_guid::text = ANY($1)";
    let kept: i64 = session.query_one(kept, &[&guids]).unwrap().get(0);
    assert_eq!(usize::try_from(kept).unwrap(), guids.len(), "round {round}");
}

#[test]
fn a_server_killed_in_the_middle_of_a_load_has_none_of_its_rows() {
    let mut server = Server::primary().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    run(&mut session, "CALL operations_test_data('2025-08-01', '2025-11-30', 1000, 1)");
    let before = text(&mut session, CONTENTS).unwrap();
    let mut loader = server.session().unwrap();
    let load = std::thread::spawn(move || {
        loader.batch_execute("CALL operations_test_data('2025-08-01', '2025-11-30', 50000000, 1)")
    });
    wait_until("the load to be under way", SOON, || {
        let done = "SELECT coalesce(max(tuples_processed), 0) FROM pg_stat_progress_copy";
        match value::<i64>(&mut session, done).unwrap() {
            done if done > 100_000 => Ok(()),
            done => Err(format!("{done} rows")),
        }
    });
    // A backend that computes does not notice a dead postmaster, so all processes are killed.
    server.kill_all().unwrap();
    assert!(load.join().unwrap().is_err());
    server.start().unwrap();
    let mut session = server.session().unwrap();
    assert_eq!(text(&mut session, CONTENTS).unwrap(), before);
    run(&mut session, "CALL operations_test_data('2025-08-01', '2025-11-30', 1000, 2)");
    expect_indexes_match(&mut session);
}
