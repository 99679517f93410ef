//! What shows only to those who ask both ends, or to those who are not answered.

use std::time::Duration;

use operations_cluster::expect::{SOON, run, wait_for_text};
use operations_cluster::{DATABASE, Server, Stop, value, wait_until};
use operations_lab::doctor::Severity::{Broken, Degraded, Info, Unknown};
use operations_lab::doctor::{Options, Verdict, examine};
use operations_lab::role::Role;
use operations_lab::server::{DataDirectory, Signal};
use operations_lab::target::Target;

use crate::common::{Pair, live, sees, set, target};

#[test]
fn replay_and_receiver() {
    let pair = Pair::start();
    let replica = &pair.replica;
    let mut session = replica.session().unwrap();

    run(&mut session, "SELECT pg_wal_replay_pause()");
    pair.sees("replay_paused", Broken, replica);
    run(&mut session, "SELECT pg_wal_replay_resume()");
    pair.expect_well();

    // Stopped, not ended: all that asks the replica alone still says "streaming".
    let startup = stop_process(replica, "startup");
    assert!(pair.sees("replay_stuck", Broken, replica).evidence.contains("behind"));
    startup.go_on();
    pair.expect_well();

    let receiver = stop_process(replica, "walreceiver");
    pair.sees("receiver_silent", Broken, replica);
    // The primary gives up after wal_sender_timeout; the replica's receiver still says that it streams.
    pair.sees("follows_another", Broken, replica);
    receiver.go_on();
    pair.expect_well();

    let sender = stop_process(&pair.primary, "walsender");
    pair.sees("receiver_silent", Broken, replica);
    sender.go_on();
    pair.expect_well();

    // A reader that replay must wait for: it has locked what the primary wants to drop.
    run(&mut pair.primary.session().unwrap(), "CREATE TABLE gone (n int)");
    wait_for_text(&mut session, "the table", "SELECT to_regclass('gone') IS NOT NULL", "t");
    run(&mut session, "BEGIN; SELECT * FROM gone");
    run(&mut pair.primary.session().unwrap(), "DROP TABLE gone");
    pair.sees("replay_waits", Degraded, replica);
    run(&mut session, "ROLLBACK");
    pair.expect_well();

    set(replica, "max_standby_streaming_delay", "-1");
    pair.sees("settings_contradict", Degraded, replica);
    set(replica, "max_standby_streaming_delay", "5min");
    pair.expect_well();

    set(replica, "primary_conninfo", "host=127.0.0.1 port=1");
    pair.sees("receiver_missing", Broken, replica);
    pair.sees("no_replica", Degraded, &pair.primary);
    pair.sees("slot_inactive", Degraded, &pair.primary);
    run(&mut session, "ALTER SYSTEM RESET primary_conninfo");
    run(&mut session, "SELECT pg_reload_conf()");
}

/// A replica whose replay advances all the time, and is over a minute late: by its delay, as by a disk that is too slow.
#[test]
fn a_replica_far_behind() {
    let pair = Pair::start();
    set(&pair.replica, "recovery_min_apply_delay", "62s");
    let mut session = pair.replica.session().unwrap();
    wait_until("what is replayed to be a minute old", Duration::from_secs(120), || {
        let age = "SELECT extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8";
        let age: f64 = value(&mut session, age).unwrap();
        if age > 60.0 { Ok(()) } else { Err(format!("{age} s")) }
    });
    let finding = pair.sees("replica_behind", Degraded, &pair.replica);
    assert!(finding.evidence.starts_with("the last commit replayed is 6"), "{finding:?}");
    // It goes on: what it lacks is there, and is told of.
    pair.sees("catching_up", Info, &pair.replica);
    set(&pair.replica, "recovery_min_apply_delay", "0");
    pair.expect_well();
}

#[test]
fn servers_that_do_not_answer() {
    let mut pair = Pair::start();
    let stranger = Server::primary().own_identity().start().unwrap();
    let to = |role, url: String| Target::from_url(role, &url).unwrap();
    let primary = target(Role::Primary, &pair.primary);

    sees(&[primary.clone(), target(Role::Replica, &stranger)], "other_cluster", Broken, &stranger);

    let port = pair.replica.port();
    let wrong = to(Role::Replica, format!("postgresql://postgres@127.0.0.1:{port}/{DATABASE}")).with_password("wrong");
    sees(&[primary.clone(), wrong], "password_refused", Unknown, &pair.replica);
    let nowhere = to(Role::Replica, format!("postgresql://postgres@127.0.0.1:{port}/nowhere"));
    sees(
        &[primary.clone(), nowhere.with_password(pair.replica.password())],
        "connection_refused",
        Unknown,
        &pair.replica,
    );
    let hba = pair.replica.data().join("pg_hba.conf");
    let rules = std::fs::read_to_string(&hba).unwrap();
    std::fs::write(&hba, "host all all 127.0.0.1/32 reject\n").unwrap();
    let mut session = pair.replica.session().unwrap();
    run(&mut session, "SELECT pg_reload_conf()");
    pair.sees("hba_refused", Unknown, &pair.replica);
    std::fs::write(&hba, rules).unwrap();
    run(&mut session, "SELECT pg_reload_conf()");
    pair.expect_well();
    drop(session);

    let postmaster = stop_postmaster(&pair.replica);
    pair.sees("server_silent", Broken, &pair.replica);
    postmaster.go_on();
    pair.expect_well();

    pair.replica.stop(Stop::Fast).unwrap();
    pair.sees("server_down", Broken, &pair.replica);
    pair.sees("slot_inactive", Degraded, &pair.primary);
    pair.replica.start().unwrap();
    pair.expect_well();

    set(&pair.replica, "hot_standby", "off");
    pair.replica.stop(Stop::Fast).unwrap();
    pair.replica.launch().unwrap();
    pair.sees("server_not_ready", Broken, &pair.replica);
    pair.replica.stop(Stop::Fast).unwrap();
    let settings = pair.replica.data().join("postgresql.auto.conf");
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, text.replace("hot_standby = 'off'", "")).unwrap();
    pair.replica.start().unwrap();
    pair.expect_well();

    pair.primary.kill_all().unwrap();
    pair.sees("server_down", Broken, &pair.primary);
    pair.sees("receiver_missing", Broken, &pair.replica);
    // Only a server in recovery is named, and it answers: nobody is known to take writes.
    sees(&[target(Role::Replica, &pair.replica)], "no_writable_server", Broken, &pair.replica);
    pair.primary.start().unwrap();
    pair.expect_well();
    assert_eq!(examine(&pair.targets(), &Options::default()).verdict, Verdict::Ok);

    pair.replica.promote().unwrap();
    let finding = pair.sees("two_writable_servers", Broken, &pair.replica);
    assert!(finding.evidence.contains("timeline 2"), "{finding:?}");
    // A replica of the promoted one is on a timeline that the old primary never knew.
    let second = pair.replica.replica().slot("second").start().unwrap();
    sees(&[primary, target(Role::Replica, &second)], "timeline_differs", Broken, &second);
    drop(second);
    pair.primary.stop(Stop::Fast).unwrap();
    pair.sees("roles_swapped", Degraded, &pair.replica);
}

#[test]
fn slots_and_settings_of_two() {
    let mut pair = Pair::of(
        live()
            .setting("max_slot_wal_keep_size", "64MB")
            .setting("wal_keep_size", "0")
            .setting("max_wal_size", "64MB")
            .setting("min_wal_size", "32MB"),
        &[],
    );
    let session = &mut pair.primary.session().unwrap();
    pair.replica.stop(Stop::Fast).unwrap();
    let mut nearly = false;
    wait_until("the slot to be lost", SOON, || {
        run(session, "SELECT pg_switch_wal(); CREATE TABLE IF NOT EXISTS wal (n text)");
        run(session, "INSERT INTO wal SELECT repeat('x', 200) FROM generate_series(1, 30000)");
        if !nearly
            && value::<bool>(session, "SELECT safe_wal_size < 16 * 1024 * 1024 FROM pg_replication_slots")
                .unwrap_or(false)
        {
            pair.sees("slot_nearly_lost", Degraded, &pair.primary);
            nearly = true;
        }
        run(session, "CHECKPOINT");
        match value::<String>(session, "SELECT wal_status FROM pg_replication_slots").unwrap().as_str() {
            "lost" => Ok(()),
            other => Err(other.to_owned()),
        }
    });
    assert!(nearly);
    pair.sees("slot_lost", Broken, &pair.primary);
    // The entrypoint clones it anew.
    pair.replica.start().unwrap();
    pair.expect_well();

    // A primary's new value is in the WAL at once, so that a replica which kept the old one stops replaying.
    set(&pair.primary, "max_connections", "150");
    pair.sees("restart_pending", Info, &pair.primary);
    pair.primary.restart(Stop::Fast).unwrap();
    let finding = pair.sees("standby_setting_lower", Degraded, &pair.replica);
    assert!(finding.evidence.contains("max_connections is 100, on the primary 150"), "{finding:?}");
    set(&pair.replica, "max_connections", "150");
    pair.replica.restart(Stop::Fast).unwrap();
    pair.expect_well();
}

/// A process that was stopped; it goes on when this is dropped, so that its server can be removed.
pub struct Stopped {
    server: DataDirectory,
    /// None is the postmaster itself.
    process: Option<i32>,
}

impl Stopped {
    fn new(server: &Server, process: Option<i32>) -> Self {
        let stopped = Self { server: server.directory(), process };
        stopped.signal(Signal::STOP);
        stopped
    }

    pub fn go_on(self) {}

    fn signal(&self, signal: Signal) {
        match self.process {
            Some(pid) => self.server.signal_process(pid, signal).unwrap(),
            None => assert!(!self.server.signal(signal).unwrap().is_empty()),
        }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
    }
}

pub fn stop_process(server: &Server, backend_type: &str) -> Stopped {
    let query = format!("SELECT pid FROM pg_stat_activity WHERE backend_type = '{backend_type}'");
    Stopped::new(server, Some(value(&mut server.connect("postgres").unwrap(), &query).unwrap()))
}

fn stop_postmaster(server: &Server) -> Stopped {
    Stopped::new(server, None)
}
