//! A browser without a window, asked by scripts; what it requested and what its console said is kept.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use operations_lab::checks::{Outcome, Stop, wait};
use serde_json::{Value, json};

use crate::driver::Driver;
use crate::session::Session;

/// The browser, with one page open.
pub struct Browser {
    session: Session,
    requests: RefCell<Vec<String>>,
    console: RefCell<Vec<String>>,
    /// The last one: the session needs it to close the browser.
    _driver: Driver,
}

impl Browser {
    /// Starts a browser of a driver, and opens an address.
    pub fn open(driver: Driver, address: &str) -> Outcome<Self> {
        let mut options =
            vec!["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--force-device-scale-factor=1"];
        // Chromium's sandbox refuses root, who runs the checks in CI. What it opens is our own page.
        if rustix::process::geteuid().is_root() {
            options.push("--no-sandbox");
        }
        let wanted = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "args": options },
            "timeouts": { "script": 60_000, "pageLoad": 60_000 },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let session = Session::begin(&driver.address, &wanted)?;
        let (requests, console) = Default::default();
        let browser = Self { session, requests, console, _driver: driver };
        browser.resize(1600, 1000)?;
        // What the browser opened before is not of the page.
        browser.read_logs()?;
        browser.requests.borrow_mut().clear();
        browser.session.command("url", &json!({ "url": address }))?;
        Ok(browser)
    }

    /// What a script returns.
    pub fn ask(&self, script: &str) -> Outcome<Value> {
        self.session.command("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// A text of the page: what a script returns, as text.
    pub fn text(&self, script: &str) -> Outcome<String> {
        Ok(match self.ask(script)? {
            Value::String(text) => text,
            other => other.to_string(),
        })
    }

    /// Waits until a script returns true, which takes `limit` at most on a machine that does nothing else; fails with what another one returns.
    pub fn waits(&self, what: &str, limit: Duration, condition: &str, otherwise: &str) -> Outcome {
        wait(what, limit, || match self.ask(condition)? {
            Value::Bool(true) => Ok(()),
            _ => Err(Stop::Failed(self.text(otherwise).unwrap_or_else(|_| "nothing could be asked".to_owned()))),
        })
    }

    /// A command of Chromium's own protocol.
    pub fn send(&self, method: &str, parameters: Value) -> Outcome<Value> {
        self.session.command("goog/cdp/execute", &json!({ "cmd": method, "params": parameters }))
    }

    /// Gives the window a size.
    pub fn resize(&self, width: u32, height: u32) -> Outcome {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.send("Emulation.setDeviceMetricsOverride", metrics).map(drop)
    }

    /// `light` or `dark`.
    pub fn prefer(&self, scheme: &str) -> Outcome {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.send("Emulation.setEmulatedMedia", features).map(drop)
    }

    /// Moves the mouse to a point of the window.
    pub fn point(&self, x: f64, y: f64) -> Outcome {
        self.send("Input.dispatchMouseEvent", json!({ "type": "mouseMoved", "x": x, "y": y })).map(drop)
    }

    /// Keeps what the window shows.
    pub fn picture(&self, file: &Path) -> Outcome {
        let answer = self.session.ask("screenshot")?;
        let png = answer.as_str().ok_or("a screenshot that is no text")?;
        Ok(std::fs::write(file, BASE64_STANDARD.decode(png)?)?)
    }

    /// The addresses that were asked since the page was opened.
    pub fn requests(&self) -> Outcome<Vec<String>> {
        self.read_logs()?;
        Ok(self.requests.borrow().clone())
    }

    /// Warnings and errors of the console.
    pub fn console(&self) -> Outcome<Vec<String>> {
        self.read_logs()?;
        Ok(self.console.borrow().clone())
    }

    /// Forgets what the console said of a server that was away on purpose.
    pub fn forgive_refused_connections(&self) -> Outcome {
        self.read_logs()?;
        self.console.borrow_mut().retain(|line| !line.contains("net::ERR_"));
        Ok(())
    }

    /// The driver gives each entry once.
    fn read_logs(&self) -> Outcome {
        for entry in self.log("performance")? {
            let event: Value = serde_json::from_str(entry["message"].as_str().unwrap_or_default())?;
            let message = &event["message"];
            let address = match message["method"].as_str() {
                Some("Network.requestWillBeSent") => &message["params"]["request"]["url"],
                Some("Network.webSocketCreated") => &message["params"]["url"],
                _ => continue,
            };
            self.requests.borrow_mut().push(address.as_str().unwrap_or("an address that is no text").to_owned());
        }
        for entry in self.log("browser")? {
            let level = entry["level"].as_str().ok_or_else(|| format!("an entry without a level: {entry}"))?;
            if ["SEVERE", "WARNING"].contains(&level) {
                let message = entry["message"].as_str().unwrap_or("a message that is no text");
                self.console.borrow_mut().push(format!("{level}: {message}"));
            }
        }
        Ok(())
    }

    fn log(&self, kind: &str) -> Outcome<Vec<Value>> {
        match self.session.command("se/log", &json!({ "type": kind }))? {
            Value::Array(entries) => Ok(entries),
            other => Err(Stop::Failed(format!("the browser's log is no list: {other}"))),
        }
    }
}
