//! Two looks at a replica: replay must reach what its primary had written at the first look, or at least advance.

use std::time::{Duration, Instant};

use postgres::Client;

use super::codes::{CATCHING_UP, RECEIVER_SILENT, REPLAY_STUCK, REPLAY_WAITS};
use super::finding::Finding;
use super::finding::Severity::{Broken, Degraded, Info};
use crate::lsn::{Lsn, bytes};

/// A replica that does not advance at all for so long is stuck. One record, as of a file removed, may take a second.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// While WAL is written, messages come many times a second.
const SILENT_AFTER: f64 = 4.0;

/// One that advances is looked at for so long, to tell its speed.
const LOOK_FOR: Duration = Duration::from_secs(1);

const POSITION: &str = "SELECT pg_last_wal_replay_lsn()::text";

/// What the process that replays waits for, and the oldest reader, who may be the one it waits for.
const WAITS: &str = "\
    SELECT coalesce(s.wait_event, 'nothing'), coalesce(s.wait_event LIKE 'RecoveryConflict%' OR s.wait_event_type IN ('Lock', 'BufferPin'), false), \
           r.pid, round(extract(epoch FROM clock_timestamp() - r.xact_start))::text, \
           (SELECT extract(epoch FROM clock_timestamp() - w.last_msg_receipt_time)::float8 FROM pg_stat_wal_receiver w), \
           (SELECT w.pid FROM pg_stat_wal_receiver w) \
    FROM (SELECT 1) one \
    LEFT JOIN pg_stat_activity s ON s.backend_type = 'startup' \
    LEFT JOIN LATERAL (SELECT a.pid, a.xact_start FROM pg_stat_activity a \
                       WHERE a.backend_type = 'client backend' AND a.backend_xmin IS NOT NULL AND a.pid <> pg_backend_pid() \
                       ORDER BY a.xact_start LIMIT 1) r ON true";

/// Watches a replica until it has replayed `target`, or is seen to be catching up, or to be stuck.
pub fn watch(session: &mut Client, server: &str, target: Lsn) -> Result<Option<Finding>, postgres::Error> {
    let (start, mut first) = (Instant::now(), None);
    loop {
        let text: Option<String> = session.query_one(POSITION, &[])?.try_get(0)?;
        let Some(position) = text.and_then(|text| text.parse::<Lsn>().ok()) else {
            // Nothing replayed since its start: the receiver's state tells more.
            return Ok(None);
        };
        if position >= target {
            return Ok(None);
        }
        let first = *first.get_or_insert(position);
        let elapsed = start.elapsed();
        if position > first && elapsed > LOOK_FOR {
            return Ok(Some(Finding::new(
                CATCHING_UP,
                Info,
                server,
                format!(
                    "{} behind what the primary had written, and replayed {} in {:.1} s",
                    bytes(target.since(position)),
                    bytes(position.since(first)),
                    elapsed.as_secs_f32()
                ),
                "operations-lab doctor # again, in a moment",
            )));
        }
        if position == first && elapsed > STUCK_AFTER {
            return stuck(session, server, position, target).map(Some);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn stuck(session: &mut Client, server: &str, position: Lsn, target: Lsn) -> Result<Finding, postgres::Error> {
    let row = session.query_one(WAITS, &[])?;
    let (event, conflict): (String, bool) = (row.try_get(0)?, row.try_get(1)?);
    let reader: Option<i32> = row.try_get(2)?;
    let age: Option<String> = row.try_get(3)?;
    let behind = format!(
        "replay stood at {position} for {} s, {} behind what the primary had written; it waits for {event}",
        STUCK_AFTER.as_secs(),
        bytes(target.since(position))
    );
    let silence: Option<f64> = row.try_get(4)?;
    // Replay may well be at fault while messages arrive; where none do, it has nothing to replay, or the half of a record.
    if silence.is_none_or(|silence| silence > SILENT_AFTER) {
        let heard =
            silence.map_or_else(|| "no receiver runs".to_owned(), |age| format!("the last message is {age:.1} s old"));
        let next = match row.try_get::<_, Option<i32>>(5)? {
            Some(pid) => format!(
                "kill -CONT {pid} # wakes the receiver if it was stopped; else look at the network and the walsender"
            ),
            None => "show primary_conninfo; -- start that primary, or read in the replica's log why it cannot connect"
                .to_owned(),
        };
        let evidence = format!("{behind}, which does not arrive: {heard}");
        return Ok(Finding::new(RECEIVER_SILENT, Broken, server, evidence, next));
    }
    if event == "RecoveryApplyDelay" {
        let next = "alter system reset recovery_min_apply_delay; select pg_reload_conf();";
        return Ok(Finding::new(REPLAY_STUCK, Broken, server, behind, next));
    }
    Ok(match (conflict, reader) {
        (true, Some(pid)) => Finding::new(
            REPLAY_WAITS,
            Degraded,
            server,
            format!("{behind}; the oldest reader is process {pid}, {} s old", age.unwrap_or_else(|| "?".to_owned())),
            format!("select pg_terminate_backend({pid}); -- on the replica, or wait for the reader"),
        ),
        _ => Finding::new(
            REPLAY_STUCK,
            Broken,
            server,
            behind,
            "select * from pg_stat_activity where backend_type = 'startup'; -- and read the replica's log",
        ),
    })
}
