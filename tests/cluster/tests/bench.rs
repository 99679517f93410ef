//! The benchmark runs: every line that it promises is there, with figures. What the figures are is not for a test to say.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::process::Command;

#[test]
fn the_quick_benchmark_prints_its_table() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench")).args(["--quick", "--rounds", "1"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let progress = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}{progress}");
    for (what, lines) in [
        ("plpgsql loop", 1),
        ("INSERT .. SELECT", 1),
        ("COPY ", 2),
        ("operations_test_data on a table of another kind", 1),
        ("operations_test_data, 1 worker,", 2),
        ("operations_test_data, 2 workers,", 2),
        ("operation_insert_one, 1 client,", 2),
        ("operation_insert_one, 4 clients,", 2),
        ("single-row updates", 2),
        ("processor time of the server for each of them", 2),
        ("processor time, fold and refresh ", 4),
        ("loading ", 1),
        ("longest read of ", 2),
        ("change_status, flip", 2),
        ("change_status, whole", 4),
        ("flip of ", 2),
        ("fold and refresh ", 4),
        ("operations inserted, ", 3),
        ("processor time of the primary, ", 3),
        ("WAL senders of the primary, ", 3),
    ] {
        let found: Vec<_> = text.lines().filter(|line| line.starts_with(what)).collect();
        assert_eq!(found.len(), lines, "{what}: {text}");
        for line in found {
            assert!(!line.contains("NaN") && !line.contains("inf"), "{line}");
        }
    }
    match operations_cluster::missing_citus().unwrap() {
        Some(why) => assert!(text.contains(&format!("citus: skipped: {why}")), "{text}"),
        None => {
            for (what, lines) in [("operations_test_data", 4), ("change_status", 2), ("client_type_sum_live", 2)] {
                let is_of = |line: &&str| line.starts_with("Citus with ") && line.contains(&format!(", {what}, "));
                assert_eq!(text.lines().filter(is_of).count(), lines, "{what}: {text}");
            }
        }
    }
    assert!(
        text.starts_with("PostgreSQL ") && text.contains(" cores; effective_cache_size = 4GB, fsync = on,"),
        "{text}"
    );
}

#[test]
fn a_wrong_option_is_refused_with_the_usage() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench")).arg("--slow").output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("--slow") && text.contains("usage: bench"), "{text}");
    let output = Command::new(env!("CARGO_BIN_EXE_bench")).arg("--help").output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("usage: bench"));
}
