//! A worker node.

use operations_cluster::expect::expect_refused;
use operations_cluster::{DATABASE, SUPERUSER, Stop, text};
use operations_lab::doctor::{Finding, Options, Report, Severity, Verdict, examine};
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
    let Some((mut cluster, _session)) = Cluster::sharded(test) else { return };
    let url = format!("postgresql://{SUPERUSER}@127.0.0.1:{}/{DATABASE}", cluster.coordinator.port());
    let coordinator = Target::from_url(Role::Primary, &url).unwrap().with_password(cluster.coordinator.password());
    let look = |full| examine(std::slice::from_ref(&coordinator), &Options { full, ..Options::default() });
    let away = |report: &Report| report.findings.iter().filter(|finding| finding.code == "citus_node_away").count();

    // What was seen by a look of a cluster with the second worker away.
    let expect_named = |full, port: u16| {
        let report = look(full);
        assert_eq!((report.verdict, away(&report)), (Verdict::Broken, 1), "{}", report.text());
        let named = |finding: &Finding| finding.evidence.contains(&format!("127.0.0.1:{port}"));
        let fits = |finding: &Finding| match finding.severity {
            Severity::Broken => named(finding),
            severity => severity != Severity::Unknown,
        };
        assert!(report.findings.iter().filter(|finding| finding.code != "job_missing").all(fits), "{}", report.text());
    };

    let report = look(true);
    assert_eq!(away(&report), 0, "{}", report.text());
    let port = cluster.workers[1].port();
    cluster.workers[1].stop(Stop::Immediate).unwrap();
    expect_named(false, port);
    expect_named(true, port);
    cluster.workers[1].start().unwrap();
    let report = look(true);
    assert_eq!(away(&report), 0, "{}", report.text());

    // One that hangs takes connections, and answers none.
    let directory = cluster.workers[1].directory();
    directory.signal(Signal::STOP).unwrap();
    let hung = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| expect_named(false, port)));
    directory.signal(Signal::CONT).unwrap();
    hung.unwrap();
    let report = look(true);
    assert_eq!(away(&report), 0, "{}", report.text());
}
