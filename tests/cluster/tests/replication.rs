//! The streaming replica, made and started by the demo's own entrypoint: equal contents, no writes, and the faults
//! R1, R3, R4, R6, R8 and R12 of the fault list.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::path::Path;
use std::time::Duration;

use operations_cluster::expect::{AGGREGATE_DIFFERENCE, CONTENTS, SOON, expect_indexes_match, wait_for_text};
use operations_cluster::{DATABASE, Error, Server, Stop, db_error, text, value, wait_until};
use postgres::Client;

fn run(session: &mut Client, statements: &str) {
    session.batch_execute(statements).map_err(Error::from).unwrap();
}

/// A primary with rows of which some are done.
fn primary() -> Server {
    let server = Server::primary().with_extension().start().unwrap();
    run(
        &mut server.session().unwrap(),
        "CALL operations_test_data('2025-08-01', '2025-11-30', 20000, 1); CALL change_status(3000)",
    );
    server
}

#[track_caller]
fn expect_equal(primary: &Server, replica: &Server) {
    primary.wait_for_catchup(replica).unwrap();
    let (mut here, mut there) = (primary.session().unwrap(), replica.session().unwrap());
    for query in [
        CONTENTS,
        "SELECT count(*), sum(total_amount), sum(hashtextextended(v::text, 0)::numeric) FROM client_type_sum_mv v",
        "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace",
    ] {
        assert_eq!(text(&mut here, query).unwrap(), text(&mut there, query).unwrap(), "{query}");
    }
    expect_indexes_match(&mut there);
}

#[test]
fn the_replica_has_the_same_contents_and_takes_no_writes() {
    let primary = primary();
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
    let primary = primary();
    let mut replica = primary.replica().start().unwrap();
    let made = clone_time(&replica);
    for how in [Stop::Fast, Stop::Immediate] {
        replica.stop(how).unwrap();
        run(&mut primary.session().unwrap(), "CALL operations_test_data('2025-08-01', '2025-08-31', 1000)");
        replica.start().unwrap();
        replica.wait_streaming(SOON).unwrap();
        expect_equal(&primary, &replica);
        assert_eq!(clone_time(&replica), made, "{how:?}: it was cloned anew");
    }
}

#[test]
fn a_wrong_password_is_refused_and_shown_to_nobody() {
    let primary = primary();
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
    let primary = primary();
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
    let mut primary = primary();
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
fn r3_a_killed_replica_streams_again_without_a_new_clone() {
    let primary = primary();
    let mut replica = primary.replica().start().unwrap();
    let made = clone_time(&replica);
    replica.kill_all().unwrap();
    let mut session = primary.session().unwrap();
    run(
        &mut session,
        "CALL operations_test_data('2025-08-01', '2025-11-30', 50000); CALL change_status(10000); CHECKPOINT",
    );
    replica.start().unwrap();
    replica.wait_streaming(Duration::from_secs(60)).unwrap();
    expect_equal(&primary, &replica);
    assert_eq!(clone_time(&replica), made);
}

#[test]
fn r4_a_clone_that_was_killed_is_begun_again() {
    let primary = primary();
    // Large enough to be caught in the middle of.
    run(
        &mut primary.session().unwrap(),
        "CALL operations_test_data('2025-08-01', '2025-11-30', 200000, 3); CHECKPOINT",
    );
    let size = folder_size(&primary.data().join("base"));
    for percent in [0, 10, 50, 90] {
        let mut replica = primary.replica().slot(&format!("killed_at_{percent}")).prepare().unwrap();
        replica.launch().unwrap();
        wait_until(&format!("the clone to be at {percent} %"), SOON, || {
            // Under its first name, its second, or already in its place.
            let copied = ["data.clone", "data.whole", "data"]
                .map(|name| folder_size(&replica.folder().join(name).join("base")))
                .into_iter()
                .max()
                .unwrap();
            match copied * 100 >= size * percent {
                true => Ok(()),
                false => Err(format!("{copied} of {size} bytes")),
            }
        });
        replica.kill_all().unwrap();
        replica.start().unwrap();
        replica.wait_streaming(SOON).unwrap();
        expect_equal(&primary, &replica);
        // Nothing of the first attempt is left.
        for rest in ["data.clone", "data.whole", "data.old"] {
            assert!(!replica.folder().join(rest).exists(), "{percent} %: {rest}");
        }
    }
}

#[test]
fn r6_a_replica_of_another_primary_is_named_and_kept() {
    let old = primary();
    let mut replica = old.replica().start().unwrap();
    let identity = "SELECT system_identifier FROM pg_control_system()";
    let ours = text(&mut old.session().unwrap(), identity).unwrap();
    replica.stop(Stop::Fast).unwrap();
    let new = Server::primary().own_identity().start().unwrap();
    let theirs = text(&mut new.session().unwrap(), identity).unwrap();
    assert_ne!(ours, theirs);

    replica.follow(&new);
    let before = folder_size(&replica.data().join("base"));
    replica.launch().unwrap();
    assert!(!replica.wait_end(SOON).unwrap(), "it started");
    let log = replica.log().unwrap();
    assert!(log.contains(&ours) && log.contains(&theirs), "{log}");
    assert_eq!(folder_size(&replica.data().join("base")), before);
    // Nothing was deleted: it goes on as soon as its own primary is back.
    replica.follow(&old);
    replica.start().unwrap();
    replica.wait_streaming(SOON).unwrap();
    expect_equal(&old, &replica);
}

#[test]
fn r8_a_replica_that_was_away_too_long_heals_itself() {
    let primary = Server::primary()
        .with_extension()
        .setting("max_slot_wal_keep_size", "64MB")
        .setting("max_wal_size", "64MB")
        .setting("min_wal_size", "32MB")
        .setting("wal_keep_size", "0")
        .start()
        .unwrap();
    let mut replica = primary.replica().start().unwrap();
    replica.stop(Stop::Fast).unwrap();
    let mut session = primary.session().unwrap();
    let lost = "SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'replica_slot'";
    wait_until("the slot to be lost", SOON * 4, || {
        run(&mut session, "CALL operations_test_data('2025-08-01', '2025-11-30', 100000)");
        run(&mut session, "CHECKPOINT");
        let status = text(&mut session, lost).unwrap();
        match status.as_str() {
            "lost" => Ok(()),
            _ => Err(status),
        }
    });
    let wal = "SELECT sum(size) < 400 * 1024 * 1024 FROM pg_ls_waldir()";
    assert!(value::<bool>(&mut session, wal).unwrap());
    replica.launch().unwrap();
    let limit = Duration::from_secs(120);
    replica.wait_ready(limit).unwrap();
    replica.wait_streaming(limit).unwrap();
    expect_equal(&primary, &replica);
}

#[test]
fn r12_a_long_reader_outlasts_refreshes_and_a_new_month() {
    let primary = primary();
    // Stricter than what ships: whatever conflicts with the reader cancels it at once.
    let replica = primary.replica().setting("max_standby_streaming_delay", "0").start().unwrap();
    let mut reader = replica.session().unwrap();
    run(&mut reader, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    let seen = text(&mut reader, CONTENTS).unwrap();
    let sums = "SELECT count(*), sum(total_amount) FROM client_type_sum_mv";
    let seen_sums = text(&mut reader, sums).unwrap();

    let mut session = primary.session().unwrap();
    // The replica's feedback has reached the primary, as it has in every real minute of a reader.
    wait_for_text(
        &mut session,
        "the replica's feedback",
        "SELECT bool_or(xmin IS NOT NULL) FROM pg_replication_slots",
        "t",
    );
    // What cuts off the empty end of a table takes a lock that replicas replay, whoever has emptied it: not ours to
    // spare readers from, so no vacuum of PostgreSQL's own choosing may do it now.
    run(&mut session, "ALTER SYSTEM SET autovacuum = off");
    run(&mut session, "SELECT pg_reload_conf()");
    for ahead in 4..24 {
        run(&mut session, &format!("CALL change_status(500); CALL operations_maintain_partitions({ahead})"));
    }
    run(&mut session, "VACUUM (TRUNCATE false) operations, client_type_sum_mv");
    primary.wait_for_catchup(&replica).unwrap();
    assert_eq!(text(&mut reader, CONTENTS).unwrap(), seen);
    assert_eq!(text(&mut reader, sums).unwrap(), seen_sums);
    run(&mut reader, "COMMIT");
    assert!(!replica.log_contains("conflict with recovery").unwrap());
    expect_equal(&primary, &replica);
}

#[test]
fn a_promoted_replica_takes_writes() {
    let mut primary = primary();
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

/// When the data directory was made: another time means another clone.
fn clone_time(server: &Server) -> std::time::SystemTime {
    std::fs::metadata(server.data().join("PG_VERSION")).unwrap().modified().unwrap()
}

/// The size of all files in a folder; what disappears while it is looked at counts as nothing.
fn folder_size(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => folder_size(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}
