//! The streaming replica, made and started by the demo's own entrypoint: equal contents, no writes, no secrets shown.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::time::Duration;

use operations_cluster::expect::{AGGREGATE_DIFFERENCE, CONTENTS, SOON, expect_equal, expect_indexes_match, run};
use operations_cluster::{DATABASE, Server, Stop, db_error, text, wait_until};

#[test]
fn the_replica_has_the_same_contents_and_takes_no_writes() {
    let primary = Server::primary().with_rows().start().unwrap();
    let replica = primary.replica().start().unwrap();
    let mut session = primary.session().unwrap();
    run(
        &mut session,
        "CALL operations_test_data('2026-01-01', '2026-03-31', 30000, 2); CALL change_status(); \
         CALL operation_insert_one(); CALL operations_maintain_partitions(8)",
    );
    expect_equal(&primary, &replica);
    let mut reader = replica.session().unwrap();
    assert_eq!(text(&mut reader, AGGREGATE_DIFFERENCE).unwrap(), "");
    for statement in [
        "INSERT INTO operations (operation_date, operation_guid, client_id, operation_type, amount, message) \
         VALUES (current_date, gen_random_uuid(), 1, 'online', 1, '{}')",
        "UPDATE operations SET status = 1",
        "DELETE FROM operations",
        "REFRESH MATERIALIZED VIEW client_type_sum_mv",
        "CALL operation_insert_one()",
        "CREATE TABLE other ()",
    ] {
        let error = db_error(reader.batch_execute(statement)).unwrap();
        assert_eq!(error.code().code(), "25006", "{statement}: {error:?}");
    }
    // What can be asked without writing, can be asked here.
    assert_eq!(text(&mut reader, "SELECT count(*) FROM operations_jobs()").unwrap(), "0");
    // It streams through the slot that it was told to use.
    let slot = "SELECT slot_type, active FROM pg_replication_slots WHERE slot_name = 'replica_slot'";
    assert_eq!(text(&mut session, slot).unwrap(), "physical|t");
}

#[test]
fn a_start_follows_without_a_new_clone() {
    let primary = Server::primary().with_rows().start().unwrap();
    let mut replica = primary.replica().start().unwrap();
    let made = replica.cloned_at().unwrap();
    for how in [Stop::Fast, Stop::Immediate] {
        replica.stop(how).unwrap();
        run(&mut primary.session().unwrap(), "CALL operations_test_data('2025-08-01', '2025-08-31', 1000)");
        replica.start().unwrap();
        replica.wait_streaming(SOON).unwrap();
        expect_equal(&primary, &replica);
        assert_eq!(replica.cloned_at().unwrap(), made, "{how:?}: it was cloned anew");
    }
}

#[test]
fn a_wrong_password_is_refused_and_shown_to_nobody() {
    let primary = Server::primary().with_rows().start().unwrap();
    let secret = "not-the-password-of-anybody";
    let mut replica = primary.replica().variable("REPLICATION_PASSWORD", secret).wait_seconds(5).prepare().unwrap();
    replica.launch().unwrap();
    assert!(!replica.wait_end(SOON).unwrap(), "it was let in");
    assert!(!replica.data().join("PG_VERSION").exists());
    assert!(!replica.log_contains(secret).unwrap());
    assert!(!primary.log_contains(secret).unwrap());
}

#[test]
fn no_password_is_in_a_process_list_or_a_log() {
    let primary = Server::primary().with_rows().start().unwrap();
    let mut replica = primary.replica().prepare().unwrap();
    replica.launch().unwrap();
    let password = primary.password();
    // Looked at again and again, from before the clone until the replica streams.
    wait_until("the replica to stream", SOON, || {
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            assert!(!line.contains(password), "{line}");
        }
        replica.wait_streaming(Duration::ZERO).map_err(|error| error.to_string())
    });
    assert!(!replica.log_contains(password).unwrap());
    assert!(!primary.log_contains(password).unwrap());
}

#[test]
fn without_a_primary_it_gives_up_after_its_limit_and_says_so() {
    let mut primary = Server::primary().with_rows().start().unwrap();
    let mut replica = primary.replica().wait_seconds(2).prepare().unwrap();
    primary.stop(Stop::Fast).unwrap();
    replica.launch().unwrap();
    assert!(!replica.wait_end(SOON).unwrap());
    let log = replica.log().unwrap();
    assert!(log.contains("127.0.0.1") && log.contains(&primary.port().to_string()), "{log}");

    // A primary that comes within the limit is waited for.
    let mut replica = primary.replica().wait_seconds(30).prepare().unwrap();
    replica.launch().unwrap();
    primary.start().unwrap();
    replica.wait_ready(SOON).unwrap();
    replica.wait_streaming(SOON).unwrap();
    expect_equal(&primary, &replica);
}

#[test]
fn a_promoted_replica_takes_writes() {
    let mut primary = Server::primary().with_rows().start().unwrap();
    let replica = primary.replica().start().unwrap();
    primary.wait_for_catchup(&replica).unwrap();
    let before = text(&mut primary.session().unwrap(), CONTENTS).unwrap();
    primary.kill_all().unwrap();
    replica.promote().unwrap();
    let mut session = replica.connect(DATABASE).unwrap();
    assert_eq!(text(&mut session, CONTENTS).unwrap(), before);
    run(
        &mut session,
        "CALL operation_insert_one(); CALL change_status(); CALL operations_maintain_partitions(5); \
         CALL operations_test_data('2025-08-01', '2025-08-31', 1000)",
    );
    assert_eq!(text(&mut session, AGGREGATE_DIFFERENCE).unwrap(), "");
    expect_indexes_match(&mut session);
}
