//! The library itself: servers start, stop, crash and come back.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use operations_cluster::{DATABASE, Server, Stop, text, value};

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
