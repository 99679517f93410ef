//! Chromium's WebDriver: a program that ends with the checks, and takes its browser along.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use operations_lab::checks::{Outcome, Stop};
use operations_lab::tools::which;
use rustix::process::{Pid, Signal, kill_process_group};

/// What it says once it listens, with its port.
const READY: &str = "was started successfully on port ";

/// The running chromedriver.
pub struct Driver {
    child: Child,
    /// Where it takes commands.
    pub address: String,
}

impl Driver {
    /// Starts it on a port that it chooses itself. What browser and driver write goes into a folder.
    pub fn start(folder: &Path) -> Outcome<Self> {
        let missing = |program| {
            Stop::Skipped(format!("there is no {program} (Debian: apt-get install -y chromium chromium-driver)"))
        };
        let program = which("chromedriver").ok_or_else(|| missing("chromedriver"))?;
        which("chromium").ok_or_else(|| missing("chromium"))?;
        let mut command = Command::new(program);
        command.arg("--port=0").env("TMPDIR", folder).env("HOME", folder).env("XDG_CONFIG_HOME", folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn()?;
        let output = child.stdout.take().ok_or("chromedriver has no output")?;
        let mut driver = Self { child, address: String::new() };
        for line in BufReader::new(output).lines() {
            let line = line?;
            if let Some((_, port)) = line.split_once(READY) {
                driver.address = format!("http://127.0.0.1:{}", port.trim_end_matches('.'));
                return Ok(driver);
            }
        }
        Err(Stop::Failed("chromedriver ended without saying that it listens".to_owned()))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The browser is in its group. It may have ended by itself.
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}
