//! The library itself: servers start, stop, crash and come back.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use operations_cluster::expect::SOON;
use operations_cluster::{DATABASE, Server, Stop, text, value, wait_until};

#[test]
fn a_primary_survives_a_killed_postmaster() {
    let mut server = Server::primary().start().unwrap();
    let mut session = server.session().unwrap();
    session.batch_execute("CREATE TABLE kept (id int); INSERT INTO kept SELECT generate_series(1, 10)").unwrap();
    server.kill_postmaster().unwrap();
    assert!(!server.is_running());
    assert!(server.connect(DATABASE).is_err());
    server.start().unwrap();
    let mut session = server.session().unwrap();
    assert_eq!(value::<i64>(&mut session, "SELECT count(*) FROM kept").unwrap(), 10);
    assert!(server.log_contains("database system was not properly shut down").unwrap());
    server.restart(Stop::Fast).unwrap();
    let output = server.psql(DATABASE, "SELECT 'a', sum(id) FROM kept").unwrap();
    assert_eq!(output.success().unwrap(), "a|55\n");
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let error =
        Server::primary().setting("shared_preload_libraries", "no_such_library").start().unwrap_err().to_string();
    assert!(error.contains("no_such_library"), "{error}");
}

#[test]
fn a_stopped_server_leaves_nothing_behind() {
    let server = Server::primary().start().unwrap();
    let folder = server.folder().to_owned();
    assert_eq!(text(&mut server.session().unwrap(), "SELECT 1, NULL").unwrap(), "1|NULL");
    drop(server);
    assert!(!folder.exists());
}

#[test]
fn what_a_killed_run_left_behind_is_removed_by_the_next() {
    let server = Server::primary().start().unwrap();
    let folder = server.folder().to_owned();
    let pid = std::fs::read_to_string(server.data().join("postmaster.pid")).unwrap();
    let cwd = format!("/proc/{}/cwd", pid.lines().next().unwrap());
    // Another run does not touch what is in use.
    run_another();
    assert!(server.is_running() && folder.exists());
    // Its lock gone, the folder is nobody's.
    server.forget();
    run_another();
    wait_until("the left-over server to be gone", SOON, || match (folder.exists(), std::fs::read_link(&cwd)) {
        (false, Err(_)) => Ok(()),
        state => Err(format!("folder and process: {state:?}")),
    });
}

/// Runs a test of this program in a process of its own.
fn run_another() {
    let program = std::env::current_exe().unwrap();
    let status = std::process::Command::new(program)
        .args(["--exact", "a_server_that_cannot_start_says_why", "--test-threads=1"])
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}
