//! Prometheus on the running demo: its tools find nothing wrong, each panel and alert has samples, and alerts fire and cease.

use std::io::Write;
use std::process::{Command, Stdio};

use operations_lab::checkout;
use operations_lab::metrics::{METRICS, PREFIX};
use operations_lab::monitoring::panels;
use operations_lab::server::{DataDirectory, Stop};

use crate::prometheus::{Prometheus, get, programs};
use crate::receipt::{data, roles};
use crate::user::{Outcome, User, require};

fn promtool(user: &User, arguments: &[&str]) -> Outcome {
    let mut command = Command::new(programs()?.join("promtool"));
    command.args(arguments).current_dir(checkout().join("docker/monitoring"));
    require(user.run(command)?, format!("promtool {} found something", arguments.join(" ")))
}

pub fn promtool_finds_nothing(user: &User) -> Outcome {
    promtool(user, &["check", "config", "prometheus.yml"])?;
    promtool(user, &["check", "rules", "rules.yml"])?;
    promtool(user, &["test", "rules", "rules_test.yml"])
}

/// promtool reads the older format, in which a metric is declared by its whole name, and info is a gauge.
pub fn promtool_finds_nothing_in_the_metrics(user: &User) -> Outcome {
    user.becomes("metrics", 30, || {
        let metrics = get(user.lab_port, "/metrics")?;
        Ok(if metrics.contains("operations_lab_job_active{") { "metrics".to_owned() } else { metrics })
    })?;
    let mut text = String::new();
    for line in get(user.lab_port, "/metrics")?.lines() {
        match line.splitn(4, ' ').collect::<Vec<_>>().as_slice() {
            ["#", "UNIT" | "EOF", ..] => {}
            ["#", what, name, rest] => {
                let rest = if *what == "TYPE" && *rest == "info" { "gauge" } else { rest };
                text += &format!("# {what} {PREFIX}{} {rest}\n", whole(name));
            }
            _ => text += &format!("{line}\n"),
        }
    }
    let mut child = Command::new(programs()?.join("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(text.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    require(output.status.success() && said.trim().is_empty(), said)
}

/// The name of a metric, of that of its family.
fn whole(family: &str) -> &str {
    let family = family.strip_prefix(PREFIX).unwrap_or(family);
    METRICS.iter().find(|metric| metric.family() == family).map_or(family, |metric| metric.name)
}

pub fn each_panel_and_alert_has_samples(user: &User) -> Outcome {
    let prometheus = Prometheus::start(user)?;
    for (title, expression) in panels("30s") {
        user.becomes("samples", 60, || {
            let samples = prometheus.query(&expression)?;
            Ok(if samples.is_empty() { format!("{title}: no samples of {expression}") } else { "samples".to_owned() })
        })?;
    }
    prometheus.is_silent(user, 60)
}

/// The replica's server stops, its slot is lost, it is cloned anew; replay is paused; a job fails; sums differ; nobody tells.
pub fn alerts_fire_and_cease(user: &User) -> Outcome {
    let prometheus = Prometheus::start(user)?;
    prometheus.is_silent(user, 90)?;
    let (primary, replica) = roles(user)?;

    user.on_replica("SELECT pg_wal_replay_pause();")?;
    prometheus.fires(user, 30, &[&format!("OperationsReplayPaused {replica}"), "OperationsBroken"])?;
    user.on_replica("SELECT pg_wal_replay_resume();")?;
    prometheus.is_silent(user, 60)?;

    user.on_primary(
        "ALTER TABLE operations ADD CONSTRAINT nothing_new CHECK (operation_date < '2000-01-01') NOT VALID;",
    )?;
    prometheus.fires(user, 60, &[&format!("OperationsJobFailing {primary} operation_insert_one")])?;
    user.on_primary("ALTER TABLE operations DROP CONSTRAINT nothing_new;")?;
    prometheus.is_silent(user, 120)?;

    user.on_primary("UPDATE operations_rollup_total SET amount = amount + 1 WHERE client_id = (SELECT min(client_id) FROM operations_rollup_total);")?;
    prometheus.fires(user, 60, &["OperationsSumsDiffer"])?;
    user.on_primary("SELECT count(*) FROM operations_verify_rollup(true);")?;
    prometheus.is_silent(user, 90)?;

    user.session("psql", "ALTER SYSTEM SET max_slot_wal_keep_size = '16MB';\nALTER SYSTEM SET wal_keep_size = 0;\nSELECT pg_reload_conf();")?;
    stop(&data(user, replica))?;
    prometheus.fires(
        user,
        30,
        &[
            &format!("OperationsServerDown {replica}"),
            &format!("OperationsCollectorFailing {replica}"),
            "OperationsBroken",
        ],
    )?;
    user.session(
        "psql",
        "CALL operations_test_data('2025-08-01', '2025-08-31', 100000, 1);\nSELECT pg_switch_wal();\nCHECKPOINT;",
    )?;
    prometheus.fires(user, 60, &[&format!("OperationsSlotLost {primary}")])?;
    user.session(
        "psql",
        "ALTER SYSTEM RESET max_slot_wal_keep_size;\nALTER SYSTEM RESET wal_keep_size;\nSELECT pg_reload_conf();",
    )?;
    user.succeeds(&["demo"])?;
    prometheus.is_silent(user, 120)?;

    user.succeeds(&["stop"])?;
    prometheus.fires(user, 30, &["OperationsLabSilent", "OperationsNoWriter", "OperationsServersUnwatched"])?;
    user.succeeds(&["demo"])?;
    prometheus.is_silent(user, 120)
}

fn stop(server: &DataDirectory) -> Outcome {
    require(server.stop(Stop::Fast, operations_lab::server::LIMIT)?, "it did not run")
}
