//! A session that writes rows, in a thread of its own: a server that hangs holds up nobody but that thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use postgres::error::Severity;
use postgres::{Client, NoTls, Statement};

use super::KEPT;
use super::record::Ack;
use crate::connect::Refusal;
use crate::moment::Moment;
use crate::target::Target;

const TABLE: &str = include_str!("table.sql");

/// Whether the server takes writes, its timeline, and whether the table is there and nobody's but ours: what another role
/// could put on it, such as a trigger, would run with our rights.
const STATE: &str = "\
    SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off', \
           CASE WHEN pg_is_in_recovery() THEN 0 \
                ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END, \
           to_regclass('operations_lab.receipt') IS NOT NULL, \
           (SELECT bool_and(owner = (SELECT oid FROM pg_roles WHERE rolname = current_user)) FROM ( \
                SELECT nspowner FROM pg_namespace WHERE nspname = 'operations_lab' \
                UNION ALL SELECT relowner FROM pg_class WHERE oid = to_regclass('operations_lab.receipt')) o (owner))";

const LAST: &str = "SELECT coalesce(max(sequence), 0) FROM operations_lab.receipt";

/// Whose the table is, is looked at each time: it may be another one by now.
const INSERT: &str = "\
    INSERT INTO operations_lab.receipt (sequence, timeline) \
    SELECT $1, ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int \
    FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner \
    WHERE c.oid = to_regclass('operations_lab.receipt') AND r.rolname = current_user \
    RETURNING timeline, pg_current_wal_insert_lsn()::text";

const PRUNE: &str = "DELETE FROM operations_lab.receipt WHERE sequence <= $1";

const NOT_OURS: &str = "operations_lab.receipt belongs to another role, so nothing is written there";

/// How often old rows are removed.
const PRUNE_EVERY: u64 = 500;

/// What a session has to say.
pub enum Event {
    /// It can write, to which timeline, and the highest number that is there.
    Ready(u64, u32, u64),
    /// It cannot, and why.
    Failed(u64, String),
    /// What became of a row.
    Done(u64, Outcome),
}

/// What became of a row.
pub enum Outcome {
    /// It is there.
    Acknowledged(Ack),
    /// It is not there.
    Refused(u64, String),
    /// That is not known.
    Unknown(u64, String),
}

/// A session, or an attempt at one.
pub struct Worker {
    /// Its number.
    pub id: u64,
    rows: Sender<u64>,
}

/// How many sessions of a server are at work. Those that hang are among them.
pub type Count = Arc<AtomicUsize>;

struct Counted(Count);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Worker {
    /// Begins a session in a thread, which ends when this goes and the server has answered.
    pub fn begin(id: u64, target: Target, count: &Count, events: &Sender<Event>) -> Self {
        let (rows, given) = channel();
        count.fetch_add(1, Ordering::Relaxed);
        let (counted, events) = (Counted(Arc::clone(count)), events.clone());
        std::thread::spawn(move || {
            let _counted = counted;
            match open(&target) {
                Ok(session) => {
                    // The other end only goes with the whole program.
                    let _ = events.send(Event::Ready(id, session.timeline, session.last));
                    write_rows(id, session, &given, &events);
                }
                Err(why) => {
                    let _ = events.send(Event::Failed(id, why));
                }
            }
        });
        Self { id, rows }
    }

    /// Has a row written; its outcome comes as an event. Whether the session still lives.
    pub fn write(&self, sequence: u64) -> bool {
        self.rows.send(sequence).is_ok()
    }
}

/// A session that can write.
struct Session {
    client: Client,
    /// [`INSERT`], prepared: to plan it anew ten times a second would cost more than to run it.
    insert: Statement,
    timeline: u32,
    /// The highest number that is there.
    last: u64,
}

fn open(target: &Target) -> Result<Session, String> {
    let mut config = target.config();
    config
        .connect_timeout(Duration::from_secs(1))
        .tcp_user_timeout(Duration::from_secs(10))
        .keepalives_idle(Duration::from_secs(5))
        .keepalives_interval(Duration::from_secs(2))
        .keepalives_retries(3)
        .application_name("operations-lab receipt")
        .options("-c statement_timeout=5000 -c lock_timeout=2000 -c search_path=pg_catalog,pg_temp");
    let client = config.connect(NoTls).map_err(|error| format!("{}: {}", target.address, Refusal::of(&error)))?;
    prepare(client).map_err(|why| format!("{}: {why}", target.address))
}

fn prepare(mut client: Client) -> Result<Session, String> {
    let text = |error: postgres::Error| Refusal::of(&error).to_string();
    let state = |client: &mut Client| {
        let row = client.query_one(STATE, &[])?;
        Ok::<_, postgres::Error>((
            row.try_get::<_, bool>(0)?,
            row.try_get::<_, i32>(1)?,
            row.try_get::<_, bool>(2)?,
            row.try_get::<_, Option<bool>>(3)?.unwrap_or(true),
        ))
    };
    let (mut writable, mut timeline, is_there, mut is_ours) = state(&mut client).map_err(text)?;
    if writable && is_ours && !is_there {
        client.batch_execute(TABLE).map_err(text)?;
        (writable, timeline, _, is_ours) = state(&mut client).map_err(text)?;
    }
    match (writable, is_ours) {
        (false, _) => Err("it takes no writes".to_owned()),
        (_, false) => Err(NOT_OURS.to_owned()),
        _ => {
            let timeline = u32::try_from(timeline).map_err(|error| error.to_string())?;
            let last: i64 = client.query_one(LAST, &[]).and_then(|row| row.try_get(0)).map_err(text)?;
            let insert = client.prepare(INSERT).map_err(text)?;
            Ok(Session { client, insert, timeline, last: u64::try_from(last).unwrap_or(0) })
        }
    }
}

fn write_rows(id: u64, mut session: Session, given: &Receiver<u64>, events: &Sender<Event>) {
    for sequence in given {
        let outcome = write_row(&mut session, sequence);
        let goes_on = matches!(outcome, Outcome::Acknowledged(_));
        if events.send(Event::Done(id, outcome)).is_err() || !goes_on {
            return;
        }
        if sequence.is_multiple_of(PRUNE_EVERY) {
            let old = i64::try_from(sequence.saturating_sub(KEPT)).unwrap_or(0);
            // If the session is broken, the next row says so.
            let _ = session.client.execute(PRUNE, &[&old]);
        }
    }
}

fn write_row(session: &mut Session, sequence: u64) -> Outcome {
    let number = i64::try_from(sequence).unwrap_or(i64::MAX);
    // Only all of the answer, to the last message, tells that the row is committed.
    let answer = session.client.query(&session.insert, &[&number]);
    if answer.as_ref().is_ok_and(Vec::is_empty) {
        return Outcome::Refused(sequence, NOT_OURS.to_owned());
    }
    let answer = answer.map(|rows| {
        let row = rows.first()?;
        let timeline = u32::try_from(row.try_get::<_, i32>(0).ok()?).ok()?;
        let position = row.try_get::<_, String>(1).ok()?.parse().ok()?;
        Some(Ack { sequence, timeline, position, at: Moment::now() })
    });
    match answer {
        Ok(Some(ack)) => Outcome::Acknowledged(ack),
        Ok(None) => Outcome::Unknown(sequence, "an answer that is none".to_owned()),
        Err(error) => {
            // A session that the server ends may have committed before.
            let is_refused = error.as_db_error().is_some_and(|error| error.parsed_severity() == Some(Severity::Error));
            let text = Refusal::of(&error).to_string();
            if is_refused { Outcome::Refused(sequence, text) } else { Outcome::Unknown(sequence, text) }
        }
    }
}
