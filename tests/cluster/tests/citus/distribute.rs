//! `operations_distribute()`, and the sums of what it has distributed.

use operations_cluster::expect::{expect_refused, run, wait_for_text};
use operations_cluster::{text, value};

use crate::common::{
    Cluster, NOT_SUPPORTED, SHARDS, done, expect_all_followed, expect_says, expect_sums, findings, flip, insert,
    operations,
};

#[test]
fn rows_and_sums_come_along() {
    let Some((_cluster, mut session)) = Cluster::with_rows("distribute::rows_and_sums_come_along") else { return };
    let contents = "SELECT count(*), sum(status), sum(id), sum(amount), count(DISTINCT operation_guid) FROM operations";
    let sums = "SELECT * FROM client_type_sum_live ORDER BY client_id, operation_type";
    let (before, sums_before) = (text(&mut session, contents).unwrap(), text(&mut session, sums).unwrap());
    run(&mut session, "CALL operations_distribute()");
    assert_eq!(text(&mut session, contents).unwrap(), before);
    assert_eq!(text(&mut session, sums).unwrap(), sums_before);
    let key =
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'operations'::regclass AND contype = 'p'";
    assert_eq!(text(&mut session, key).unwrap(), "PRIMARY KEY (operation_date, client_id, id)");
    let colocated = "SELECT count(*), count(DISTINCT colocationid) FROM pg_dist_partition
                     WHERE logicalrelid IN ('operations'::regclass, 'operations_shard'::regclass,
                                            'operations_shard_delta'::regclass, 'operations_shard_rollup'::regclass,
                                            'operations_shard_load'::regclass)";
    assert_eq!(text(&mut session, colocated).unwrap(), "5|1");
    assert_eq!(text(&mut session, "SELECT * FROM operations_hidden_rows()").unwrap(), "");
    assert_eq!(findings(&mut session), "");

    // Once more changes nothing.
    let layout = "SELECT max(oid), count(*) FROM pg_trigger WHERE tgfoid = 'operations_count_change'::regproc";
    let before = text(&mut session, layout).unwrap();
    for again in ["CALL operations_distribute()", "CALL operations_setup()"] {
        run(&mut session, again);
        assert_eq!(text(&mut session, layout).unwrap(), before, "{again}");
    }
    flip(&mut session, 100);
    flip(&mut session, 100);
    assert_eq!(done(&mut session), 401, "200 were done, 1 was by the fixture");
}

/// The first call is held in the midst of its work, until the second one waits for it.
#[test]
fn two_calls_take_turns() {
    let Some((cluster, mut session)) = Cluster::with_rows("distribute::two_calls_take_turns") else { return };
    let mut holder = cluster.session();
    run(&mut holder, "BEGIN; LOCK TABLE operations_shard_load IN SHARE UPDATE EXCLUSIVE MODE");
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE wait_event_type = 'Lock' AND query LIKE 'CALL operations_distribute%'";
    std::thread::scope(|scope| {
        let distribute = || {
            let mut session = cluster.session();
            scope.spawn(move || run(&mut session, "CALL operations_distribute()"))
        };
        let first = distribute();
        wait_for_text(&mut session, "the first call waits", waiting, "1");
        let second = distribute();
        wait_for_text(&mut session, "the second call waits", waiting, "2");
        run(&mut holder, "COMMIT");
        first.join().unwrap();
        second.join().unwrap();
    });
    expect_sums(&mut session, "both calls");
    flip(&mut session, 10);
}

#[test]
fn a_new_table_is_distributed_by_set_up() {
    let Some(cluster) = Cluster::start("distribute::a_new_table_is_distributed_by_set_up") else { return };
    let mut session = cluster.session();
    run(&mut session, "CALL operations_setup()");
    run(&mut session, "CALL operations_distribute()");
    insert(&mut session, 500, 100, 0);
    run(&mut session, "CALL operation_insert_one()");
    flip(&mut session, 10);
    flip(&mut session, 10);
    assert_eq!((operations(&mut session), done(&mut session)), (501, 20));
    assert_eq!(findings(&mut session), "");
}

#[test]
fn set_up_makes_the_index_that_is_missing() {
    let test = "distribute::set_up_makes_the_index_that_is_missing";
    let Some((_cluster, mut session)) = Cluster::sharded(test) else { return };
    run(&mut session, "DROP INDEX operations_status_id_idx");
    run(&mut session, "CALL operations_setup()");
    let indexes = "SELECT count(*) FROM pg_index WHERE indrelid IN (SELECT relid FROM pg_partition_tree('operations')) AND NOT indisprimary";
    let tables = "SELECT count(*) FROM pg_partition_tree('operations')";
    assert_eq!(text(&mut session, indexes).unwrap(), text(&mut session, tables).unwrap());
    flip(&mut session, 10);
}

/// Neither procedure sends to the other where the column is gone.
#[test]
fn after_the_extension_was_dropped_the_missing_column_is_named() {
    let test = "distribute::after_the_extension_was_dropped_the_missing_column_is_named";
    let Some((_cluster, mut session)) = Cluster::sharded(test) else { return };
    run(&mut session, "DROP EXTENSION operations_ext CASCADE");
    run(&mut session, "CREATE EXTENSION operations_ext");
    for call in ["CALL operations_setup()", "CALL operations_distribute()"] {
        let error = expect_refused(&mut session, call, &["42703"]);
        let message = "column \"operation_type\" of \"public.operations\" does not exist";
        expect_says(
            &error,
            message,
            "DROP EXTENSION with CASCADE",
            "rename that table and run CALL public.operations_setup();",
        );
    }
    run(&mut session, "ALTER TABLE operations RENAME TO before");
    run(&mut session, "CALL operations_setup()");
    run(&mut session, "CALL operations_distribute()");
    insert(&mut session, 100, 20, 0);
    flip(&mut session, 10);
}

/// Citus refuses a query without columns.
#[test]
fn the_doctor_looks_into_a_default_partition() {
    let test = "distribute::the_doctor_looks_into_a_default_partition";
    let Some((_cluster, mut session)) = Cluster::sharded(test) else { return };
    run(&mut session, "SET citus.enable_unsafe_triggers = on");
    run(&mut session, "CREATE TABLE fallback PARTITION OF operations DEFAULT");
    let found = "SELECT code, severity FROM operations_doctor_partitions() WHERE code IN ('default_partition_rows', 'check_failed')";
    assert_eq!(text(&mut session, found).unwrap(), "");
    run(
        &mut session,
        "INSERT INTO operations (operation_date, operation_guid, client_id, operation_type, amount, status, message)
         VALUES ('2001-01-01', gen_random_uuid(), 7, 'online', 1, 1, '{}')",
    );
    assert_eq!(text(&mut session, found).unwrap(), "default_partition_rows|degraded");
    expect_sums(&mut session, "a row of the DEFAULT partition");
}

#[test]
fn a_table_that_was_distributed_by_hand_is_completed() {
    let test = "distribute::a_table_that_was_distributed_by_hand_is_completed";
    let Some((_cluster, mut session)) = Cluster::distributed(test) else { return };
    let error = expect_refused(&mut session, "CALL change_status()", NOT_SUPPORTED);
    expect_says(&error, "change_status()", "distributed by client_id", "CALL public.operations_distribute()");
    run(&mut session, "CALL operations_distribute()");
    expect_sums(&mut session, "distribution");
    flip(&mut session, 10);
    flip(&mut session, 10);
    assert_eq!(findings(&mut session), "hidden_rows|broken", "what Citus has copied it has left here, too");
}

/// What changes rows, one after the other.
const CHANGES: [&str; 11] = [
    "UPDATE operations SET status = 1 - status WHERE client_id < 100",
    "UPDATE operations SET amount = amount + 1 WHERE id % 3 = 0",
    "DELETE FROM operations WHERE id % 7 = 0",
    "TRUNCATE operations_2025_09",
    "ALTER TABLE operations DETACH PARTITION operations_2025_10",
    "ALTER TABLE operations ATTACH PARTITION operations_2025_10 FOR VALUES FROM ('2025-10-01') TO ('2025-11-01')",
    "DROP TABLE operations_2025_08",
    "CALL operations_maintain_partitions(5)",
    "INSERT INTO operations (operation_date, operation_guid, client_id, operation_type, amount, status, message)
     SELECT current_date + 120, gen_random_uuid(), n, 'offline', 3, 1, '{}' FROM generate_series(1, 20) n",
    "BEGIN; TRUNCATE operations; CALL change_status(10); ROLLBACK",
    "CALL operations_maintain_partitions(3, 0)",
];

#[test]
fn the_sums_are_right_after_every_change() {
    let Some((_cluster, mut session)) = Cluster::sharded("distribute::the_sums_are_right_after_every_change") else {
        return;
    };
    flip(&mut session, 50);
    flip(&mut session, 50);
    for change in CHANGES {
        run(&mut session, change);
        expect_sums(&mut session, change);
        run(&mut session, "CALL change_status(20)");
        flip(&mut session, 20);
        expect_all_followed(&mut session, change);
    }
}

#[test]
fn wrong_sums_are_found_and_repaired() {
    let Some((_cluster, mut session)) = Cluster::sharded("distribute::wrong_sums_are_found_and_repaired") else {
        return;
    };
    flip(&mut session, 50);
    flip(&mut session, 50);
    run(&mut session, "UPDATE operations_shard_rollup SET amount = amount + 1 WHERE client_id < 500");
    let wrong: i64 = value(&mut session, "SELECT count(*) FROM operations_verify_rollup()").unwrap();
    assert!(wrong > 0);
    assert_eq!(findings(&mut session), "sums_differ|broken\nview_stale|degraded");
    assert_eq!(value::<i64>(&mut session, "SELECT count(*) FROM operations_verify_rollup(true)").unwrap(), wrong);
    expect_sums(&mut session, "repair");
    assert_eq!(findings(&mut session), "");
    flip(&mut session, 50);
    for refresh in ["REFRESH MATERIALIZED VIEW", "REFRESH MATERIALIZED VIEW CONCURRENTLY"] {
        run(&mut session, &format!("{refresh} client_type_sum_mv"));
    }
}

/// Each node adds its rows up: the coordinator gets one row a sum.
#[test]
fn the_live_view_is_pushed_down() {
    let Some((_cluster, mut session)) = Cluster::sharded("distribute::the_live_view_is_pushed_down") else { return };
    flip(&mut session, 50);
    flip(&mut session, 50);
    let plan = text(&mut session, "EXPLAIN (COSTS OFF) SELECT * FROM client_type_sum_live").unwrap();
    assert!(plan.starts_with("Custom Scan (Citus Adaptive)"), "{plan}");
    assert!(plan.contains(&format!("Task Count: {SHARDS}")), "{plan}");
    let coordinator: String = plan.split("Tasks Shown").next().unwrap().into();
    assert!(!coordinator.contains("operations_shard_rollup"), "{plan}");
}
