//! Somebody who looks at the page of a demo.

use std::path::PathBuf;
use std::time::Duration;

use operations_demo_checks::User;
use operations_lab::checks::{Outcome, Subject};
use operations_lab::tools::State;

use crate::browser::Browser;
use crate::driver::Driver;

/// A demo, and a browser that has opened its page. The browser goes first.
pub struct Viewer {
    pub browser: Browser,
    pub user: User,
    /// Where the page is, without a slash at its end.
    pub address: String,
    /// Where screenshots are kept.
    pub pictures: PathBuf,
}

impl Subject for Viewer {
    fn prepare(group: &str, patterns: &[String]) -> Outcome<Self> {
        let user = User::prepare(group, patterns)?;
        let driver = Driver::start(&user.make_folder("browser")?)?;
        let pictures = State::find()?.folder.join("page");
        std::fs::create_dir_all(&pictures)?;
        user.succeeds(&["demo"])?;
        let address = format!("http://127.0.0.1:{}", user.lab_port);
        let browser = Browser::open(driver, &format!("{address}/"))?;
        // A page that is loaded anew forgets this.
        browser.ask("window.isTheFirst = true")?;
        let viewer = Self { browser, user, address, pictures };
        viewer.has_verdict("ok", 20)?;
        Ok(viewer)
    }

    fn begin(&self, check: &str) {
        self.user.begin(check);
    }

    fn evidence(&self) -> String {
        let shown = self.browser.text("return document.querySelector('.overview').innerText").unwrap_or_default();
        format!("{}\nthe page: {}", self.user.evidence(), shown.replace('\n', " | "))
    }
}

impl Viewer {
    /// Waits until the page shows a verdict.
    pub fn has_verdict(&self, verdict: &str, seconds: u64) -> Outcome {
        self.browser.waits(
            &format!("the verdict {verdict} on the page"),
            Duration::from_secs(seconds),
            &format!("return document.getElementById('verdict').dataset.verdict === '{verdict}'"),
            "return document.getElementById('verdict').innerText",
        )
    }

    /// Keeps what the window shows.
    pub fn picture(&self, name: &str) -> Outcome {
        self.browser.picture(&self.pictures.join(format!("{name}.png")))
    }
}
