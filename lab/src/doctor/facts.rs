//! What one server tells about itself, in numbers: the material of the comparison.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use postgres::error::SqlState;
use postgres::{Client, Row};

use super::Sums;
use super::finding::{Finding, Severity};
use crate::lsn::Lsn;

/// The settings that must not be lower on a replica: with a lower one it pauses or refuses to start.
pub const NO_LOWER: [&str; 5] = [
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
];

/// What one server told.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// `server_version`.
    pub version: String,
    /// Whether it is in recovery, that is a replica.
    pub in_recovery: bool,
    /// Which cluster it is of: copies of one have the same.
    pub system_identifier: String,
    /// The timeline it writes, receives or, if it does neither, stopped on.
    pub timeline: u32,
    /// Where it writes or what it has replayed.
    pub position: Option<Lsn>,
    /// How much its clock is ahead of ours, in seconds.
    pub clock_ahead: f64,
    /// `data_directory`, for those who may know it.
    pub data_directory: Option<String>,
    /// When it started, in seconds since 1970, as in its `postmaster.pid`.
    pub started: i64,
    /// `wal_sender_timeout` in seconds; 0 is never.
    pub sender_timeout: f64,
    /// The values of [`NO_LOWER`].
    pub no_lower: Vec<i64>,
    /// What `synchronous_standby_names` asks for, and what waits for it.
    pub synchronous: Synchronous,
    /// Whom it is set to follow, as host and port, for those who may know it.
    pub upstream: Option<String>,
    /// Its WAL receiver, if it has one.
    pub receiver: Option<Receiver>,
    /// Its WAL senders.
    pub senders: Vec<Sender>,
    /// Where each of its earlier timelines ended, for those who may know it.
    pub history: Vec<(u32, Lsn)>,
}

/// How commits wait for a replica.
#[derive(Clone, Debug, Default)]
pub struct Synchronous {
    /// `synchronous_standby_names`; empty where nothing waits.
    pub names: String,
    /// How many replicas count.
    pub replicas: i64,
    /// How many sessions wait, and the oldest for how many seconds.
    pub waiting: i64,
    /// The age of the oldest wait, in seconds.
    pub oldest: f64,
}

/// A replica's end of the stream.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// `streaming` when all is well.
    pub status: String,
    /// Its slot on the primary.
    pub slot: Option<String>,
    /// How long it has heard nothing, in seconds.
    pub silence: f64,
}

/// A primary's end of the stream.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The replica's name for itself.
    pub name: String,
    /// `streaming` when all is well.
    pub state: String,
    /// Its slot.
    pub slot: Option<String>,
    /// How long ago the replica sent its last reply by the replica's clock, as seen by this server's clock, in seconds.
    pub silence: Option<f64>,
}

const SERVER: &str = "\
    SELECT current_setting('server_version'), pg_is_in_recovery(), \
           (SELECT system_identifier::text FROM pg_control_system()), \
           CASE WHEN pg_is_in_recovery() THEN \
               coalesce((SELECT received_tli FROM pg_stat_wal_receiver), (SELECT timeline_id FROM pg_control_checkpoint()))::bigint \
           ELSE ('x' || lpad(left(pg_walfile_name(pg_current_wal_lsn()), 8), 16, '0'))::bit(64)::bigint END, \
           CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text, \
           extract(epoch FROM clock_timestamp())::float8, \
           (SELECT setting FROM pg_settings WHERE name = 'data_directory'), \
           floor(extract(epoch FROM pg_postmaster_start_time()))::bigint, \
           (SELECT setting::float8 / 1000 FROM pg_settings WHERE name = 'wal_sender_timeout'), \
           (SELECT concat(substring(setting FROM $$host *= *'?([^' ]+)$$), ':', substring(setting FROM $$port *= *'?([0-9]+)$$)) \
            FROM pg_settings WHERE name = 'primary_conninfo' AND setting <> '' AND pg_is_in_recovery()), \
           (SELECT array_agg(current_setting(s.name)::bigint ORDER BY s.position) \
            FROM unnest($1::text[]) WITH ORDINALITY s (name, position))";

const RECEIVER: &str = "\
    SELECT coalesce(status, 'hidden'), slot_name::text, \
           coalesce(extract(epoch FROM clock_timestamp() - last_msg_receipt_time), 0)::float8 \
    FROM pg_stat_wal_receiver";

const SENDERS: &str = "\
    SELECT coalesce(r.application_name, ''), coalesce(r.state, 'hidden'), s.slot_name::text, \
           extract(epoch FROM clock_timestamp() - r.reply_time)::float8 \
    FROM pg_stat_replication r LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid \
    WHERE r.state IS DISTINCT FROM 'backup'";

/// A role that may not see the state of a sender takes it for good.
const SYNCHRONOUS: &str = "\
    SELECT current_setting('synchronous_standby_names'), \
           (SELECT count(*) FROM pg_stat_replication WHERE coalesce(sync_state, 'sync') IN ('sync', 'quorum')), \
           count(*), coalesce(max(extract(epoch FROM clock_timestamp() - state_change)), 0)::float8 \
    FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

const DOCTOR: &str = "\
    SELECT format('%I.operations_doctor', n.nspname), \
           to_regprocedure(format('%I.operations_doctor(boolean)', n.nspname)) IS NOT NULL, \
           pg_has_role('pg_monitor', 'usage') AND \
           (SELECT bool_and(coalesce(has_function_privilege(f, 'execute'), false)) \
            FROM unnest($1::text[]) t, to_regprocedure(format('%I.operations_doctor_%s()', n.nspname, t)) f) \
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'operations_ext'";

/// The topics of `operations_doctor()` but for the sums.
const TOPICS: [&str; 6] = ["server", "replication", "vacuum", "growth", "jobs", "partitions"];

impl Facts {
    /// Asks a server for its facts.
    pub fn ask(session: &mut Client) -> Result<Self, postgres::Error> {
        // PostgreSQL's own functions, whatever the caller's search_path.
        session.batch_execute("SET search_path = pg_catalog, pg_temp")?;
        let before = SystemTime::now();
        let row = session.query_one(SERVER, &[&NO_LOWER.as_slice()])?;
        let asked_at = seconds(before) + before.elapsed().unwrap_or_default().as_secs_f64() / 2.0;
        let receiver = session.query_opt(RECEIVER, &[])?;
        let senders = session.query(SENDERS, &[])?;
        let timeline = u32::try_from(row.try_get::<_, i64>(3)?).unwrap_or_default();
        let mut facts = Self {
            version: row.try_get(0)?,
            in_recovery: row.try_get(1)?,
            system_identifier: row.try_get(2)?,
            timeline,
            position: row.try_get::<_, Option<&str>>(4)?.and_then(|text| text.parse().ok()),
            clock_ahead: row.try_get::<_, f64>(5)? - asked_at,
            data_directory: row.try_get(6)?,
            started: row.try_get(7)?,
            sender_timeout: row.try_get::<_, Option<f64>>(8)?.unwrap_or_default(),
            upstream: row.try_get(9)?,
            no_lower: row.try_get(10)?,
            receiver: receiver.map(|row| self::receiver(&row)).transpose()?,
            senders: senders.iter().map(sender).collect::<Result<_, _>>()?,
            synchronous: Synchronous::default(),
            history: Vec::new(),
        };
        if !facts.in_recovery {
            facts.synchronous = synchronous(&session.query_one(SYNCHRONOUS, &[])?)?;
        }
        if timeline > 1 && !facts.in_recovery {
            facts.history = history(session, timeline);
        }
        Ok(facts)
    }
}

fn synchronous(row: &Row) -> Result<Synchronous, postgres::Error> {
    let (names, replicas) = (row.try_get(0)?, row.try_get(1)?);
    Ok(Synchronous { names, replicas, waiting: row.try_get(2)?, oldest: row.try_get(3)? })
}

fn receiver(row: &Row) -> Result<Receiver, postgres::Error> {
    Ok(Receiver { status: row.try_get(0)?, slot: row.try_get(1)?, silence: row.try_get(2)? })
}

fn sender(row: &Row) -> Result<Sender, postgres::Error> {
    Ok(Sender { name: row.try_get(0)?, state: row.try_get(1)?, slot: row.try_get(2)?, silence: row.try_get(3)? })
}

/// The file that tells where each earlier timeline ended. Only some roles may read it; whoever is refused each few seconds would fill
/// the server's log.
pub(crate) fn history(session: &mut Client, timeline: u32) -> Vec<(u32, Lsn)> {
    // The form without a range is in no PostgreSQL before 16.
    const MAY_READ: &str =
        "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_read_file(text, bigint, bigint, boolean)', 'EXECUTE')";
    const READ: &str = "SELECT pg_catalog.pg_read_file($1, 0, 1 << 20, true)";
    if !session.query_one(MAY_READ, &[]).and_then(|row| row.try_get::<_, bool>(0)).unwrap_or(false) {
        return Vec::new();
    }
    let file = format!("pg_wal/{timeline:08X}.history");
    let text = session.query_one(READ, &[&file]).and_then(|row| row.try_get::<_, Option<String>>(0)).ok().flatten();
    parse_history(&text.unwrap_or_default())
}

pub(crate) fn parse_history(text: &str) -> Vec<(u32, Lsn)> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        })
        .collect()
}

/// What `operations_doctor()` of the server finds, with the sums that are asked for.
pub fn own_findings(session: &mut Client, server: &str, sums: Sums) -> Result<Vec<Finding>, postgres::Error> {
    // Whether they may be called is null where none is named.
    let topics: &[&str] = if sums == Sums::Skip { &TOPICS } else { &[] };
    let found = session.query_opt(DOCTOR, &[&topics])?;
    let (function, asks_each) = match found {
        Some(row) if row.try_get(1)? => {
            (row.try_get::<_, String>(0)?, row.try_get::<_, Option<bool>>(2)?.unwrap_or(false))
        }
        other => {
            let why =
                if other.is_some() { "is too old to have operations_doctor()" } else { "is not in this database" };
            return Ok(vec![Finding::new(
                super::codes::EXTENSION_MISSING,
                Severity::Degraded,
                server,
                format!("the extension operations_ext {why}: only what PostgreSQL itself tells was looked at"),
                "create extension operations_ext; call operations_setup(); call operations_schedule();",
            )]);
        }
    };
    let columns = "SELECT code, severity, evidence, next_command FROM";
    let each = asks_each.then(|| {
        let topics = TOPICS.map(|topic| format!("{columns} {function}_{topic}()"));
        session.query(&topics.join(" UNION ALL "), &[])
    });
    let rows = match each {
        Some(Ok(rows)) => rows,
        // It has taken all the time there is, or the session is gone.
        Some(Err(error)) if error.code().is_none_or(|code| *code == SqlState::QUERY_CANCELED) => return Err(error),
        // The function that has them all tells which of them fails, and what the others find.
        Some(Err(_)) | None => session.query(&format!("{columns} {function}($1)"), &[&(sums == Sums::All)])?,
    };
    rows.iter()
        .map(|row| {
            let severity = Severity::from_sql(row.try_get(1)?);
            let text = |index| row.try_get::<_, Option<String>>(index).map(Option::unwrap_or_default);
            Ok(Finding::new(row.try_get(0)?, severity, server, text(2)?, text(3)?))
        })
        .collect()
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn the_topics_are_those_of_the_function() {
        let function = include_str!("../../../src/doctor/sql/doctor.sql");
        let arrays = function.lines().filter(|line| line.contains("topics") && line.contains("array["));
        let mut topics: Vec<_> = arrays.flat_map(|line| line.split('\'').skip(1).step_by(2)).collect();
        topics.sort_unstable();
        let mut ours = [&TOPICS[..], &["sums"]].concat();
        ours.sort_unstable();
        assert_eq!(topics, ours);
    }

    #[test]
    fn reads_a_history_file() {
        let text = "1\t0/A000198\tno recovery target specified\n\n# a comment\n2\t1/0\tbefore 2026\n";
        assert_eq!(parse_history(text), [(1, "0/A000198".parse().unwrap()), (2, "1/0".parse().unwrap())]);
        assert_eq!(parse_history(""), []);
    }
}
