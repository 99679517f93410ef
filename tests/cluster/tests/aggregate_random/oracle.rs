//! What must hold at every moment, in whatever transaction one looks: the live view equals the full query.

use operations_cluster::expect::LIVE_DIFFERENCE;
use operations_cluster::{Error, text};
use postgres::Client;

/// The partitions with their files, first as the catalogs are now, then as the snapshot has them. PostgreSQL looks at the
/// former to run a query and at the latter only for visible rows, so that a full query whose snapshot is older than an
/// ATTACH, a TRUNCATE or a rewrite is itself no truth of any moment ("not MVCC-safe" in its documentation). Where both
/// agree, and are after the comparison, in a snapshot of that moment, what they were before (the third column tells of what
/// was detached and attached again), there is one truth, and the view must show it.
const STATE: &str = "\
    SELECT (SELECT string_agg(relid::oid || ':' || pg_relation_filenode(relid), ' ' ORDER BY relid::oid) \
            FROM pg_partition_tree('operations') WHERE isleaf), \
           string_agg(c.oid || ':' || c.relfilenode, ' ' ORDER BY c.oid), string_agg(i.xmin::text, ' ' ORDER BY c.oid) \
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
    WHERE i.inhparent = 'operations'::regclass AND NOT i.inhdetachpending";

const LIVE: &str =
    "SELECT client_id, operation_type, total_amount::numeric(30, 2) FROM client_type_sum_live ORDER BY 1, 2";
const TRUTH: &str = "SELECT client_id, operation_type, sum(amount)::numeric(30, 2) FROM operations WHERE status = 1 \
                     GROUP BY 1, 2 ORDER BY 1, 2";

/// What the sums are made of, asked in the transaction that has seen a wrong one.
const EVIDENCE: [&str; 8] = [
    "SELECT pg_current_snapshot(), pg_current_xact_id_if_assigned(), current_setting('transaction_isolation'), \
     current_setting('session_replication_role'), current_user, clock_timestamp()",
    "SELECT tableoid, ctid, xmin, xmax, cmin, id, client_id, operation_type, amount FROM operations WHERE status = 1 \
     ORDER BY client_id, operation_type, tableoid, ctid",
    "SELECT xmin, xmax, cmin, * FROM operations_delta ORDER BY partition, client_id, operation_type",
    "SELECT xmin, * FROM operations_rollup ORDER BY partition, client_id, operation_type",
    "SELECT xmin, * FROM operations_rollup_total ORDER BY client_id, operation_type",
    "SELECT * FROM operations_partition_version ORDER BY partition",
    "SELECT xmin, * FROM operations_rollup_partition ORDER BY partition",
    "SELECT xmin, tgrelid, tgname, tgenabled FROM pg_trigger WHERE tgfoid = 'operations_count_change'::regproc ORDER BY 2, 3",
];

/// What a look at the view came to.
#[derive(Debug)]
pub enum Verdict {
    /// The view shows the truth.
    Exact,
    /// The partitions changed while we looked, and the full query is no oracle.
    Void,
    /// The view is wrong.
    Wrong(String),
}

/// Compares in one statement.
pub fn at_once(session: &mut Client) -> Result<Verdict, Error> {
    let before = text(session, STATE)?;
    let difference = text(session, LIVE_DIFFERENCE)?;
    if difference.is_empty() {
        return Ok(Verdict::Exact);
    }
    judge(session, &before, difference)
}

/// Reads the view before anything holds a lock on the table, then the truth, in one snapshot.
pub fn in_two_steps(session: &mut Client, in_between: impl FnOnce()) -> Result<Verdict, Error> {
    session.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ")?;
    let live = text(session, LIVE)?;
    in_between();
    let truth = text(session, TRUTH)?;
    // The snapshot's: as the partitions were before the first step.
    let before = text(session, STATE)?;
    session.batch_execute("COMMIT")?;
    match live == truth {
        true => Ok(Verdict::Exact),
        false => judge(session, &before, format!("live:\n{live}\ntruth:\n{truth}")),
    }
}

fn judge(session: &mut Client, before: &str, difference: String) -> Result<Verdict, Error> {
    let after = text(session, STATE)?;
    let mut columns = after.split('|');
    let settled = columns.next() == columns.next();
    if !settled || before != after {
        return Ok(Verdict::Void);
    }
    // As somebody who may see it all.
    let _ = session.batch_execute("RESET ROLE");
    let evidence = EVIDENCE.map(|query| match text(session, query) {
        Ok(rows) => format!("{query}:\n{rows}"),
        Err(error) => format!("{query}:\n{error}"),
    });
    Ok(Verdict::Wrong(format!("{difference}\npartitions: {after}\n{}", evidence.join("\n"))))
}
