//! pg_dump and pg_restore of the whole database: the same rows and sums, nothing doubled, and a demo that goes on.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use operations_cluster::expect::{AGGREGATE_DIFFERENCE, CONTENTS, PARTITIONS, run};
use operations_cluster::{DATABASE, Server, text, value};
use postgres::Client;

const SUMS: &str = "SELECT md5(string_agg(format('%s %s %s %s', client_id, operation_type, n, total), ',' \
    ORDER BY client_id, operation_type)) FROM (SELECT client_id, operation_type, count(*) AS n, sum(amount) AS total \
    FROM operations GROUP BY 1, 2) s";

const AGGREGATE: &str =
    "SELECT count(*), sum(total_amount), sum(hashtextextended(v::text, 0)::numeric) FROM client_type_sum_mv v";

/// A database with rows, done and not, scheduled jobs, and a partition that was detached. No month is missing, so that the
/// daily job, whenever it runs, has nothing to make.
fn filled() -> Server {
    let server = Server::primary()
        .with_worker()
        .with_extension()
        .setting("operations_ext.insert_interval", "0")
        .setting("operations_ext.change_status_interval", "0")
        .start()
        .unwrap();
    // The months that the maintenance job would make are there, so that it changes nothing after the dump.
    run(
        &mut server.session().unwrap(),
        "CALL operations_test_data('2025-08-01', '2025-11-30', 20000, 1); CALL change_status(5000); \
         CALL operation_insert_one(); CALL operations_schedule(); \
         ALTER TABLE operations DETACH PARTITION operations_2025_08; CALL operations_maintain_partitions(); \
         REFRESH MATERIALIZED VIEW client_type_sum_mv",
    );
    server
}

fn expect_same(original: &mut Client, copy: &mut Client) {
    for query in [
        CONTENTS,
        SUMS,
        AGGREGATE,
        PARTITIONS,
        "SELECT count(*) FROM operations_2025_08",
        "SELECT string_agg(format('%s %s', job_name, username), ', ' ORDER BY job_name) FROM operations_job",
    ] {
        let expected = text(original, query).unwrap();
        assert_eq!(text(copy, query).unwrap(), expected, "{query}");
    }
    assert_eq!(text(copy, AGGREGATE_DIFFERENCE).unwrap(), "");

    // Ids go on after the greatest; everything can be called; setup changes nothing.
    let last = value::<i64>(copy, "SELECT max(id) FROM operations").unwrap();
    run(copy, "CALL operations_setup(); CALL operation_insert_one()");
    let next = value::<i64>(copy, "SELECT max(id) FROM operations").unwrap();
    assert!(next > last, "{next} after {last}");
    run(
        copy,
        "CALL operations_test_data('2025-10-01', '2025-12-31', 1000, 5); CALL change_status(); \
         CALL operations_maintain_partitions(6); CALL operations_unschedule(); CALL operations_schedule()",
    );
    assert_eq!(text(copy, AGGREGATE_DIFFERENCE).unwrap(), "");
    run(copy, "REFRESH MATERIALIZED VIEW client_type_sum_mv");
    assert_eq!(text(copy, AGGREGATE_DIFFERENCE).unwrap(), "");
}

#[test]
fn a_restored_database_on_the_same_server_is_the_same() {
    let server = filled();
    server.copy_database(DATABASE, &server, "restored").unwrap();
    expect_same(&mut server.session().unwrap(), &mut server.connect("restored").unwrap());
}

#[test]
fn a_restored_database_on_another_server_is_the_same_and_its_jobs_run() {
    let server = filled();
    let other = Server::primary()
        .setting("shared_preload_libraries", "operations_ext")
        .setting("operations_ext.database", "restored")
        .setting("operations_ext.insert_interval", "0")
        .setting("operations_ext.change_status_interval", "0")
        .start()
        .unwrap();
    server.copy_database(DATABASE, &other, "restored").unwrap();
    let mut copy = other.connect("restored").unwrap();
    expect_same(&mut server.session().unwrap(), &mut copy);

    run(&mut copy, "ALTER SYSTEM SET operations_ext.insert_interval = '1s'");
    run(&mut copy, "SELECT pg_reload_conf()");
    operations_cluster::expect::wait_for_text(
        &mut copy,
        "the restored job to run",
        "SELECT count(*) > 1 FROM operations_job_run_details WHERE job_name = 'operation_insert_one' AND status = 'succeeded'",
        "t",
    );
}

#[test]
fn a_dump_of_a_dump_is_the_same() {
    let server = filled();
    server.copy_database(DATABASE, &server, "first").unwrap();
    server.copy_database("first", &server, "second").unwrap();
    expect_same(&mut server.session().unwrap(), &mut server.connect("second").unwrap());
}

#[test]
fn a_dump_beside_the_running_jobs_is_whole() {
    let server = Server::primary().with_fast_worker().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    run(&mut session, "CALL operations_test_data('2025-08-01', '2025-11-30', 50000, 1); CALL operations_schedule()");
    let busy = server.session().map(|mut session| {
        std::thread::spawn(move || {
            for ahead in 4..16 {
                run(&mut session, &format!("CALL operations_maintain_partitions({ahead}); CALL change_status(500)"));
            }
        })
    });
    server.copy_database(DATABASE, &server, "restored").unwrap();
    busy.unwrap().join().unwrap();
    let mut copy = server.connect("restored").unwrap();
    assert_eq!(text(&mut copy, AGGREGATE_DIFFERENCE).unwrap(), "");
    let rows = "SELECT count(*) >= 50000, count(*) = count(DISTINCT operation_guid) FROM operations";
    assert_eq!(text(&mut copy, rows).unwrap(), "t|t");
    run(&mut copy, "CALL operation_insert_one(); CALL change_status(); CALL operations_maintain_partitions()");
}
