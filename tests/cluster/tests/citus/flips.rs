//! `change_status()` on all nodes.

use std::thread;

use operations_cluster::expect::run;
use operations_cluster::{Stop, db_error, text, value};

use crate::common::{Cluster, done, expect_sums, flip, insert, operations};

#[test]
fn exactly_the_batch_is_changed_of_one_parity() {
    let Some((_cluster, mut session)) = Cluster::sharded("flips::exactly_the_batch_is_changed_of_one_parity") else {
        return;
    };
    for batch in [1, 3, 5, 250] {
        run(&mut session, "CREATE TEMP TABLE before AS SELECT id FROM operations WHERE status = 1");
        flip(&mut session, batch);
        let new = "SELECT count(*), count(DISTINCT id & 1) FROM (SELECT id FROM operations WHERE status = 1) o
                   WHERE id NOT IN (SELECT id FROM before)";
        assert_eq!(text(&mut session, new).unwrap(), format!("{batch}|1"));
        run(&mut session, "DROP TABLE before");
    }
    // One shard has nearly all that is left.
    insert(&mut session, 4000, 1, 0);
    let before = done(&mut session);
    flip(&mut session, 1900);
    assert_eq!(done(&mut session), before + 1900);
    // More than there is: all of the parity of the second, at most.
    let parities = "SELECT count(DISTINCT id & 1) FROM operations WHERE status = 0";
    assert_eq!(value::<i64>(&mut session, parities).unwrap(), 2);
    flip(&mut session, 1_000_000);
    assert_eq!(value::<i64>(&mut session, parities).unwrap(), 1);
}

#[test]
fn a_rollback_brings_all_back_and_a_transaction_sees_its_own() {
    let Some((_cluster, mut session)) =
        Cluster::sharded("flips::a_rollback_brings_all_back_and_a_transaction_sees_its_own")
    else {
        return;
    };
    flip(&mut session, 10);
    flip(&mut session, 10);
    let before = done(&mut session);
    run(&mut session, "BEGIN");
    run(&mut session, "UPDATE operations SET status = 1 WHERE client_id = (SELECT max(client_id) FROM operations)");
    let changed = done(&mut session);
    flip(&mut session, 100);
    flip(&mut session, 100);
    assert_eq!(done(&mut session), changed + 200);
    run(&mut session, "ROLLBACK");
    assert_eq!(done(&mut session), before);
    expect_sums(&mut session, "ROLLBACK");
    flip(&mut session, 10);
    assert_eq!(done(&mut session), before + 10);
}

#[test]
fn many_callers_change_no_row_twice() {
    let Some((cluster, mut session)) = Cluster::sharded("flips::many_callers_change_no_row_twice") else { return };
    insert(&mut session, 10_000, 1000, 0);
    // A row that somebody holds is passed over, and nobody waits for it.
    let mut holder = cluster.session();
    run(&mut holder, "BEGIN");
    run(&mut holder, "UPDATE operations SET amount = amount + 1 WHERE id <= 20 AND status = 0");
    let before = done(&mut session);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut session = cluster.session();
                run(&mut session, "SET statement_timeout = '60s'");
                for _ in 0..3 {
                    run(&mut session, "CALL change_status(300)");
                }
            });
        }
    });
    assert_eq!(done(&mut session), before + 12 * 300);
    let held = "SELECT count(*) FROM operations WHERE id <= 20 AND status = 0";
    assert!(value::<i64>(&mut session, held).unwrap() > 0);
    run(&mut holder, "COMMIT");
    expect_sums(&mut session, "many callers");
}

#[test]
fn with_a_worker_gone_nothing_is_changed() {
    let Some((mut cluster, mut session)) = Cluster::sharded("flips::with_a_worker_gone_nothing_is_changed") else {
        return;
    };
    flip(&mut session, 10);
    let (rows, before) = (operations(&mut session), done(&mut session));
    cluster.workers[1].stop(Stop::Immediate).unwrap();
    for statement in ["CALL change_status(100)", "SELECT * FROM client_type_sum_live"] {
        let error = db_error(session.batch_execute(statement)).unwrap();
        assert!(error.message().contains("connection to the remote node"), "{error:?}");
    }
    cluster.workers[1].start().unwrap();
    assert_eq!((operations(&mut session), done(&mut session)), (rows, before));
    flip(&mut session, 100);
    assert_eq!(done(&mut session), before + 100);
}

/// A worker that dies in the middle leaves all nodes with the same.
#[test]
fn a_worker_that_dies_leaves_no_half() {
    let Some((mut cluster, mut session)) = Cluster::sharded("flips::a_worker_that_dies_leaves_no_half") else { return };
    insert(&mut session, 20_000, 2000, 0);
    let before = done(&mut session);
    const BATCH: i64 = 500;
    let mut caller = cluster.session();
    let called = thread::spawn(move || {
        let call = format!("CALL change_status({BATCH})");
        let calls = std::iter::repeat_with(|| caller.batch_execute(&call)).take(1000);
        calls.take_while(Result::is_ok).count()
    });
    operations_cluster::expect::wait_until("the first batches", std::time::Duration::from_secs(60), || {
        let now = done(&mut session);
        if now >= before + 2 * BATCH { Ok(()) } else { Err(format!("{now} done")) }
    });
    cluster.workers[0].stop(Stop::Immediate).unwrap();
    let acknowledged = i64::try_from(called.join().unwrap()).unwrap();
    cluster.workers[0].start().unwrap();
    // What was prepared there is committed or rolled back, as the coordinator has it. The other session has a connection that is dead.
    let mut session = cluster.session();
    run(&mut session, "SELECT recover_prepared_transactions()");
    let changed = done(&mut session) - before;
    // The last one may have been committed before the coordinator could say so.
    assert!(
        changed == acknowledged * BATCH || changed == (acknowledged + 1) * BATCH,
        "{changed} of {acknowledged} calls"
    );
    expect_sums(&mut session, "the death of a worker");
    flip(&mut session, 10);
}
