//! The locks of a load, as others see them.

use operations_cluster::expect::{SOON, run};
use operations_cluster::{text, value, wait_until};

use crate::common::{Dates, Loader, ROWS_A_MONTH, Strategy, expect_sound, primary};

/// Locks that keep readers of a replica out.
const EXCLUSIVE: &str = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND locktype = 'relation' \
    AND relation::regclass::text ~ '^operations_20'";

/// A partition that is read for longer than the load waits is left alone, with all others that it was to be exchanged with.
#[test]
fn a_load_that_does_not_get_its_locks_leaves_none_on_the_replica() {
    let primary = primary().start().unwrap();
    let replica = primary.replica().start().unwrap();
    let mut session = primary.session().unwrap();
    let dates = Dates::of(&mut session);
    Strategy::Empty.prepare(&mut session, &dates);
    let (mut reader, mut watcher, mut on_replica) =
        (primary.session().unwrap(), primary.session().unwrap(), replica.session().unwrap());
    run(&mut reader, &format!("BEGIN; TABLE {}", dates.partitions[1]));
    let mut loader = Loader::new(&primary);
    run(&mut loader.session, "BEGIN");
    let pid: i32 = value(&mut loader.session, "SELECT pg_backend_pid()").unwrap();
    std::thread::scope(|scope| {
        let load = scope.spawn(|| loader.call(&dates.statement(2 * ROWS_A_MONTH, "1, 1")));
        let xids = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint";
        let mut first_xid = None;
        wait_until("the load to give up waiting for the partitions", SOON, || {
            let phase = format!("SELECT phase FROM operations_load_progress WHERE pid = {pid}");
            if text(&mut watcher, &phase).map_err(|error| error.to_string())? == "attaching partitions" {
                first_xid.get_or_insert(value::<i64>(&mut watcher, xids).map_err(|error| error.to_string())?);
            }
            if load.is_finished() { Ok(()) } else { Err("it loads".into()) }
        });
        // It looked a thousand times.
        let last_xid: i64 = value(&mut watcher, xids).unwrap();
        assert!(last_xid - first_xid.unwrap() < 100, "{first_xid:?} to {last_xid}");
        load.join().unwrap();
    });
    // It is over, and its transaction is open.
    primary.wait_for_catchup(&replica).unwrap();
    assert_eq!(value::<i64>(&mut on_replica, EXCLUSIVE).unwrap(), 0);
    run(&mut on_replica, "SET lock_timeout = '1s'; SELECT count(*) FROM operations");
    run(&mut reader, "COMMIT");
    run(&mut loader.session, "COMMIT");
    assert_eq!(value::<i64>(&mut session, "SELECT count(*) FROM operations").unwrap(), 2 * ROWS_A_MONTH);
    expect_sound(&mut session);
}

/// One that gets them has them on the replica until its end, and not longer.
#[test]
fn a_load_that_gets_its_locks_has_them_until_its_end() {
    let primary = primary().start().unwrap();
    let replica = primary.replica().start().unwrap();
    let mut loader = Loader::new(&primary);
    let dates = Dates::of(&mut loader.session);
    Strategy::Empty.prepare(&mut loader.session, &dates);
    run(&mut loader.session, "BEGIN");
    assert_eq!(loader.call(&dates.statement(2 * ROWS_A_MONTH, "1, 1")), [Strategy::Empty.note(); 2]);
    run(&mut loader.session, "SELECT pg_switch_wal()");
    let mut on_replica = replica.session().unwrap();
    primary.wait_for_catchup(&replica).unwrap();
    assert!(value::<i64>(&mut on_replica, EXCLUSIVE).unwrap() >= 2);
    run(&mut loader.session, "COMMIT");
    primary.wait_for_catchup(&replica).unwrap();
    assert_eq!(value::<i64>(&mut on_replica, EXCLUSIVE).unwrap(), 0);
    expect_sound(&mut loader.session);
}
