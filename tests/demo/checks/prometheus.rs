//! The real Prometheus, asked about the demo.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use operations_lab::http;
use operations_lab::monitoring::{Pace, rules};
use operations_lab::server::ports::free_port;
use operations_lab::tools::{State, need_unpacked};
use serde_json::Value;

use crate::user::{Outcome, Running, Stop, User, require};

/// The programs of Prometheus; skipped where they can neither be found nor got.
pub fn programs() -> Outcome<PathBuf> {
    let state = State::find()?;
    need_unpacked(&state, "prometheus", "prometheus").map_err(|error| Stop::Skipped(error.to_string()))
}

/// What a server of this machine answers to a request.
pub fn get(port: u16, path: &str) -> Outcome<String> {
    let answer = http::ask(port, "GET", path, "127.0.0.1", Duration::from_secs(10))?;
    require(answer.status == 200, format!("{path}: {answer:?}"))?;
    Ok(answer.body)
}

/// A Prometheus that looks every second, and holds no alert back.
pub struct Prometheus {
    port: u16,
    _process: Running,
}

impl Prometheus {
    /// Starts it, as the servers' user; it scrapes the page of the demo.
    pub fn start(user: &User) -> Outcome<Self> {
        let folder = user.path("prometheus");
        let owner = &user.owner;
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\nscrape_configs:\n  \
             - job_name: operations_lab\n    honor_labels: true\n    static_configs:\n      - targets: ['127.0.0.1:{}']\n",
            user.lab_port
        );
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir(&folder)?;
        std::os::unix::fs::chown(&folder, Some(owner.uid()), Some(owner.gid()))?;
        owner.write(&folder.join("prometheus.yml"), config.as_bytes(), false)?;
        owner.write(&folder.join("rules.yml"), rules(Pace::AtOnce).as_bytes(), false)?;
        let port = free_port(&[user.primary_port, user.replica_port, user.lab_port])?;
        let mut command = Command::new(programs()?.join("prometheus"));
        command.arg(format!("--config.file={}", folder.join("prometheus.yml").display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let log = std::fs::File::create(user.path("prometheus.log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = Running(owner.runs(&mut command).spawn()?);
        let prometheus = Self { port, _process: process };
        user.becomes("ready", 60, || {
            get(port, "/-/ready")?;
            Ok("ready".to_owned())
        })?;
        Ok(prometheus)
    }

    /// The samples of an expression at this moment.
    pub fn query(&self, expression: &str) -> Outcome<Vec<Value>> {
        let answer = get(self.port, &format!("/api/v1/query?query={}", encoded(expression)))?;
        let answer: Value = serde_json::from_str(&answer)?;
        let result = answer["data"]["result"].as_array().cloned();
        Ok(result.ok_or(format!("{expression}: {answer}"))?)
    }

    /// What is wrong with the rules, and which alerts are not silent: `name{label=value}`, of those that fire.
    pub fn firing(&self) -> Outcome<Vec<String>> {
        let answer: Value = serde_json::from_str(&get(self.port, "/api/v1/rules?type=alert")?)?;
        let rules = answer["data"]["groups"][0]["rules"].as_array().cloned().ok_or(answer.to_string())?;
        let mut firing = Vec::new();
        for rule in rules {
            require(rule["health"] != "err", format!("{}: {}", rule["name"], rule["lastError"]))?;
            let alerts = rule["alerts"].as_array().cloned().unwrap_or_default();
            for alert in alerts.iter().filter(|alert| alert["state"] == "firing") {
                let labels = &alert["labels"];
                let of = ["server", "job", "slot", "collector"].iter().filter_map(|name| labels[*name].as_str());
                firing.push(
                    std::iter::once(rule["name"].as_str().unwrap_or_default()).chain(of).collect::<Vec<_>>().join(" "),
                );
            }
        }
        Ok(firing)
    }

    /// Waits until all of these alerts fire.
    pub fn fires(&self, user: &User, seconds: u64, wanted: &[&str]) -> Outcome {
        user.becomes("they fire", seconds, || {
            let firing = self.firing()?;
            let missing: Vec<_> =
                wanted.iter().filter(|wanted| !firing.iter().any(|found| found.starts_with(**wanted))).collect();
            Ok(if missing.is_empty() {
                "they fire".to_owned()
            } else {
                format!("{missing:?} do not fire, but {firing:?}")
            })
        })
    }

    /// Waits until no alert fires.
    pub fn is_silent(&self, user: &User, seconds: u64) -> Outcome {
        user.becomes("", seconds, || Ok(self.firing()?.join(", ")))
    }
}

/// An expression as a part of a URL.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
