//! Looks at the servers beside a load: the doctor's verdict, and how far each replica is behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use postgres::Client;

use super::servers::Servers;
use crate::connect::{session, within};
use crate::doctor::{Severity, Verdict};
use crate::lsn::Lsn;
use crate::role::Role;
use crate::server::text;
use crate::target::Target;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(2);

/// How long the replica is watched until it has replayed what the primary had written.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long connections and statements may take.
const LIMIT: Duration = Duration::from_secs(3);

/// How far a replica is behind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lag {
    /// What it lacked of what its primary had written.
    pub bytes: u64,
    /// How long it took until it had replayed that; nothing if it had not after `PATIENCE`.
    pub until_replayed: Option<Duration>,
}

/// What one look has seen.
#[derive(Clone, Debug)]
pub struct Look {
    /// The doctor's verdict.
    pub verdict: Verdict,
    /// What it rests on.
    pub codes: Vec<String>,
    /// That of each replica, by its name; nothing where one of the two ends did not answer.
    pub lags: Vec<(String, Option<Lag>)>,
}

impl Look {
    /// Looks once.
    #[must_use]
    pub fn take(servers: &Servers<'_>) -> Self {
        let (verdict, codes) = match servers.examine() {
            Ok(report) => {
                let mut codes: Vec<_> = report
                    .findings
                    .into_iter()
                    .filter(|found| found.severity != Severity::Info)
                    .map(|f| f.code)
                    .collect();
                codes.dedup();
                (report.verdict, codes)
            }
            Err(_) => (Verdict::Unknown, Vec::new()),
        };
        Self { verdict, codes, lags: servers.targets().map(|targets| lags(&targets)).unwrap_or_default() }
    }
}

/// Of all replicas at once.
fn lags(targets: &[Target]) -> Vec<(String, Option<Lag>)> {
    let primary = targets.iter().find(|target| target.role == Role::Primary);
    let replicas = targets.iter().filter(|target| target.role == Role::Replica);
    let waiting: Vec<_> = replicas
        .map(|replica| {
            let ends = primary.cloned().map(|primary| (primary, replica.clone()));
            (replica.name(), std::thread::spawn(move || ends.and_then(|(primary, replica)| lag(primary, replica))))
        })
        .collect();
    waiting.into_iter().map(|(name, thread)| (name, thread.join().ok().flatten())).collect()
}

/// Asks both ends at one moment, and then the replica until it has what the primary had.
fn lag(primary: Target, replica: Target) -> Option<Lag> {
    // A server that hangs ends no statement.
    within(PATIENCE + 4 * LIMIT, move || {
        let (mut primary, mut replica) = (session(&primary, LIMIT, LIMIT).ok()?, session(&replica, LIMIT, LIMIT).ok()?);
        let began = Instant::now();
        let written = position(&mut primary, "pg_current_wal_lsn()")?;
        let replayed = |replica: &mut Client| position(replica, "pg_last_wal_replay_lsn()");
        let mut at = replayed(&mut replica)?;
        let bytes = written.since(at);
        while at < written && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(2));
            at = replayed(&mut replica)?;
        }
        Some(Lag { bytes, until_replayed: (at >= written).then(|| began.elapsed()) })
    })
    .flatten()
}

fn position(session: &mut Client, function: &str) -> Option<Lsn> {
    text(session, &format!("SELECT {function}")).ok()?.parse().ok()
}

/// Looks again and again while `work` goes on; what it gave, and what was seen.
pub fn beside<T>(servers: &Servers<'_>, work: impl FnOnce() -> T) -> (T, Vec<Look>) {
    let is_over = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let over = Arc::clone(&is_over);
        let looking = scope.spawn(move || {
            let mut looks = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let began = Instant::now();
                looks.push(Look::take(servers));
                while began.elapsed() < EVERY && !over.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
            looks
        });
        let given = work();
        is_over.store(true, Ordering::Relaxed);
        (given, looking.join().unwrap_or_default())
    })
}
