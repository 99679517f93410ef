//! A session with a browser: commands as W3C's WebDriver defines them, and chromedriver's own, which are JSON over HTTP.

use std::time::Duration;

use operations_lab::checks::{Outcome, Stop};
use serde_json::{Value, json};
use ureq::Agent;

/// How long a command may take: a page is opened, and pictures are made, beside other tests.
const LIMIT: Duration = Duration::from_secs(120);

const JSON: &str = "application/json; charset=utf-8";

/// The session; the browser is closed with it.
pub struct Session {
    agent: Agent,
    address: String,
}

impl Session {
    /// Has a driver start a browser with these capabilities.
    pub fn begin(driver: &str, capabilities: &Value) -> Outcome<Self> {
        // What went wrong is in the body of the answer.
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(LIMIT)).proxy(None);
        let agent = Agent::from(config.build());
        let wanted = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let begun = value(agent.post(format!("{driver}/session")).content_type(JSON).send(wanted.to_string()))?;
        let id = begun["sessionId"].as_str().ok_or_else(|| format!("a session without an id: {begun}"))?;
        Ok(Self { address: format!("{driver}/session/{id}"), agent })
    }

    /// Sends a command with its parameters; returns its value.
    pub fn command(&self, name: &str, parameters: &Value) -> Outcome<Value> {
        let command = self.agent.post(format!("{}/{name}", self.address)).content_type(JSON);
        value(command.send(parameters.to_string()))
    }

    /// Asks for something.
    pub fn ask(&self, name: &str) -> Outcome<Value> {
        value(self.agent.get(format!("{}/{name}", self.address)).call())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Err(Stop::Failed(why) | Stop::Skipped(why)) = value(self.agent.delete(&self.address).call()) {
            eprintln!("closing the browser: {why}");
        }
    }
}

/// The value of an answer, or the error that it tells.
fn value(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Outcome<Value> {
    let mut answer = answer?;
    // ureq reads 10 MB by default; a screenshot may be larger.
    let mut body: Value = serde_json::from_str(&answer.body_mut().with_config().limit(100 << 20).read_to_string()?)?;
    let value = body["value"].take();
    if answer.status().is_success() {
        Ok(value)
    } else {
        Err(Stop::Failed(format!("{}: {}", value["error"], value["message"])))
    }
}
