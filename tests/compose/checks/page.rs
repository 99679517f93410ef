//! The live page and the metrics of the service `lab`, asked through its published port.

use std::time::Duration;

use operations_lab::checks::{Outcome, require, same};
use operations_lab::http::{self, Answer};

use crate::demo::Demo;
use crate::programs::wait;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// The answer to a request for a path, made to a server of this name.
fn get(demo: &Demo, host: &str, path: &str) -> Outcome<Answer> {
    Ok(http::ask(demo.lab_port, "GET", path, host, ANSWER)?)
}

/// Which server has which role, as the page has it: `postgres_primary primary`, for one.
pub fn roles(demo: &Demo) -> Outcome<Vec<String>> {
    let state: serde_json::Value = serde_json::from_str(&get(demo, "127.0.0.1", "/api/state")?.body)?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("null").to_owned();
    let servers = state["servers"].as_array().cloned().unwrap_or_default();
    Ok(servers.iter().map(|server| format!("{} {}", text(&server["name"]), text(&server["role"]))).collect())
}

/// The page comes to show both servers.
pub fn shows_both_servers(demo: &Demo) -> Outcome {
    wait("the page to show both servers", 60, || {
        let wanted = ["postgres_primary primary".to_owned(), "postgres_replica_1 replica".to_owned()];
        same("servers", wanted.as_slice(), roles(demo)?.as_slice())
    })
}

pub fn page_and_metrics_are_served(demo: &Demo) -> Outcome {
    demo.need()?;
    shows_both_servers(demo)?;
    let page = get(demo, "127.0.0.1", "/")?;
    require(page.status == 200 && page.body.contains("<title>Operations lab</title>"), page.body)?;
    // As Prometheus asks, by the name of the service; and as somebody else's page would.
    for server in ["postgres_primary", "postgres_replica_1"] {
        let metrics = get(demo, "lab:8080", "/metrics")?.body;
        require(metrics.contains(&format!("server=\"{server}\"")), format!("no metric is of {server}: {metrics}"))?;
    }
    let foreign = get(demo, "evil.example", "/metrics")?;
    require(foreign.status == 421, foreign.body)
}
