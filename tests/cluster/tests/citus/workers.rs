//! A worker node.

use std::panic::{AssertUnwindSafe, catch_unwind};

use operations_cluster::expect::{expect_refused, run};
use operations_cluster::{DATABASE, SUPERUSER, Server, Stop, text};
use operations_lab::doctor::{Options, Severity, Sums, examine};
use operations_lab::role::Role;
use operations_lab::server::Signal;
use operations_lab::target::Target;

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

#[test]
fn the_doctor_names_a_worker_that_is_away() {
    let test = "workers::the_doctor_names_a_worker_that_is_away";
    let Some((mut cluster, mut session)) = Cluster::sharded(test) else { return };
    let url = format!("postgresql://{SUPERUSER}@127.0.0.1:{}/{DATABASE}", cluster.coordinator.port());
    let coordinator = Target::from_url(Role::Primary, &url).unwrap().with_password(cluster.coordinator.password());
    // What it says of the jobs, which nobody runs here, is another matter.
    let look = |sums| {
        let mut report = examine(std::slice::from_ref(&coordinator), &Options { sums, ..Options::default() });
        report.findings.retain(|finding| {
            matches!(finding.severity, Severity::Broken | Severity::Unknown) && !finding.code.starts_with("job_")
        });
        report
    };
    let expect_well = |sums| {
        let report = look(sums);
        assert!(report.findings.is_empty(), "{}", report.text());
    };
    let expect_named = |sums, nodes: &[u16]| {
        let report = look(sums);
        let named: Vec<_> = report.findings.iter().map(|finding| (finding.code.as_str(), finding.severity)).collect();
        assert_eq!(named, vec![("citus_node_away", Severity::Broken); nodes.len()], "{}", report.text());
        let names =
            |port: &u16| report.findings.iter().any(|finding| finding.evidence.contains(&format!("127.0.0.1:{port} ")));
        assert!(nodes.iter().all(names), "{}", report.text());
    };

    run(&mut session, "CREATE ROLE watcher");
    run(&mut session, "GRANT pg_monitor TO watcher; GRANT SELECT ON ALL TABLES IN SCHEMA public TO watcher");
    run(&mut session, "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO watcher");

    expect_well(Sums::All);
    let [first, second] = cluster.workers.each_ref().map(Server::port);
    cluster.workers[1].stop(Stop::Immediate).unwrap();
    expect_named(Sums::Sample, &[second]);
    expect_named(Sums::All, &[second]);
    // Whoever is no superuser may be the only one who is not let in, as this one is by both.
    run(&mut session, "SET citus.node_connection_timeout = '7s'; SET ROLE watcher");
    let away = "SELECT code, severity FROM operations_doctor() WHERE severity IN ('broken', 'unknown') AND code NOT LIKE 'job%'";
    run(&mut session, "BEGIN");
    assert_eq!(text(&mut session, away).unwrap(), "citus_node_away|unknown\ncitus_node_away|unknown");
    assert_eq!(text(&mut session, "SHOW citus.node_connection_timeout").unwrap(), "7s");
    run(&mut session, "COMMIT; RESET ROLE");
    cluster.workers[1].start().unwrap();
    expect_well(Sums::All);

    // Those that hang take connections, and answer none. They are not asked one after the other until nobody waits any more.
    let directories = cluster.workers.each_ref().map(Server::directory);
    directories.iter().for_each(|directory| assert!(!directory.signal(Signal::STOP).unwrap().is_empty()));
    let hung = catch_unwind(AssertUnwindSafe(|| expect_named(Sums::Sample, &[first])));
    directories.iter().for_each(|directory| assert!(!directory.signal(Signal::CONT).unwrap().is_empty()));
    hung.unwrap();
    expect_well(Sums::All);
}
