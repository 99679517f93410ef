//! A worker node.

use operations_cluster::expect::expect_refused;
use operations_cluster::text;

use crate::common::{Cluster, NOT_SUPPORTED, expect_says, findings};

/// What writes.
const REFUSED: [(&str, &str); 7] = [
    ("CALL operations_setup()", "operations_setup()"),
    ("CALL operations_test_data('2025-08-01', '2025-11-30', 100, 2)", "operations_test_data()"),
    ("CALL operation_insert_one()", "operation_insert_one()"),
    ("CALL change_status()", "change_status()"),
    ("CALL operations_maintain_partitions()", "operations_maintain_partitions()"),
    ("CALL operations_schedule()", "operations_schedule()"),
    ("SELECT * FROM operations_verify_rollup(true)", "operations_verify_rollup()"),
];

#[test]
fn a_worker_node_refuses_what_is_for_the_coordinator() {
    let test = "workers::a_worker_node_refuses_what_is_for_the_coordinator";
    let Some(cluster) = Cluster::start(test) else { return };
    let mut session = cluster.workers[0].session().unwrap();
    for (statement, what) in REFUSED {
        let error = expect_refused(&mut session, statement, NOT_SUPPORTED);
        let message = format!("cannot execute {what} on a worker node of Citus");
        expect_says(&error, &message, "This server is of group", "SELECT nodename, nodeport FROM pg_dist_node");
    }
    assert_eq!(text(&mut session, "SELECT to_regclass('operations')").unwrap(), "NULL");
    assert_eq!(findings(&mut session), "citus_worker|info");
    let job_findings = "SELECT count(*) FROM operations_doctor() WHERE code LIKE 'job%'";
    assert_eq!(text(&mut session, job_findings).unwrap(), "0");
    for works in
        ["SELECT * FROM operations_jobs()", "CALL operations_unschedule()", "CALL operations_prune_job_history()"]
    {
        text(&mut session, works).unwrap();
    }
}

#[test]
fn a_worker_node_has_no_sums_of_a_distributed_table() {
    let test = "workers::a_worker_node_has_no_sums_of_a_distributed_table";
    let Some((cluster, _session)) = Cluster::distributed(test) else { return };
    let mut session = cluster.workers[1].session().unwrap();
    for statement in ["SELECT * FROM operations_rollup_live", "SELECT * FROM operations_verify_rollup()"] {
        let error = expect_refused(&mut session, statement, NOT_SUPPORTED);
        expect_says(
            &error,
            "does not support tables of Citus",
            "public.operations is distributed by client_id.",
            "RENAME",
        );
    }
    let error = expect_refused(&mut session, "CALL operation_insert_one()", NOT_SUPPORTED);
    expect_says(&error, "cannot execute operation_insert_one() on a worker node of Citus", "group", "groupid = 0");
    assert_eq!(findings(&mut session), "citus_worker|info");
}
