//! What the replica's entrypoint sees to by itself, and what it leaves to a hand.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::time::{Duration, Instant};

use operations_cluster::expect::{SOON, expect_equal, run, wait_for_text};
use operations_cluster::{Server, Stop, text, value, wait_until};
use rustix::process::{Pid, Signal, kill_process};

const LOST: &str =
    "SELECT coalesce(max(wal_status), 'none') FROM pg_replication_slots WHERE slot_name = 'replica_slot'";

/// A primary that keeps little WAL.
fn forgetful() -> Server {
    Server::primary()
        .with_extension()
        .setting("max_slot_wal_keep_size", "32MB")
        .setting("max_wal_size", "64MB")
        .setting("min_wal_size", "32MB")
        .setting("wal_keep_size", "0")
        .start()
        .unwrap()
}

/// Keeps a replica out, as a cut network does, until the primary has given up its slot; then lets it in again.
fn lose_slot(primary: &Server) {
    let mut session = primary.session().unwrap();
    run(&mut session, "ALTER ROLE replicator NOLOGIN");
    run(&mut session, "SELECT pg_terminate_backend(pid) FROM pg_stat_replication");
    wait_until("the slot to be lost", SOON, || {
        run(&mut session, "CALL operations_test_data('2025-08-01', '2025-11-30', 100000)");
        run(&mut session, "CHECKPOINT");
        let status = text(&mut session, LOST).unwrap();
        if status == "lost" { Ok(()) } else { Err(status) }
    });
    run(&mut session, "ALTER ROLE replicator LOGIN");
}

#[test]
fn a_slot_that_is_lost_while_the_replica_runs_heals() {
    let primary = forgetful();
    let replica = primary.replica().variable("WATCH_SECONDS", "1").start().unwrap();
    let made = replica.cloned_at().unwrap();
    lose_slot(&primary);
    wait_for_text(&mut primary.session().unwrap(), "the new slot", LOST, "reserved");
    wait_until("the new clone to stream", SOON, || {
        replica.wait_streaming(Duration::from_secs(1)).map_err(|error| error.to_string())
    });
    expect_equal(&primary, &replica);
    assert_ne!(replica.cloned_at().unwrap(), made);
    let log = replica.log().unwrap();
    let why = "stopping the server, for a new clone: the primary has given up the WAL that it lacks (its slot is lost)";
    assert!(log.contains(why), "{log}");
}

/// The new slot keeps nothing of what the old data lack.
#[test]
fn a_new_clone_that_was_killed_is_begun_again() {
    let primary = forgetful();
    let mut replica = primary.replica().start().unwrap();
    let made = replica.cloned_at().unwrap();
    replica.stop(Stop::Fast).unwrap();
    lose_slot(&primary);
    replica.launch().unwrap();
    wait_until("the clone to be under way", SOON, || match replica.folder().join("data.clone").exists() {
        true => Ok(()),
        false => Err(replica.log().unwrap()),
    });
    replica.kill_all().unwrap();
    assert_eq!(replica.cloned_at().unwrap(), made, "it was whole already");
    replica.start().unwrap();
    replica.wait_streaming(SOON).unwrap();
    expect_equal(&primary, &replica);
    assert_ne!(replica.cloned_at().unwrap(), made);
    assert!(replica.log_contains("a new clone was begun and did not become whole").unwrap());
}

/// The checkpointer waits for the process of a replica that takes nothing any more before it gives up the slot.
#[test]
fn a_replica_that_hangs_does_not_hold_up_checkpoints() {
    let primary = forgetful();
    let replica = primary.replica().variable("WATCH_SECONDS", "3600").start().unwrap();
    let receiver: i32 = value(&mut replica.session().unwrap(), "SELECT pid FROM pg_stat_wal_receiver").unwrap();
    let receiver = Pid::from_raw(receiver).unwrap();
    kill_process(receiver, Signal::STOP).unwrap();
    let mut session = primary.session().unwrap();
    let began = Instant::now();
    while text(&mut session, LOST).unwrap() != "lost" {
        assert!(began.elapsed() < Duration::from_secs(60), "the slot is not given up");
        run(&mut session, "CALL operations_test_data('2025-08-01', '2025-11-30', 100000)");
        run(&mut session, "CHECKPOINT");
    }
    kill_process(receiver, Signal::CONT).unwrap();
}

#[test]
fn a_replica_starts_without_its_primary_and_a_promoted_one_alone() {
    let mut primary = Server::primary().with_rows().start().unwrap();
    let mut replica = primary.replica().start().unwrap();
    replica.stop(Stop::Fast).unwrap();
    primary.stop(Stop::Fast).unwrap();

    replica.start().unwrap();
    let mut reader = replica.session().unwrap();
    assert_eq!(text(&mut reader, "SELECT count(*) FROM operations").unwrap(), "20000");
    replica.promote().unwrap();
    run(&mut replica.session().unwrap(), "CALL operation_insert_one()");
    replica.restart(Stop::Fast).unwrap();
    assert_eq!(text(&mut replica.session().unwrap(), "SELECT count(*) FROM operations").unwrap(), "20001");
    assert!(replica.log_contains("starting what was promoted as a primary of its own").unwrap());

    // The rows that only it has go for the word that names them, and for no other.
    replica.stop(Stop::Fast).unwrap();
    primary.start().unwrap();
    for word in ["", "1"] {
        replica.set_variable("REPLICA_RECLONE", word);
        replica.launch().unwrap();
        assert!(!replica.wait_end(SOON).unwrap(), "it started");
        let log = replica.log().unwrap();
        assert!(log.contains("it was promoted and may hold rows that the primary lacks"), "{log}");
        assert!(log.contains("with REPLICA_RECLONE=promoted it is thrown away"), "{log}");
    }
    primary.stop(Stop::Fast).unwrap();
    replica.start().unwrap();
    assert_eq!(text(&mut replica.session().unwrap(), "SELECT count(*) FROM operations").unwrap(), "20001");
    replica.stop(Stop::Fast).unwrap();
    primary.start().unwrap();
    replica.set_variable("REPLICA_RECLONE", "promoted");
    replica.start().unwrap();
    replica.wait_streaming(SOON).unwrap();
    expect_equal(&primary, &replica);
}

/// It is named by the log and left alone: the primary that it was made from comes back to it.
#[test]
fn a_replica_that_started_alone_follows_when_the_primary_is_back() {
    let mut primary = Server::primary().with_rows().start().unwrap();
    let mut replica = primary.replica().start().unwrap();
    let made = replica.cloned_at().unwrap();
    replica.stop(Stop::Fast).unwrap();
    primary.stop(Stop::Fast).unwrap();
    replica.start().unwrap();
    primary.start().unwrap();
    run(&mut primary.session().unwrap(), "CALL operation_insert_one()");
    replica.wait_streaming(SOON).unwrap();
    expect_equal(&primary, &replica);
    assert_eq!(replica.cloned_at().unwrap(), made);
}

/// The slots of those that are to follow a server are made a moment after its promotion.
#[test]
fn a_slot_that_is_about_to_be_made_is_waited_for() {
    let primary = Server::primary().with_rows().start().unwrap();
    let mut replica = primary.replica().start().unwrap();
    let made = replica.cloned_at().unwrap();
    replica.stop(Stop::Fast).unwrap();
    let mut session = primary.session().unwrap();
    run(&mut session, "SELECT pg_drop_replication_slot('replica_slot')");
    replica.launch().unwrap();
    wait_until("the first look", SOON, || match replica.log_contains("the primary has no slot for it").unwrap() {
        true => Ok(()),
        false => Err(replica.log().unwrap()),
    });
    run(&mut session, "SELECT pg_create_physical_replication_slot('replica_slot', true)");
    wait_until("the replica to stream", SOON, || {
        replica.wait_streaming(Duration::from_secs(1)).map_err(|error| error.to_string())
    });
    assert_eq!(replica.cloned_at().unwrap(), made);
}

/// The clone's list of files still names those of a database that was dropped since.
#[test]
fn a_replica_starts_without_its_primary_after_a_database_was_dropped() {
    let mut primary = Server::primary().with_rows().start().unwrap();
    let mut session = primary.session().unwrap();
    run(&mut session, "CREATE DATABASE doomed");
    let folder = text(&mut session, "SELECT 'data/base/' || oid FROM pg_database WHERE datname = 'doomed'").unwrap();
    let mut replica = primary.replica().start().unwrap();
    let made = replica.cloned_at().unwrap();
    let folder = replica.folder().join(folder);
    assert!(folder.exists());
    run(&mut session, "DROP DATABASE doomed");
    expect_equal(&primary, &replica);
    assert!(!folder.exists());
    drop(session);
    replica.stop(Stop::Fast).unwrap();
    primary.stop(Stop::Fast).unwrap();

    replica.start().unwrap();
    let rows = "SELECT count(*) FROM operations";
    assert_eq!(text(&mut replica.session().unwrap(), rows).unwrap(), "20000");
    assert_eq!(replica.cloned_at().unwrap(), made);

    // A database's folder that is there lacks nothing.
    replica.stop(Stop::Fast).unwrap();
    primary.start().unwrap();
    std::fs::remove_file(replica.folder().join("data/base/1/PG_VERSION")).unwrap();
    replica.start().unwrap();
    assert!(replica.log_contains("it is damaged (base/1/PG_VERSION is missing)").unwrap());
    replica.wait_streaming(SOON).unwrap();
    replica.stop(Stop::Fast).unwrap();
    std::fs::remove_dir_all(replica.folder().join("data/base")).unwrap();
    replica.start().unwrap();
    let log = replica.log().unwrap();
    assert_eq!(log.matches("cloning anew what is in ").count(), 2, "{log}");
    replica.wait_streaming(SOON).unwrap();
    expect_equal(&primary, &replica);
}

#[test]
fn a_changed_password_is_named_with_what_to_do() {
    let primary = Server::primary().start().unwrap();
    let mut replica = primary.replica().start().unwrap();
    replica.stop(Stop::Fast).unwrap();
    run(&mut primary.session().unwrap(), "ALTER ROLE replicator PASSWORD 'another'");
    replica.launch().unwrap();
    assert!(!replica.wait_end(SOON).unwrap(), "it started");
    let log = replica.log().unwrap();
    let said = log.lines().find(|line| line.starts_with("replica: the primary refuses us: ")).unwrap_or_default();
    assert!(said.contains("password authentication failed") && said.contains("ALTER ROLE"), "{log}");
}

/// As `docker compose stop` does, whatever the entrypoint is at.
#[test]
fn a_stop_takes_moments() {
    let moments = Duration::from_secs(5);
    let mut primary = Server::primary().with_rows().start().unwrap();
    let mut replica = primary.replica().start().unwrap();
    replica.signal_program(Stop::Fast).unwrap();
    assert!(replica.wait_end(moments).unwrap(), "the server did not end well");
    assert!(replica.log_contains("database system is shut down").unwrap());

    primary.stop(Stop::Fast).unwrap();
    let mut waiting = primary.replica().slot("waiting").prepare().unwrap();
    waiting.launch().unwrap();
    wait_until("the entrypoint to wait", SOON, || match waiting.log_contains("waiting for the primary") {
        Ok(true) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    waiting.signal_program(Stop::Fast).unwrap();
    assert!(!waiting.wait_end(moments).unwrap());

    primary.start().unwrap();
    run(
        &mut primary.session().unwrap(),
        "CALL operations_test_data('2025-08-01', '2025-11-30', 200000, 3); CHECKPOINT",
    );
    let mut cloning = primary.replica().slot("cloning").prepare().unwrap();
    cloning.launch().unwrap();
    let half = cloning.folder().join("data.clone/base");
    wait_until("the clone to begin", SOON, || if half.exists() { Ok(()) } else { Err("no folder".to_owned()) });
    cloning.signal_program(Stop::Fast).unwrap();
    assert!(!cloning.wait_end(moments).unwrap());
    let left = "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'cloning'";
    wait_for_text(&mut primary.session().unwrap(), "the clone to end", left, "0");
}
