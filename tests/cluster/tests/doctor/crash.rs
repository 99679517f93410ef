//! A crash that is over before anybody looks.

use operations_cluster::expect::wait_for_text;
use operations_cluster::{Server, value};
use operations_lab::doctor::Severity::Info;
use operations_lab::doctor::{Options, examine};
use operations_lab::role::Role;

use crate::common::{sees, target};

#[test]
fn a_killed_session_leaves_a_trace() {
    let server = Server::primary().with_rows().setting("fsync", "on").start().unwrap();
    let targets = [target(Role::Primary, &server)];
    let mut session = server.session().unwrap();
    let up = "SELECT clock_timestamp() > pg_postmaster_start_time() + interval '11 s'";
    wait_for_text(&mut session, "the server to be up for 11 s", up, "t");
    let found = |code: &str| examine(&targets, &Options::default()).findings.iter().any(|finding| finding.code == code);
    assert!(!found("crash_recovered"));

    let victim: i32 = value(&mut session, "SELECT pg_backend_pid()").unwrap();
    server.kill_process(victim).unwrap();
    let finding = sees(&targets, "crash_recovered", Info, &server);
    assert!(finding.evidence.contains("all sessions were ended"), "{finding:?}");
}
