//! Shards that move, and a new worker, while the workload runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use operations_cluster::expect::{expect_refused, run};
use operations_cluster::{db_error, text, value, wait_until};

use crate::common::{Cluster, NOT_SUPPORTED, SHARDS, done, expect_all_followed, expect_sums, flip, insert, node};

/// How long the workload runs at most.
const LIMIT: Duration = Duration::from_secs(180);

/// A shard of the first worker, and where all of its kind shall go.
const FROM_FIRST: &str = "SELECT min(p.shardid) FROM pg_dist_placement p JOIN pg_dist_shard s USING (shardid)
    JOIN pg_dist_node n USING (groupid) WHERE s.logicalrelid = 'operations'::regclass AND n.nodeport = ";

#[test]
fn shards_that_move_go_on_counting() {
    let Some((cluster, mut session)) = Cluster::sharded("moves::shards_that_move_go_on_counting") else { return };
    insert(&mut session, 5000, 1000, 0);
    flip(&mut session, 10);
    let [first, second] = [cluster.workers[0].port(), cluster.workers[1].port()];
    let is_over = AtomicBool::new(false);
    let before = done(&mut session);
    let flipped: i64 = thread::scope(|scope| {
        let workload = scope.spawn(|| {
            let mut session = cluster.session();
            let (mut batches, began) = (0, Instant::now());
            // Not for ever, should a move fail.
            while !is_over.load(Ordering::Relaxed) && began.elapsed() < LIMIT {
                run(&mut session, "CALL operation_insert_one(); CALL change_status(3)");
                run(&mut session, "UPDATE operations SET amount = amount + 1 WHERE client_id < 50 AND status = 1");
                batches += 1;
            }
            batches * 3
        });
        for (from, to, mode) in
            [(first, second, "force_logical"), (first, second, "block_writes"), (second, first, "auto")]
        {
            let shard: i64 = value(&mut session, &format!("{FROM_FIRST}{from}")).unwrap();
            run(
                &mut session,
                &format!(
                    "SELECT citus_move_shard_placement({shard}, '127.0.0.1', {from}, '127.0.0.1', {to}, '{mode}')"
                ),
            );
        }
        is_over.store(true, Ordering::Relaxed);
        workload.join().unwrap()
    });
    assert_eq!(done(&mut session), before + flipped);
    expect_sums(&mut session, "moves");
    flip(&mut session, 10);
}

/// A shard that moves gets the trigger before TRUNCATE along, in the state of that moment, and no change of it reaches the shard later.
#[test]
fn a_shard_that_moved_while_the_trigger_of_truncate_was_off_counts() {
    let test = "moves::a_shard_that_moved_while_the_trigger_of_truncate_was_off_counts";
    let Some((cluster, mut session)) = Cluster::sharded(test) else { return };
    let [first, second] = [cluster.workers[0].port(), cluster.workers[1].port()];
    run(&mut session, "SET citus.enable_unsafe_triggers = on");
    run(&mut session, "ALTER TABLE operations_2025_10 DISABLE TRIGGER operations_guard_truncate");
    for _ in 0..2 {
        let shard: i64 = value(&mut session, &format!("{FROM_FIRST}{first}")).unwrap();
        let shard_is = format!("{shard}, '127.0.0.1', {first}, '127.0.0.1', {second}, 'force_logical'");
        run(&mut session, &format!("SELECT citus_move_shard_placement({shard_is})"));
    }
    run(&mut session, "CALL operations_maintain_partitions()");
    flip(&mut session, 10);
    flip(&mut session, 10);
    insert(&mut session, 500, 200, 1);
    expect_sums(&mut session, "rows of the shards that moved");
    flip(&mut session, 10);
    expect_all_followed(&mut session, "rows of the shards that moved");
}

#[test]
fn a_new_worker_gets_shards_and_counts() {
    let Some((cluster, mut session)) = Cluster::sharded("moves::a_new_worker_gets_shards_and_counts") else { return };
    flip(&mut session, 10);
    let third = node().start().unwrap();
    run(&mut session, &format!("SELECT citus_add_node('127.0.0.1', {})", third.port()));
    run(&mut session, "SELECT rebalance_table_shards(shard_transfer_mode => 'force_logical')");
    let shards = format!(
        "SELECT count(*) > 0 FROM pg_dist_placement p JOIN pg_dist_shard s USING (shardid) JOIN pg_dist_node n USING (groupid)
         WHERE s.logicalrelid = 'operations'::regclass AND n.nodeport = {}",
        third.port()
    );
    assert_eq!(text(&mut session, &shards).unwrap(), "t");
    expect_sums(&mut session, "a new worker");
    let before = done(&mut session);
    run(&mut session, "CALL operations_maintain_partitions(5)");
    insert(&mut session, 500, 200, 1);
    expect_sums(&mut session, "rows of the new worker");
    flip(&mut session, 100);
    flip(&mut session, 100);
    assert_eq!(done(&mut session), before + 700);
    expect_refused(&mut third.session().unwrap(), "TRUNCATE operations_2025_08", NOT_SUPPORTED);
    drop(cluster);
}

/// A shard that was split has no key yet.
#[test]
fn a_shard_that_was_split_is_found() {
    let Some((_cluster, mut session)) = Cluster::sharded("moves::a_shard_that_was_split_is_found") else { return };
    insert(&mut session, 2000, 1000, 0);
    flip(&mut session, 10);
    run(
        &mut session,
        "SELECT isolate_tenant_to_new_shard('operations', 7, 'CASCADE', shard_transfer_mode => 'block_writes')",
    );
    let shards = "SELECT count(*) FROM pg_dist_shard WHERE logicalrelid = 'operations'::regclass";
    assert!(value::<i64>(&mut session, shards).unwrap() > i64::from(SHARDS));
    expect_sums(&mut session, "a split");
    let before = done(&mut session);
    flip(&mut session, 500);
    flip(&mut session, 500);
    assert_eq!(done(&mut session), before + 1000);
}

/// A split between the look at the shards and the sums of them is found out.
#[test]
fn a_split_under_a_repair_leaves_no_shard_out() {
    let Some((cluster, mut session)) = Cluster::sharded("moves::a_split_under_a_repair_leaves_no_shard_out") else {
        return;
    };
    flip(&mut session, 10);
    flip(&mut session, 10);
    run(&mut session, "TRUNCATE operations_2025_08");
    let mut holder = cluster.session();
    run(&mut holder, "BEGIN; SELECT FROM operations_shard_month WHERE from_day = '2025-08-01' FOR UPDATE");
    thread::scope(|scope| {
        let repair =
            scope.spawn(|| db_error(cluster.session().batch_execute("SELECT * FROM operations_verify_rollup(true)")));
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'";
        wait_until("the repair at the row", Duration::from_secs(60), || match value::<i64>(&mut session, waits) {
            Ok(0) => Err("nobody waits".into()),
            other => other.map(|_| ()).map_err(|error| error.to_string()),
        });
        let split =
            "SELECT isolate_tenant_to_new_shard('operations', 7, 'CASCADE', shard_transfer_mode => 'block_writes')";
        run(&mut session, split);
        run(&mut holder, "COMMIT");
        let error = repair.join().unwrap().unwrap();
        assert_eq!(error.code().code(), "40001", "{error:?}");
    });
    flip(&mut session, 5);
    flip(&mut session, 5);
}
