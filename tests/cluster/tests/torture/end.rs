//! What must hold when scripts have ended: on the replica, after a crash and recovery, for indexes and files.

use operations_cluster::expect::{SOON, expect_indexes_match};
use operations_cluster::{Error, Server, Stop, db_error, text};
use postgres::Client;

use crate::cluster::Cluster;
use crate::look::{self, Blind, Depth, told};
use crate::perform::{Pair, watcher};
use crate::script::{End, Script};

/// Files of the database that no relation has, and notes that loads take of such.
const LEFT_OVER: &str = "\
    SELECT coalesce(string_agg(file, ' '), '') \
    FROM (SELECT oid FROM pg_database WHERE datname = current_database()) AS d, LATERAL ( \
        SELECT file FROM pg_ls_dir('base/' || d.oid) AS file \
        WHERE file ~ '^[0-9]+' AND pg_filenode_relation(0, substring(file FROM '^[0-9]+')::oid) IS NULL \
        UNION ALL \
        SELECT file FROM pg_ls_dir('.') AS file WHERE file ~ ('^operations_ext\\.load\\.' || d.oid || '\\.') \
    ) AS files";

/// By amcheck: each index and its table, both ways; and the pages of the tables.
const AMCHECK: &str = "\
    SELECT bt_index_check(i.indexrelid, true) FROM pg_index i JOIN torture.month m ON m.oid = i.indrelid \
    WHERE i.indisvalid ORDER BY m.relname";
const AMCHECK_HEAP: &str = "SELECT m.relname, h.* FROM torture.month m, verify_heapam(m.oid) h";

/// A script that was done, and its databases.
pub struct Done {
    pub script: Script,
    pub pair: Pair,
}

impl Done {
    /// Whether nothing is left for the crash to end.
    fn is_settled(&self) -> bool {
        !self.pair.position.open && !self.pair.position.prepared
    }
}

/// Checks all of them, and drops their databases. What is wrong comes with the index of the script.
pub fn finish(cluster: &mut Cluster, round: &mut [Done]) -> Result<(), (usize, String)> {
    on_the_replica(cluster, round)?;
    let mut before = Vec::new();
    for (index, done) in round.iter().enumerate() {
        before.push(match done.is_settled() {
            true => Some(seen(&cluster.server, &done.pair.databases[0], Depth::Rows).map_err(|why| (index, why))?),
            false => None,
        });
    }
    cluster.server.stop(Stop::Immediate).unwrap();
    round.iter_mut().for_each(|done| done.pair.close());
    cluster.server.start().unwrap();
    for (index, done) in round.iter().enumerate() {
        after_recovery(cluster, done, before[index].as_deref())
            .map_err(|why| (index, format!("after recovery: {why}")))?;
    }
    cluster.server.connect("postgres").unwrap().batch_execute("CHECKPOINT").unwrap();
    for (index, done) in round.iter().enumerate().filter(|(_, done)| done.is_settled()) {
        // A crash in an open transaction leaves files of which PostgreSQL itself knows nothing any more.
        let mut session = cluster.server.connect(&done.pair.databases[0]).unwrap();
        match text(&mut session, LEFT_OVER).unwrap().as_str() {
            "" => {}
            files => return Err((index, format!("files are left over: {files}"))),
        }
    }
    if let Some(replica) = &cluster.replica {
        replica.wait_streaming(SOON).unwrap();
    }
    on_the_replica(cluster, round)?;
    cluster.drop_copies().unwrap();
    Ok(())
}

fn on_the_replica(cluster: &Cluster, round: &[Done]) -> Result<(), (usize, String)> {
    let Some(replica) = &cluster.replica else { return Ok(()) };
    cluster.server.wait_for_catchup(replica).unwrap();
    for (index, done) in round.iter().enumerate() {
        compare(replica, &done.pair, Depth::Rows, !done.is_settled())
            .and_then(|()| live(replica, &done.pair, !done.is_settled()))
            .map_err(|why| (index, format!("on the replica: {why}")))?;
    }
    Ok(())
}

fn after_recovery(cluster: &Cluster, done: &Done, before: Option<&str>) -> Result<(), String> {
    let [ours, reference] = &done.pair.databases;
    let end = match done.script.end {
        End::Commit => Some("COMMIT PREPARED"),
        End::Rollback => Some("ROLLBACK PREPARED"),
        End::AsItIs => None,
    };
    if let Some(end) = end {
        let codes = [ours, reference].map(|database| {
            let mut session = cluster.server.connect(database).unwrap();
            let ended = session.batch_execute(&format!("{end} '{database}'"));
            db_error(ended).map(|error| error.code().code().to_owned())
        });
        if codes[0] != codes[1] {
            return Err(format!("{end}: {codes:?}"));
        }
    }
    compare(&cluster.server, &done.pair, Depth::Everything, false)?;
    live(&cluster.server, &done.pair, false)?;
    let mut session = cluster.server.connect(ours).unwrap();
    let unlogged = text(&mut session, "SELECT count(*) FROM torture.month WHERE relpersistence = 'u'").unwrap();
    if let (Some(before), "0") = (before, unlogged.as_str()) {
        let after = seen(&cluster.server, ours, Depth::Rows)?;
        if let Some(difference) = look::difference(&after, before) {
            return Err(format!("other rows than before:\n{difference}"));
        }
    }
    if cluster.amcheck {
        text(&mut session, AMCHECK).map_err(|error| error.to_string())?;
        let found = text(&mut session, AMCHECK_HEAP).map_err(|error| error.to_string())?;
        if !found.is_empty() {
            return Err(format!("verify_heapam: {found}"));
        }
    }
    expect_indexes_match(&mut session);
    session.batch_execute("CALL change_status(100); CALL operations_maintain_partitions(0)").map_err(|error| {
        format!("one more change_status and operations_maintain_partitions: {}", Error::from(error))
    })?;
    let difference = look::stored_difference(&mut session).map_err(|blind| blind.to_string())?;
    if !difference.is_empty() {
        return Err(format!("client_type_sum_mv is wrong after one more change_status:\n{difference}"));
    }
    let mut reference = cluster.server.connect(reference).unwrap();
    follow(&mut session, &mut reference)
}

/// Has the reference do what the extension did at last.
fn follow(ours: &mut Client, reference: &mut Client) -> Result<(), String> {
    let in_full = |error| format!("the reference: {}", Error::from(error));
    reference.batch_execute("CALL operations_maintain_partitions(0)").map_err(in_full)?;
    let done = text(ours, "SELECT coalesce(string_agg(id::text, ','), '-1') FROM operations WHERE status = 1")
        .map_err(|error| error.to_string())?;
    let flip = format!("UPDATE operations SET status = 1 WHERE status = 0 AND id = ANY ('{{{done}}}')");
    reference.batch_execute(&flip).map_err(in_full)
}

/// What a new session sees, which nothing locks out.
fn seen(server: &Server, database: &str, depth: Depth) -> Result<String, String> {
    let mut session = watcher(server, database).map_err(|error| error.to_string())?;
    look::look(&mut session, depth).map_err(|blind| blind.to_string())
}

fn compare(server: &Server, pair: &Pair, depth: Depth, may_be_locked: bool) -> Result<(), String> {
    let looks = [0, 1].map(|side: usize| {
        let mut session = watcher(server, &pair.databases[side]).unwrap();
        look::look(&mut session, depth)
    });
    match looks {
        [Ok(ours), Ok(reference)] => match look::difference(&ours, &reference) {
            None => Ok(()),
            Some(difference) => Err(format!("other rows:\n{difference}")),
        },
        [Err(Blind::Locked), _] | [_, Err(Blind::Locked)] if may_be_locked => Ok(()),
        looks => Err(format!("cannot look:\n    extension: {}\n    reference: {}", told(&looks[0]), told(&looks[1]))),
    }
}

/// The sums, where the full query can be asked: on a replica no unlogged table can be read.
fn live(server: &Server, pair: &Pair, may_be_locked: bool) -> Result<(), String> {
    let mut session = watcher(server, &pair.databases[0]).unwrap();
    let unreadable =
        "SELECT count(*) FROM torture.month WHERE relpersistence = 'u' AND relispartition AND pg_is_in_recovery()";
    if text(&mut session, unreadable).unwrap() != "0" {
        return Ok(());
    }
    match look::live_difference(&mut session) {
        Ok(difference) if difference.is_empty() => Ok(()),
        Ok(difference) => Err(format!("client_type_sum_live is wrong:\n{difference}")),
        Err(Blind::Locked) if may_be_locked => Ok(()),
        Err(blind) => Err(format!("client_type_sum_live: {blind}")),
    }
}
