//! A browser without a window, asked by scripts; what it requested and what its console said is kept.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use operations_lab::checks::{Outcome, Stop, wait};
use serde_json::{Value, json};
use thirtyfour::{ChromiumLikeCapabilities, DesiredCapabilities, LoggingPrefsLogLevel, WebDriver};
use tokio::runtime::Runtime;

use crate::driver::Driver;

/// The browser, with one page open.
pub struct Browser {
    runtime: Runtime,
    page: Option<WebDriver>,
    requests: RefCell<Vec<String>>,
    console: RefCell<Vec<String>>,
    _driver: Driver,
}

impl Browser {
    /// Starts a browser of a driver, and opens an address.
    pub fn open(driver: Driver, address: &str) -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut wanted = DesiredCapabilities::chrome();
        for option in ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--force-device-scale-factor=1"] {
            wanted.add_arg(option)?;
        }
        // Chromium's sandbox refuses root, who runs the checks in CI. What it opens is our own page.
        if rustix::process::geteuid().is_root() {
            wanted.add_arg("--no-sandbox")?;
        }
        wanted.set_logging_prefs("browser", LoggingPrefsLogLevel::All)?;
        wanted.set_logging_prefs("performance", LoggingPrefsLogLevel::All)?;
        let page = runtime.block_on(async { WebDriver::new(driver.address.as_str(), wanted).await })?;
        let (requests, console) = Default::default();
        let browser = Self { runtime, page: Some(page), requests, console, _driver: driver };
        browser.resize(1600, 1000)?;
        // What the browser opened before is not of the page.
        browser.read_logs()?;
        browser.requests.borrow_mut().clear();
        browser.runtime.block_on(browser.page()?.goto(address))?;
        Ok(browser)
    }

    fn page(&self) -> Outcome<&WebDriver> {
        self.page.as_ref().ok_or_else(|| Stop::Failed("the browser is closed".to_owned()))
    }

    /// What a script returns.
    pub fn ask(&self, script: &str) -> Outcome<Value> {
        let answer =
            self.runtime.block_on(async { self.page()?.execute(script, Vec::new()).await.map_err(Stop::from) })?;
        Ok(answer.json().clone())
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
        self.runtime.block_on(async { self.page()?.cdp().send_raw(method, parameters).await.map_err(Stop::from) })
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
        let png = self.runtime.block_on(async { self.page()?.screenshot_as_png().await.map_err(Stop::from) })?;
        Ok(std::fs::write(file, png)?)
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
        let (performance, console) = self.runtime.block_on(async {
            let page = self.page()?;
            Ok::<_, Stop>((page.get_log("performance").await?, page.browser_log().await?))
        })?;
        for entry in performance {
            let event: Value = serde_json::from_str(&entry.message)?;
            let message = &event["message"];
            let address = match message["method"].as_str() {
                Some("Network.requestWillBeSent") => &message["params"]["request"]["url"],
                Some("Network.webSocketCreated") => &message["params"]["url"],
                _ => continue,
            };
            self.requests.borrow_mut().push(address.as_str().unwrap_or("an address that is no text").to_owned());
        }
        let lines = console.into_iter().filter(|entry| entry.level == "SEVERE" || entry.level == "WARNING");
        self.console.borrow_mut().extend(lines.map(|entry| format!("{}: {}", entry.level, entry.message)));
        Ok(())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(page) = self.page.take()
            && let Err(error) = self.runtime.block_on(page.quit())
        {
            eprintln!("closing the browser: {error}");
        }
    }
}
