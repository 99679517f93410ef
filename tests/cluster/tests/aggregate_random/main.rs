//! The sums of `client_type_sum_live` are those of the full query at every moment, whatever several sessions do: a
//! randomised test.
//!
//! `OPERATIONS_SEED` repeats the choices of a run (what becomes of them is the scheduler's), `OPERATIONS_RANDOM_SECONDS` is how
//! long it acts.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod actions;
mod actor;
mod oracle;

use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use operations_cluster::expect::{
    AGGREGATE_DIFFERENCE, LIVE_DIFFERENCE, SOON, expect_indexes_match, run, wait_blocked,
};
use operations_cluster::{DATABASE, Server, text, value, wait_until};

use postgres::error::SqlState;

use actions::World;
use actor::{Actor, Shared, Tally};
use oracle::Verdict;

/// Sessions that act; one more only watches.
const ACTORS: usize = 5;

/// From here on every kind of action must have come about.
const LONG_ENOUGH: u64 = 30;

/// In CI the same choices each time.
const SEED: u64 = 6;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

#[test]
fn the_live_sums_are_exact_whatever_happens() {
    let seed = setting("OPERATIONS_SEED", SEED);
    let seconds = setting("OPERATIONS_RANDOM_SECONDS", 60);
    let repeat = format!("OPERATIONS_SEED={seed} OPERATIONS_RANDOM_SECONDS={seconds}");
    eprintln!("{repeat}");
    match act(seed, seconds) {
        Ok(tally) => summarise(&tally, seconds, &repeat),
        Err(why) => panic!("{repeat}: {why}"),
    }
}

/// A full query is no oracle for a view that was read while a partition was away, though it is back before and after.
#[test]
fn a_partition_that_was_away_for_a_moment_proves_nothing() {
    let server = Server::primary().with_extension().start().unwrap();
    let mut sessions: [_; 3] = std::array::from_fn(|_| server.session().unwrap());
    let [watcher, holder, owner] = &mut sessions;
    run(owner, "CALL operations_test_data('2025-08-01', '2025-11-30', 500, 1); CALL change_status(500)");
    // Whoever reads the view now waits, with a snapshot that has the partition, and before it locks any.
    run(holder, "BEGIN; ALTER VIEW client_type_sum_live SET (security_barrier = false)");
    let pid = value::<i32>(watcher, "SELECT pg_backend_pid()").unwrap();
    let verdict = std::thread::scope(|scope| {
        let attach = "ALTER TABLE operations ATTACH PARTITION operations_2025_09 FOR VALUES FROM ('2025-09-01') TO ('2025-10-01')";
        let mut other = server.session().unwrap();
        let look = scope.spawn(move || oracle::in_two_steps(watcher, || run(&mut other, attach)));
        wait_blocked(&server, &[pid]);
        run(owner, "ALTER TABLE operations DETACH PARTITION operations_2025_09");
        run(holder, "COMMIT");
        look.join().unwrap().unwrap()
    });
    assert!(matches!(verdict, Verdict::Void), "{verdict:?}");
}

fn act(seed: u64, seconds: u64) -> Result<Tally, String> {
    let server = Server::primary()
        .with_extension()
        .setting("deadlock_timeout", "30ms")
        .setting("autovacuum_naptime", "1s")
        .start()
        .unwrap();
    let password = server.password().to_owned();
    server
        .session()
        .unwrap()
        .batch_execute(&format!(
            "CREATE ROLE writer LOGIN PASSWORD '{password}'; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON operations TO writer; GRANT SELECT ON client_type_sum_live TO writer; \
             CALL operations_test_data('2025-08-01', '2025-11-30', 500, 1); CALL change_status(100)"
        ))
        .unwrap();
    let world = World { merge_keeps_to_snapshot: merge_keeps_to_snapshot(&server), ..World::default() };
    if !world.merge_keeps_to_snapshot {
        eprintln!(
            "SKIPPED: MERGE with one snapshot: this server lets it change rows that were changed after the snapshot"
        );
    }
    let shared = Shared { server: RwLock::new(server), world, stop: AtomicBool::new(false) };
    let half = Duration::from_secs(seconds) / 2;

    let (mut tally, failures) = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..=ACTORS)
            .map(|number| {
                let shared = &shared;
                scope.spawn(move || {
                    let mut actor = Actor::new(shared, number, seed)?;
                    let result = if number == ACTORS { actor.watch() } else { actor.act() };
                    if result.is_err() {
                        shared.stop.store(true, Ordering::Relaxed);
                    }
                    result.map(|()| actor.tally)
                })
            })
            .collect();
        pause(&shared, half);
        if !shared.stop.load(Ordering::Relaxed) {
            let mut server = shared.server.write().unwrap();
            server.kill_all().unwrap();
            server.start().unwrap();
        }
        pause(&shared, half);
        shared.stop.store(true, Ordering::Relaxed);
        let (mut tally, mut failures) = (Tally::default(), Vec::new());
        for thread in threads {
            match thread.join() {
                Ok(Ok(part)) => tally.add(part),
                Ok(Err(why)) => failures.push(why),
                Err(_) => failures.push("a session panicked".to_owned()),
            }
        }
        (tally, failures)
    });
    if !failures.is_empty() {
        return Err(failures.join("\n\n"));
    }
    if seconds >= LONG_ENOUGH {
        let mut last = Actor::new(&shared, ACTORS + 1, seed)?;
        let missing = actions::kinds().filter(|kind| tally.actions.get(kind).is_none_or(|(done, _)| *done == 0));
        last.make_up(missing)?;
        tally.add(last.tally);
    }
    let server = shared.server.into_inner().unwrap();
    expect_settled(&server)?;
    Ok(tally)
}

/// Whether MERGE refuses to change a row that was changed after the snapshot of its transaction, as UPDATE does.
fn merge_keeps_to_snapshot(server: &Server) -> bool {
    let [mut one, mut other] = std::array::from_fn(|_| server.session().unwrap());
    run(&mut other, "CREATE TABLE merged (id integer, value integer); INSERT INTO merged VALUES (1, 0)");
    run(&mut one, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    text(&mut one, "SELECT * FROM merged").unwrap();
    run(&mut other, "UPDATE merged SET value = 1");
    let merge = "MERGE INTO merged m USING (VALUES (1)) s (id) ON m.id = s.id WHEN MATCHED THEN UPDATE SET value = 2";
    let refused =
        one.batch_execute(merge).is_err_and(|error| error.code() == Some(&SqlState::T_R_SERIALIZATION_FAILURE));
    run(&mut one, "ROLLBACK");
    run(&mut other, "DROP TABLE merged");
    refused
}

/// Waits for a time, which is what the test is given, or for a failure.
fn pause(shared: &Shared, time: Duration) {
    let start = std::time::Instant::now();
    while start.elapsed() < time && !shared.stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// All is quiet: after one more call the materialized view is right, too, and verification has nothing to say.
fn expect_settled(server: &Server) -> Result<(), String> {
    let mut session = server.connect(DATABASE).unwrap();
    wait_until("the other sessions to end", SOON, || {
        let others = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'actor %'";
        match text(&mut session, others).unwrap().as_str() {
            "0" => Ok(()),
            count => Err(format!("{count} sessions")),
        }
    });
    for statement in ["SELECT", "CALL change_status(50)", "CALL change_status(50)"] {
        text(&mut session, statement).map_err(|error| error.to_string())?;
        let difference = text(&mut session, LIVE_DIFFERENCE).unwrap();
        if !difference.is_empty() {
            return Err(format!("after {statement}, client_type_sum_live: {difference}"));
        }
    }
    let difference = text(&mut session, AGGREGATE_DIFFERENCE).unwrap();
    if !difference.is_empty() {
        return Err(format!("after change_status, client_type_sum_mv: {difference}"));
    }
    let found = text(&mut session, "SELECT * FROM operations_verify_rollup()").map_err(|error| error.to_string())?;
    if !found.is_empty() {
        return Err(format!("operations_verify_rollup: {found}"));
    }
    expect_indexes_match(&mut session);
    Ok(())
}

fn summarise(tally: &Tally, seconds: u64, repeat: &str) {
    for (kind, (done, refused)) in &tally.actions {
        eprintln!("{done:>8} done {refused:>8} refused  {kind}");
    }
    eprintln!("{:>8} exact {:>7} void     looks at the view", tally.exact, tally.void);
    eprintln!("{:>8} seen  {:>7} kept up  partitions", tally.partitions, tally.kept_up);
    if seconds < LONG_ENOUGH {
        return;
    }
    for kind in actions::kinds() {
        let done = tally.actions.get(kind).map_or(0, |(done, _)| *done);
        assert!(done > 0, "{repeat}: never came about: {kind}");
    }
    // Sums that always come from the rows would show nothing.
    assert!(tally.kept_up * 4 > tally.partitions, "{repeat}: {} of {}", tally.kept_up, tally.partitions);
    assert!(tally.exact > 20 * tally.void && tally.exact > 100, "{repeat}: {} looks, {} void", tally.exact, tally.void);
}
