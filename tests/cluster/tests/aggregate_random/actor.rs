//! One session that does random things in random transactions, and looks at the view in between.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};

use chacha20::ChaCha8Rng;
use operations_cluster::expect::SOON;
use operations_cluster::{Error, Server, text, try_wait};
use postgres::Client;
use rand::{RngExt, SeedableRng};

use crate::actions::{Action, Actions, Command, Part, Scope, World};
use crate::oracle::{self, Verdict};

/// What concurrency may bring to any statement: deadlock, serialization failure, lock timeout, the end of the session or
/// of the server, a server that starts.
const TOLERATED: [&str; 6] = ["40P01", "40001", "55P03", "57P01", "57P02", "57P03"];

/// PostgreSQL's own words for catalogs that changed under a statement; they have no SQLSTATE of their own. The last
/// two: a partition was being detached concurrently, which an older snapshot still sees, and it has lost its place among the
/// indexes, or lacks a column that was added.
const TOLERATED_WORDS: [&str; 7] = [
    "tuple concurrently updated",
    "tuple concurrently deleted",
    "could not open relation with OID",
    "cache lookup failed for relation",
    "is not a partition of relation",
    "invalid arbiter index list",
    "could not convert row type",
];

/// How often what never came about is tried when nobody is in the way: it may have to meet a partition that it suits.
const TRIES: u32 = 100;

/// How many of its last statements a session shows when it fails.
const REMEMBERED: usize = 40;

/// What all sessions share.
pub struct Shared {
    pub server: RwLock<Server>,
    pub world: World,
    pub stop: AtomicBool,
}

/// What was done and found.
#[derive(Default)]
pub struct Tally {
    /// Of each kind: how often it was done, how often refused.
    pub actions: BTreeMap<&'static str, (u64, u64)>,
    pub exact: u64,
    pub void: u64,
    /// Partitions that were there when the watcher counted, and how many of them were kept up.
    pub partitions: u64,
    pub kept_up: u64,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        for (kind, (done, refused)) in other.actions {
            let entry = self.actions.entry(kind).or_default();
            entry.0 += done;
            entry.1 += refused;
        }
        self.exact += other.exact;
        self.void += other.void;
        self.partitions += other.partitions;
        self.kept_up += other.kept_up;
    }
}

/// Why a step did not go through.
enum Setback {
    /// PostgreSQL refused the statement, as it may.
    Refused,
    /// The connection is gone.
    Gone,
    /// This should not be.
    Failed(String),
}

/// A session.
pub struct Actor<'a> {
    shared: &'a Shared,
    number: usize,
    rng: ChaCha8Rng,
    session: Client,
    parts: Vec<Part>,
    memory: VecDeque<String>,
    pub tally: Tally,
}

impl<'a> Actor<'a> {
    pub fn new(shared: &'a Shared, number: usize, seed: u64) -> Result<Self, String> {
        let session = connect(shared, number)?;
        let rng = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(1_000).wrapping_add(number as u64));
        Ok(Self { shared, number, rng, session, parts: Vec::new(), memory: VecDeque::new(), tally: Tally::default() })
    }

    /// Acts until it is told to stop, or finds something wrong.
    pub fn act(&mut self) -> Result<(), String> {
        self.go_on(|actor| actor.turn())
    }

    /// Does nothing but look, until it is told to stop.
    pub fn watch(&mut self) -> Result<(), String> {
        self.go_on(|actor| match actor.rng.random_range(0..8) {
            0 => actor.count_partitions(),
            1 | 2 => {
                let verdict = oracle::in_two_steps(&mut actor.session, || ());
                let result = actor.judge(verdict);
                if result.is_err() {
                    actor.remember("ROLLBACK".to_owned());
                    let _ = actor.session.batch_execute("ROLLBACK");
                }
                result
            }
            _ => actor.look(),
        })
    }

    fn go_on(&mut self, mut turn: impl FnMut(&mut Self) -> Result<(), Setback>) -> Result<(), String> {
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.once(&mut turn)?;
        }
        Ok(())
    }

    fn once(&mut self, turn: impl FnOnce(&mut Self) -> Result<(), Setback>) -> Result<(), String> {
        match turn(self) {
            Ok(()) | Err(Setback::Refused) => {}
            Err(Setback::Gone) => {
                self.session = connect(self.shared, self.number)?;
                self.remember("-- connected anew".to_owned());
            }
            Err(Setback::Failed(why)) => {
                let memory: Vec<_> = self.memory.iter().map(String::as_str).collect();
                return Err(format!("session {}: {why}\nits last statements:\n{}", self.number, memory.join("\n")));
            }
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<(), Setback> {
        if self.parts.is_empty() || self.rng.random_ratio(1, 2) {
            self.learn_partitions()?;
        }
        match self.rng.random_range(0..10) {
            0 => self.look(),
            1..=4 => {
                let action = self.next(Scope::Alone, false);
                self.perform(action)
            }
            _ => self.transaction(),
        }
    }

    /// A transaction with savepoints, some of which are rolled back to.
    fn transaction(&mut self) -> Result<(), Setback> {
        let level =
            ["READ COMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"][self.rng.random_range(0..4)];
        self.run(&format!("BEGIN ISOLATION LEVEL {level}"))?;
        let scope = if self.rng.random_ratio(1, 4) { Scope::Writer } else { Scope::Transaction };
        if scope == Scope::Writer {
            self.run("SET LOCAL ROLE writer")?;
        }
        let mut savepoints = 0;
        for _ in 0..self.rng.random_range(1..7) {
            let step = match self.rng.random_range(0..12) {
                0 | 1 => {
                    savepoints += 1;
                    self.run(&format!("SAVEPOINT s{savepoints}"))
                }
                2 if savepoints > 0 => self.run(&format!("ROLLBACK TO s{savepoints}")),
                3 if savepoints > 0 => {
                    savepoints -= 1;
                    self.run(&format!("RELEASE s{}", savepoints + 1))
                }
                4 | 5 => self.look(),
                _ => {
                    let action = self.next(scope, level != "READ COMMITTED");
                    self.perform(action)
                }
            };
            match step {
                Err(Setback::Refused) if savepoints > 0 => self.run(&format!("ROLLBACK TO s{savepoints}"))?,
                Err(Setback::Refused) => return self.run("ROLLBACK"),
                other => other?,
            }
        }
        let end = if self.rng.random_ratio(1, 4) { "ROLLBACK" } else { "COMMIT" };
        self.run(end)
    }

    fn actions(&mut self) -> Actions<'_> {
        Actions { rng: &mut self.rng, world: &self.shared.world, parts: &self.parts }
    }

    fn next(&mut self, scope: Scope, one_snapshot: bool) -> Action {
        self.actions().next(scope, one_snapshot)
    }

    /// Does what has not come about yet, now that nobody is in the way, and looks after each try.
    pub fn make_up(&mut self, kinds: impl Iterator<Item = &'static str>) -> Result<(), String> {
        for kind in kinds {
            for _ in 0..TRIES {
                if self.tally.actions.get(kind).is_some_and(|(done, _)| *done > 0) {
                    break;
                }
                self.once(Self::learn_partitions)?;
                let Some(action) = self.actions().of(kind) else {
                    return Err(format!("there is no action {kind}"));
                };
                self.once(|actor| actor.perform(action))?;
                self.once(Self::look)?;
            }
        }
        Ok(())
    }

    fn perform(&mut self, action: Action) -> Result<(), Setback> {
        let result = match &action.command {
            Command::Sql(sql) => {
                self.remember(sql.clone());
                self.session.batch_execute(sql)
            }
            Command::Copy(sql, lines) => {
                self.remember(format!("{sql}; -- {} lines", lines.lines().count()));
                copy(&mut self.session, sql, lines)
            }
        };
        let result = match (self.sift(result, action.refused_by), &action.command) {
            // A refused COPY leaves the driver out of step with the server.
            (Err(Setback::Refused), Command::Copy(..)) => Err(Setback::Gone),
            (result, _) => result,
        };
        let entry = self.tally.actions.entry(action.kind).or_default();
        match result {
            Ok(()) => entry.0 += 1,
            Err(_) => entry.1 += 1,
        }
        result
    }

    fn run(&mut self, sql: &str) -> Result<(), Setback> {
        self.remember(sql.to_owned());
        let result = self.session.batch_execute(sql);
        self.sift(result, &[])
    }

    /// Compares the view with the truth, here and now.
    fn look(&mut self) -> Result<(), Setback> {
        self.remember("-- look".to_owned());
        let verdict = oracle::at_once(&mut self.session);
        self.judge(verdict)
    }

    fn judge(&mut self, verdict: Result<Verdict, Error>) -> Result<(), Setback> {
        match verdict {
            Ok(Verdict::Exact) => self.tally.exact += 1,
            Ok(Verdict::Void) => {
                self.remember("-- void".to_owned());
                self.tally.void += 1;
            }
            Ok(Verdict::Wrong(difference)) => {
                return Err(Setback::Failed(format!("client_type_sum_live is wrong:\n{difference}")));
            }
            Err(Error::Postgres(error) | Error::Statement { source: error, .. }) => {
                return self.sift(Err(error), &["42P01"]);
            }
            Err(error) => return Err(Setback::Failed(error.to_string())),
        }
        Ok(())
    }

    /// Tells what may happen from what must not.
    fn sift(&mut self, result: Result<(), postgres::Error>, refused_by: &[&str]) -> Result<(), Setback> {
        let Err(error) = result else { return Ok(()) };
        let Some(db) = error.as_db_error() else {
            // No word of the server's: the connection broke.
            return match self.session.is_closed() {
                true => Err(Setback::Gone),
                false => Err(Setback::Failed(Error::from(error).to_string())),
            };
        };
        let code = db.code().code();
        self.remember(format!("-- {code}: {}", db.message()));
        if code.starts_with("57P") || self.session.is_closed() {
            return Err(Setback::Gone);
        }
        let words =
            matches!(code, "XX000" | "42804") && TOLERATED_WORDS.iter().any(|words| db.message().contains(words));
        if words || TOLERATED.contains(&code) || refused_by.contains(&code) {
            return Err(Setback::Refused);
        }
        Err(Setback::Failed(Error::from(error).to_string()))
    }

    fn count_partitions(&mut self) -> Result<(), Setback> {
        let query = "SELECT count(*), count(r.partition) FROM operations_partition_version v \
                     LEFT JOIN operations_rollup_partition r ON r.partition = v.partition AND r.version = v.version";
        match self.session.query_one(query, &[]) {
            Ok(row) => {
                self.tally.partitions += row.get::<_, i64>(0).unsigned_abs();
                self.tally.kept_up += row.get::<_, i64>(1).unsigned_abs();
                Ok(())
            }
            Err(error) => self.sift(Err(error), &[]),
        }
    }

    fn learn_partitions(&mut self) -> Result<(), Setback> {
        let query = "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
                     WHERE i.inhparent = 'operations'::regclass AND c.relname ~ '^(operations_2025|made)'";
        match text(&mut self.session, query) {
            Ok(rows) => {
                self.parts = rows
                    .lines()
                    .filter_map(|line| line.split_once('|'))
                    // A partition that was detached meanwhile has none.
                    .filter(|(_, bounds)| bounds.starts_with("FOR VALUES"))
                    .map(|(name, bounds)| Part { name: name.to_owned(), bounds: bounds.to_owned() })
                    .collect();
                Ok(())
            }
            Err(Error::Statement { source, .. }) => self.sift(Err(source), &[]),
            Err(error) => Err(Setback::Failed(error.to_string())),
        }
    }

    fn remember(&mut self, what: String) {
        if self.memory.len() == REMEMBERED {
            self.memory.pop_front();
        }
        self.memory.push_back(what);
    }
}

fn copy(session: &mut Client, sql: &str, lines: &str) -> Result<(), postgres::Error> {
    let mut writer = session.copy_in(sql)?;
    // What goes wrong here is told by `finish`, too.
    let _ = writer.write_all(lines.as_bytes());
    writer.finish().map(|_| ())
}

/// Connects, for as long as the server may be down.
fn connect(shared: &Shared, number: usize) -> Result<Client, String> {
    let connected = try_wait("a session", SOON, || {
        let server = shared.server.read().map_err(|error| error.to_string())?;
        let mut session = server.session().map_err(|error| error.to_string())?;
        let settings = format!("SET application_name = 'actor {number}'; SET lock_timeout = '400ms'");
        session.batch_execute(&settings).map_err(|error| error.to_string())?;
        Ok(session)
    });
    connected.map_err(|error| error.to_string())
}
