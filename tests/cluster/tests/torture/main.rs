//! What one session does, whatever it is, has the same effect as if the rows came by COPY: a randomised test.
//!
//! A script is made up from a seed. It is done in two databases: one has the extension, the other the same table and the
//! procedures as plain SQL (`reference.sql`). After every statement both hold the same rows, ids and all, and have raised
//! the same SQLSTATE, as seen from the session, another one, and a new one, and the sums are those of the full query.
//! After some scripts the server is stopped at once and recovers: then it is compared again, there and on the replica. A script
//! of an odd seed is done on a server with a replica, one of an even seed where `wal_level` is `minimal`.
//!
//! `OPERATIONS_SEED` is that of the first script, the next ones follow; `OPERATIONS_RANDOM_SECONDS` is for how long scripts are
//! begun, 0 for the first one alone. `OPERATIONS_GO_ON=1` goes on after a failure, and `OPERATIONS_SHRINK=1` leaves out of a script
//! that fails what it fails without.
//!
//! Left out, because the two differ as documented: operation_insert_one(), whose rows are random ones; what a REPEATABLE READ
//! transaction sees of rows that another session loads, frozen; what others may lock meanwhile, NOTICEs, and the text of
//! errors; PREPARE after change_status(), whose refresh may use a temporary table.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod cluster;
mod end;
mod look;
mod perform;
mod scenes;
mod script;
mod shrink;
mod statements;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cluster::{Cluster, Kind};
use end::Done;
use perform::{Failure, Tally, perform};
use script::Script;

/// Scripts between two crashes.
const ROUND: usize = 10;

/// From so many scripts on all of [`KINDS`] must have come about.
const ENOUGH: u64 = 60;

/// In CI the same scripts each time, as many as there is time for.
const SEED: u64 = 6;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// What is shared by those who do scripts.
struct Plan {
    first: u64,
    until: Instant,
    alone: bool,
    go_on: bool,
    stop: AtomicBool,
    failures: Mutex<Vec<String>>,
    began: Instant,
}

#[test]
fn a_session_does_what_it_would_do_with_copy() {
    let first = setting("OPERATIONS_SEED", SEED);
    let seconds = setting("OPERATIONS_RANDOM_SECONDS", 60);
    eprintln!("OPERATIONS_SEED={first} OPERATIONS_RANDOM_SECONDS={seconds}");
    let began = Instant::now();
    let plan = Plan {
        first,
        until: began + Duration::from_secs(seconds),
        alone: seconds == 0,
        go_on: setting("OPERATIONS_GO_ON", 0) == 1,
        stop: AtomicBool::new(false),
        failures: Mutex::new(Vec::new()),
        began,
    };
    let mut kinds = vec![Kind::of(first)];
    if !plan.alone {
        kinds.push(Kind::of(first + 1));
    }
    let shared = &plan;
    let (tally, scripts) = std::thread::scope(|scope| {
        let threads: Vec<_> = kinds.into_iter().map(|kind| scope.spawn(move || act(kind, shared))).collect();
        let (mut tally, mut scripts) = (Tally::default(), 0);
        for thread in threads {
            let (part, count) = thread.join().unwrap();
            tally.add(part);
            scripts += count;
        }
        (tally, scripts)
    });
    for (kind, (done, refused)) in &tally.kinds {
        eprintln!("{done:>8} done {refused:>8} refused  {kind}");
    }
    eprintln!("{scripts} scripts; {} looks, of which {} met a lock", tally.looks, tally.locked);
    let failures = plan.failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} scripts failed:\n\n{}", failures.len(), failures.join("\n\n"));
    if scripts >= ENOUGH {
        let done = |kind: &str| tally.kinds.get(kind).is_some_and(|(done, _)| *done > 0);
        let never: Vec<_> = KINDS.into_iter().filter(|kind| !done(kind)).collect();
        assert!(never.is_empty(), "never came about: {never:?}");
    }
}

/// Without these nothing is shown.
const KINDS: [&str; 24] = [
    "  loads a month into a new table",
    "  loads a month in place, indexes rebuilt",
    "  loads a month in place",
    "  loads a month by COPY",
    "load, then a caught error",
    "load within a time",
    "change_status",
    "maintain partitions",
    "truncate a partition",
    "truncate the table",
    "drop a partition",
    "detach",
    "attach",
    "create an index",
    "drop an index",
    "exchange of a column",
    "set unlogged",
    "vacuum full",
    "cluster",
    "fetch",
    "rollback to",
    "release",
    "commit prepared",
    "rollback prepared",
];

/// Does the scripts of one kind of server.
fn act(kind: Kind, plan: &Plan) -> (Tally, u64) {
    let mut cluster = Cluster::new(kind);
    if !cluster.amcheck {
        eprintln!("skipped, because the server has no amcheck: amcheck of the server with {kind:?}");
    }
    let mut tally = Tally::default();
    let mut seeds = (plan.first..).filter(|seed| Kind::of(*seed) == kind);
    let (mut scripts, mut is_over) = (0_u64, false);
    while !is_over {
        let mut round = Vec::new();
        while round.len() < ROUND && !is_over {
            let Some(seed) = seeds.next() else { break };
            let script = Script::new(seed);
            scripts += 1;
            match perform(&mut cluster, &script, &mut tally) {
                Ok(pair) => round.push(Done { script, pair }),
                Err(failure) => plan.fail(&mut cluster, &script, &failure),
            }
            is_over = plan.alone || plan.stop.load(Ordering::Relaxed) || Instant::now() >= plan.until;
        }
        if !plan.go_on && plan.stop.load(Ordering::Relaxed) {
            break;
        }
        if let Err((index, what)) = end::finish(&mut cluster, &mut round) {
            let script = &round[index].script;
            let failure = Failure { statement: script.statements.len(), what };
            plan.fail(&mut cluster, script, &failure);
            is_over = is_over || !plan.go_on;
        }
    }
    (tally, scripts)
}

impl Plan {
    /// Tells of a script that failed.
    fn fail(&self, cluster: &mut Cluster, script: &Script, failure: &Failure) {
        let took = self.began.elapsed().as_secs();
        let mut told = format!(
            "OPERATIONS_SEED={} OPERATIONS_RANDOM_SECONDS=0 fails at statement {} ({took} s): {}\n{}",
            script.seed,
            failure.statement,
            failure.what,
            script.text(failure.statement),
        );
        if setting("OPERATIONS_SHRINK", 0) == 1 && failure.statement < script.statements.len() {
            let (shorter, failure) = shrink::shrink(cluster, script, failure);
            told.push_str(&format!("shrunk: {}\n{}", failure.what, shorter.text(failure.statement)));
        }
        eprintln!("{told}");
        self.failures.lock().unwrap().push(told);
        if !self.go_on {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}
