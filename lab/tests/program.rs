//! The program as a user calls it, where no server is needed.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::net::TcpListener;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_operations-lab"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if ["PG", "POSTGRES_", "REPLICATION_"].iter().any(|prefix| name.starts_with(prefix))
            || ["DEMO_DIR", "STATE_DIR", "PRIMARY_PORT", "REPLICA_PORT", "OPERATIONS_TEST_ROWS"]
                .contains(&name.as_str())
        {
            command.env_remove(name);
        }
    }
    command
}

fn doctor(arguments: &[&str]) -> Output {
    program().arg("doctor").args(arguments).output().unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn help_names_the_commands_and_the_exit_codes() {
    let output = program().arg("--help").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    for text in [
        "demo ",
        "stop ",
        "clean ",
        "status ",
        "psql ",
        "psql-replica ",
        "doctor ",
        "receipt ",
        "serve ",
        "failover ",
        "rejoin ",
        "load ",
        "Exit codes:",
        "64  the command",
    ] {
        assert!(printed(&output).contains(text), "{text}: {}", printed(&output));
    }
    let status = program().args(["status", "--help"]).output().unwrap();
    assert!(printed(&status).contains("3   the demo is stopped, or there is none"), "{}", printed(&status));
}

#[test]
fn without_a_demo_each_command_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let demo = folder.path().join("demo");
    for (command, code, text) in [
        ("status", 3, "There is no demo yet (make demo makes it)\n"),
        ("stop", 0, "The demo is not running\n"),
        ("clean", 0, "The demo is not running\nThere is no demo data\n"),
        ("failover", 1, "error: the replica is not running: make demo starts it\n"),
        ("rejoin", 1, "error: the primary is not running: make demo starts it\n"),
        ("load", 1, "error: the primary is not running: make demo starts it\n"),
        ("psql", 1, "error: the primary is not running: make demo starts it\n"),
        ("psql-replica", 1, "error: the replica is not running: make demo starts it\n"),
    ] {
        let output = program().arg(command).env("DEMO_DIR", &demo).output().unwrap();
        assert_eq!((output.status.code(), printed(&output).as_str()), (Some(code), text), "{command}");
    }
    assert!(!demo.exists());
    // Set and empty is not set.
    let output = program().arg("status").env("DEMO_DIR", "").env("STATE_DIR", folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", printed(&output));
}

#[test]
fn what_cannot_be_started_is_one_line_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let demo = folder.path().join("demo");
    std::fs::create_dir(&demo).unwrap();
    std::fs::write(demo.join("file"), "").unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let output = program().args(["demo", "--demo"]).arg(&demo).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let expected =
        format!("error: DEMO_DIR={} holds files but no demo: name a new or an empty folder\n", demo.display());
    assert_eq!(printed(&output), expected);
}

#[test]
fn a_number_that_is_none_is_one_line_that_says_what_would_do() {
    let whole = |least: u32, most: u32| format!("give a whole number from {least} to {most}\n");
    for (arguments, said, todo) in [
        (["load", "--rate=abc", ""], "--rate (RATE=) abc", whole(1, 100_000)),
        (["load", "--rate=0", ""], "--rate (RATE=) 0", whole(1, 100_000)),
        (["load", "--rate=5.5", ""], "--rate (RATE=) 5.5", whole(1, 100_000)),
        (["load", "--seconds", "20s"], "--seconds (SECONDS=) 20s", whole(1, 86_400)),
        (["load", "--profile", "night"], "--profile (PROFILE=) night", "give day\n".to_owned()),
        (["drill", "replay-paused", "--hold=x"], "--hold x", whole(0, 3600)),
        (["drills", "--patience", "1000"], "--patience 1000", whole(1, 100)),
        (["serve", "--port", "80x"], "--port 80x", whole(1, 65_535)),
        (["test-servers", "--replicas", "+1"], "--replicas +1", whole(0, 10)),
    ] {
        let output = program().args(arguments.iter().filter(|one| !one.is_empty())).output().unwrap();
        assert_eq!((output.status.code(), printed(&output)), (Some(64), format!("error: {said}: {todo}")));
    }
    let since = program().args(["receipt", "--since", "x"]).output().unwrap();
    let wanted = "error: --since x: give an age such as 90s, 10m or 2h, or the number of a row\n";
    assert_eq!((since.status.code(), printed(&since).as_str()), (Some(64), wanted));
    for arguments in [vec!["load", "--minutes", "1"], vec!["load", "--minutes", "1", "--seconds", "1"]] {
        let output = program().args(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{}", printed(&output));
        assert!(printed(&output).starts_with("error: --minutes (MINUTES=) is for a day: "), "{}", printed(&output));
    }
}

#[test]
fn a_taken_port_is_told_before_a_folder_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let output = program().arg("demo").env("STATE_DIR", &state).env("PRIMARY_PORT", port.to_string()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(printed(&output).starts_with(&format!("error: port {port} of 127.0.0.1, for the primary, is taken: ")));
    assert!(!state.exists());
}

#[test]
fn a_folder_that_cannot_hold_a_demo_is_told_why() {
    let long = format!("/tmp/{}/demo", "x".repeat(80));
    let output = program().args(["demo", "--demo", &long]).output().unwrap();
    let wanted = format!("error: DEMO_DIR={long} cannot be used: it is longer than 80 characters\n");
    assert_eq!((output.status.code(), printed(&output)), (Some(1), wanted));
}

#[test]
fn help_tells_the_exit_codes() {
    let output = doctor(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    for text in ["0   ok", "1   degraded", "2   broken", "3   unknown", "--replica <URL>"] {
        assert!(printed(&output).contains(text), "{}", printed(&output));
    }
}

#[test]
fn a_demo_that_is_not_there_is_unknown_with_what_to_type() {
    let output = doctor(&["--demo", "/nonexistent"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(printed(&output).starts_with("unknown: demo_stopped\n") && printed(&output).contains("> make demo\n"));
}

#[test]
fn a_server_that_is_down_is_broken_and_json_says_so() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let output = doctor(&["--json", "--primary", &format!("postgresql://me@127.0.0.1:{port}/db")]);
    assert_eq!(output.status.code(), Some(2), "{}", printed(&output));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["verdict"], "broken");
    assert_eq!(json["findings"][0]["code"], "server_down");
    assert_eq!(json["findings"][0]["severity"], "broken");
    assert_eq!(json["findings"][0]["server"], format!("primary 127.0.0.1:{port}"));
    assert_eq!(json["servers"][0]["state"], "no answer");
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let start = Instant::now();
    let output = doctor(&["--primary", &format!("postgresql://me@127.0.0.1:{port}/db")]);
    assert_eq!(output.status.code(), Some(2), "{}", printed(&output));
    assert!(printed(&output).starts_with("broken: server_silent\n"), "{}", printed(&output));
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
}

#[test]
fn a_wrong_command_line_is_no_verdict() {
    for arguments in [["--no-such", "x"], ["--primary", "postgresql://me:secret@here/db"]] {
        let output = doctor(&arguments);
        assert_eq!(output.status.code(), Some(64), "{}", printed(&output));
        assert!(!printed(&output).contains("secret"), "{}", printed(&output));
    }
}
