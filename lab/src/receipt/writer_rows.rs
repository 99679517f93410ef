//! What the server that takes writes has of the rows.

use std::time::Duration;

use postgres::Client;

use super::report::WriterRows;
use crate::connect::session;
use crate::demo::Demo;
use crate::doctor::history;
use crate::error::{DemoError, Error, FailoverError};

const STATE: &str = "\
    SELECT pg_is_in_recovery(), \
           CASE WHEN pg_is_in_recovery() THEN 0 \
                ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END, \
           to_regclass('operations_lab.receipt') IS NOT NULL";

/// Nobody can make the table another one, nor another role's, while it is locked.
const LOCK: &str = "LOCK TABLE operations_lab.receipt IN ACCESS SHARE MODE";

/// Whether the schema and the table are ours: what another role has put on it, such as an index of its own functions, would run
/// with our rights. A view of that name is none of ours.
const IS_OURS: &str = "\
    SELECT count(*) = 2 AND bool_and(owner = current_user::regrole) FROM ( \
        SELECT nspowner FROM pg_namespace WHERE nspname = 'operations_lab' \
        UNION ALL SELECT relowner FROM pg_class \
        WHERE oid = to_regclass('operations_lab.receipt') AND relkind = 'r') o (owner)";

/// The server that takes writes, that of the newest timeline if two do, and its rows after a number.
pub fn look(demo: &Demo, after: u64) -> Result<(String, WriterRows), Error> {
    let (mut best, mut reasons) = (None::<(u32, String, Client, bool)>, Vec::new());
    for target in demo.targets() {
        let asked = session(&target, Duration::from_secs(3), Duration::from_secs(20)).and_then(|mut client| {
            let row = client.query_one(STATE, &[]).map_err(|error| crate::connect::Refusal::of(&error))?;
            Ok((client, row))
        });
        match asked {
            Ok((_, row)) if row.get::<_, bool>(0) => reasons.push(format!("{} is in recovery", target.address)),
            Ok((client, row)) => {
                let timeline = u32::try_from(row.get::<_, i32>(1)).unwrap_or(0);
                if best.as_ref().is_none_or(|best| best.0 < timeline) {
                    best = Some((timeline, target.address.clone(), client, row.get(2)));
                }
            }
            Err(refusal) => reasons.push(format!("{}: {refusal}", target.address)),
        }
    }
    let Some((timeline, address, mut client, is_there)) = best else {
        if demo.is_stopped() {
            return Err(DemoError::Stopped.into());
        }
        return Err(FailoverError::NoWriter { why: reasons.join("; ") }.into());
    };
    let history = if timeline > 1 { history(&mut client, timeline) } else { Vec::new() };
    let mut there = WriterRows { timeline, history, ..WriterRows::default() };
    if is_there {
        let mut client = client.transaction()?;
        client.batch_execute(LOCK)?;
        if !client.query_one(IS_OURS, &[])?.try_get::<_, Option<bool>>(0)?.unwrap_or(false) {
            return Err(FailoverError::ReceiptNotOurs { server: address }.into());
        }
        let query = "SELECT sequence, timeline FROM operations_lab.receipt WHERE sequence > $1 ORDER BY sequence";
        let rows = client.query(query, &[&i64::try_from(after).unwrap_or(i64::MAX)])?;
        for row in rows {
            let (sequence, timeline): (i64, i32) = (row.try_get(0)?, row.try_get(1)?);
            there.rows.insert(u64::try_from(sequence).unwrap_or(0), u32::try_from(timeline).unwrap_or(0));
        }
    }
    Ok((address, there))
}
