//! What a replica must survive (R3, R4, R6, R8 and R12 of the list of faults that this project keeps).
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::path::Path;

use operations_cluster::expect::{CONTENTS, SOON, expect_equal, run, wait_for_text};
use operations_cluster::{Server, Stop, text, value, wait_until};

#[test]
fn r3_a_killed_replica_streams_again_without_a_new_clone() {
    let primary = Server::primary().with_rows().start().unwrap();
    let mut replica = primary.replica().start().unwrap();
    let made = replica.cloned_at().unwrap();
    replica.kill_all().unwrap();
    let mut session = primary.session().unwrap();
    run(
        &mut session,
        "CALL operations_test_data('2025-08-01', '2025-11-30', 50000); CALL change_status(10000); CHECKPOINT",
    );
    replica.start().unwrap();
    replica.wait_streaming(SOON).unwrap();
    expect_equal(&primary, &replica);
    assert_eq!(replica.cloned_at().unwrap(), made);
}

#[test]
fn r4_a_clone_that_was_killed_is_begun_again() {
    let primary = Server::primary().with_rows().start().unwrap();
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
    let old = Server::primary().with_rows().start().unwrap();
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
    wait_until("the slot to be lost", SOON, || {
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
    replica.wait_ready(SOON).unwrap();
    replica.wait_streaming(SOON).unwrap();
    expect_equal(&primary, &replica);
}

#[test]
fn r12_a_long_reader_outlasts_refreshes_and_a_new_month() {
    // What cuts off the empty end of a table takes a lock that replicas replay, whoever has emptied it: not ours to
    // spare readers from, so no vacuum of PostgreSQL's own choosing may do it here, nor one that began before the reader.
    let primary = Server::primary().with_rows().setting("autovacuum", "off").start().unwrap();
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
