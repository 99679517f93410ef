//! Stopped and started again, crashed, and lost: the data stay, and what is broken heals.

use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::before::majors;
use crate::user::{Outcome, User, require};

/// What takes seconds takes no longer on a machine that does much else; what hangs does.
const LATE: Duration = Duration::from_secs(90);

const ROWS: &str = "SELECT count(*) FROM operations;";

fn still_has(user: &User, rows: &str) -> Outcome {
    let found = user.on_primary(&format!("SELECT count(*) >= {rows} FROM operations;"))?;
    require(found == "t", "rows are missing")
}

pub fn stop_and_start_keeps_the_data(user: &User) -> Outcome {
    let (identifier, rows) = (user.system_identifier()?, user.on_primary(ROWS)?);
    let began = Instant::now();
    user.succeeds(&["stop"])?;
    user.printed("Stopped: replica primary")?;
    require(began.elapsed() <= LATE, format!("stopping took {:?}", began.elapsed()))?;
    user.no_server_left()?;
    user.fails(&["status"])?;
    user.printed("The demo is stopped; its data are kept (make demo starts it)")?;
    user.fails(&["receipt"])?;
    user.printed("error: the demo is stopped: make demo starts it")?;
    let began = Instant::now();
    user.succeeds(&["demo"])?;
    require(began.elapsed() <= LATE, format!("starting took {:?}", began.elapsed()))?;
    user.not_printed("cloning")?;
    require(user.system_identifier()? == identifier, "it is another primary")?;
    still_has(user, &rows)
}

pub fn wrong_password_is_said(user: &User) -> Outcome {
    user.succeeds(&["stop"])?;
    user.fails(&["demo", "POSTGRES_PASSWORD=other"])?;
    user.printed(
        "error: the demo's data were made with another password: set POSTGRES_PASSWORD to it, or run make clean first",
    )?;
    user.succeeds(&["stop"])?;
    user.fails(&["demo", "POSTGRES_USER=somebody"])?;
    user.printed(
        "error: POSTGRES_USER=somebody, but the demo's data were made with postgres: leave it, or run make clean first",
    )?;
    // Not given, it is the one that worked.
    let mut make = user.make(&["demo"]);
    make.env_remove("POSTGRES_PASSWORD").env_remove("REPLICATION_PASSWORD");
    require(user.run(make)?, "make demo failed")?;
    require(user.on_primary("SELECT 1;")? == "1", "the primary does not answer")
}

pub fn data_of_another_major_are_refused(user: &User) -> Outcome {
    let (major, other) = majors()?;
    user.fails(&["demo", &format!("PG={other}")])?;
    user.printed(format!(
        "is of PostgreSQL {major}, and this is for {other}: make demo PG={major}, or give another folder"
    ))?;
    require(user.on_primary("SELECT 1;")? == "1", "the primary does not answer")
}

/// Refused before anything is touched: the servers that run are those that ran before.
pub fn running_servers_are_left_alone(user: &User) -> Outcome {
    let pids =
        || ["primary", "replica"].map(|server| std::fs::read_to_string(user.demo(server).join("postmaster.pid")));
    let [primary, replica] = pids();
    let (primary, replica) = (primary?, replica?);
    for (setting, text) in [
        ("POSTGRES_PASSWORD=other", "error: the demo's data were made with another password"),
        ("POSTGRES_USER=somebody", "error: POSTGRES_USER=somebody, but the demo's data were made with postgres"),
    ] {
        let began = Instant::now();
        user.fails(&["demo", setting])?;
        user.printed(text)?;
        user.not_printed("Starting")?;
        require(began.elapsed() <= LATE, format!("it took {:?}", began.elapsed()))?;
    }
    let [primary_now, replica_now] = pids();
    require((primary, replica) == (primary_now?, replica_now?), "a server was started anew")?;
    user.succeeds(&["status"])
}

pub fn half_up(user: &User) -> Outcome {
    user.kill("replica")?;
    user.fails(&["status"])?;
    user.printed("replica")?;
    user.printed("Not well: ")?;
    user.succeeds(&["demo"])?;
    user.not_printed("cloning")?;
    user.not_printed("Starting the primary")?;
    user.succeeds(&["status"])
}

pub fn primary_killed(user: &User) -> Outcome {
    let rows = user.on_primary(ROWS)?;
    user.kill("primary")?;
    user.fails(&["status"])?;
    user.printed("stopped")?;
    user.succeeds(&["demo"])?;
    user.not_printed("cloning")?;
    still_has(user, &rows)?;
    user.succeeds(&["status"])
}

pub fn lost_slot_heals(user: &User) -> Outcome {
    user.session("psql", "ALTER SYSTEM SET max_slot_wal_keep_size = '16MB';\nALTER SYSTEM SET wal_keep_size = 0;\nSELECT pg_reload_conf();")?;
    let mut stop = Command::new(user.bindir.join("pg_ctl"));
    stop.args(["stop", "-s", "-m", "fast", "-D"]).arg(user.demo("replica"));
    require(user.run(stop)?, "pg_ctl stop failed")?;
    let load =
        "CALL operations_test_data('2025-08-01', '2025-08-31', 100000, 1);\nSELECT pg_switch_wal();\nCHECKPOINT;";
    user.session("psql", load)?;
    user.becomes("lost", 30, || user.on_primary("SELECT wal_status FROM pg_replication_slots;"))?;
    user.fails(&["status"])?;
    user.printed("its slot is lost")?;
    user.session(
        "psql",
        "ALTER SYSTEM RESET max_slot_wal_keep_size;\nALTER SYSTEM RESET wal_keep_size;\nSELECT pg_reload_conf();",
    )?;
    user.succeeds(&["demo"])?;
    user.printed(format!(
        "cloning anew what is in {}: the primary has given up the WAL that it lacks (its slot is lost)",
        user.demo("replica").display()
    ))?;
    user.succeeds(&["status"])
}

/// Nobody types anything until the new clone is under way; then the demo is stopped, and started again.
pub fn lost_slot_heals_by_itself(user: &User) -> Outcome {
    user.session(
        "psql",
        "ALTER SYSTEM SET max_slot_wal_keep_size = '16MB';\nALTER SYSTEM SET wal_keep_size = 0;\nSELECT pg_reload_conf();\n\
         ALTER ROLE replicator NOLOGIN;\nSELECT pg_terminate_backend(pid) FROM pg_stat_replication;",
    )?;
    let load =
        "CALL operations_test_data('2025-08-01', '2025-08-31', 100000, 1);\nSELECT pg_switch_wal();\nCHECKPOINT;";
    user.session("psql", load)?;
    user.becomes("lost", 30, || user.on_primary("SELECT wal_status FROM pg_replication_slots;"))?;
    let lost = std::time::SystemTime::now();
    user.session(
        "psql",
        "ALTER SYSTEM RESET max_slot_wal_keep_size;\nALTER SYSTEM RESET wal_keep_size;\nSELECT pg_reload_conf();\n\
         ALTER ROLE replicator LOGIN;",
    )?;
    // Nobody does anything.
    let made = || -> Outcome<_> { Ok(std::fs::metadata(user.demo("replica/PG_VERSION"))?.modified()?) };
    user.becomes("a new clone", 90, || {
        let is_new = made().is_ok_and(|made| made > lost);
        Ok(if is_new { "a new clone" } else { "the old data" }.to_owned())
    })?;
    let state = "SELECT state FROM pg_stat_replication WHERE application_name = 'operations_replica';";
    user.becomes("streaming", 60, || user.on_primary(state))?;
    user.becomes("0", 30, || Ok(if user.run(user.make(&["status"]))? { "0".to_owned() } else { user.output() }))
}

pub fn damaged_replica_is_cloned_anew(user: &User) -> Outcome {
    user.kill("replica")?;
    std::fs::remove_dir_all(user.demo("replica/base"))?;
    user.succeeds(&["demo"])?;
    user.printed("it is damaged (base/")?;
    user.succeeds(&["status"])
}

pub fn clone_that_was_cut_short(user: &User) -> Outcome {
    user.succeeds(&["stop"])?;
    let half = user.demo("replica.clone");
    std::fs::rename(user.demo("replica"), &half)?;
    std::fs::remove_dir_all(half.join("pg_wal"))?;
    user.succeeds(&["demo"])?;
    user.printed(format!("cloning 127.0.0.1:{}", user.primary_port))?;
    require(!half.exists(), "the half clone is still there")?;
    user.succeeds(&["status"])
}

pub fn promoted_replica_is_left_alone(user: &User) -> Outcome {
    user.session("psql-replica", "SELECT pg_promote();")?;
    user.fails(&["status"])?;
    user.printed("a primary of its own, on an older timeline: make rejoin")?;
    user.fails(&["demo"])?;
    user.printed("error: the replica was promoted and is a primary of its own now, so it is left alone")?;
    user.fails(&["demo", "REPLICA_RECLONE=1"])?;
    user.printed("REPLICA_RECLONE=promoted make demo throws the promoted one away")?;
    require(user.on_primary("SELECT pg_is_in_recovery();")? == "f", "it is a replica again")?;
    require(user.on_replica("SELECT pg_is_in_recovery();")? == "f", "the primary is a replica")?;
    user.succeeds(&["stop"])?;
    user.succeeds(&["demo", "REPLICA_RECLONE=promoted"])?;
    let port = user.on_primary("SELECT inet_server_port();")?;
    require(port == user.primary_port.to_string(), "the promoted one was not thrown away")?;
    user.succeeds(&["status"])
}

pub fn replica_of_another_primary(user: &User) -> Outcome {
    user.succeeds(&["stop"])?;
    std::fs::remove_dir_all(user.demo("primary"))?;
    user.fails(&["demo"])?;
    user.printed("it is a clone of another primary (system identifier ")?;
    require(user.demo("replica/PG_VERSION").exists(), "the replica's data are gone")?;
    let before = std::fs::metadata(user.demo("replica"))?.ino();
    user.succeeds(&["demo", "REPLICA_RECLONE=1"])?;
    require(std::fs::metadata(user.demo("replica"))?.ino() != before, "it was not cloned anew")?;
    user.succeeds(&["status"])
}
