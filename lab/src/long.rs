//! Programs that may run for long: whoever waits for them is told how far they are.

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use crate::error::{Context, Error};
use crate::say::say;

/// How often it is said how far a program is.
const EVERY: Duration = Duration::from_secs(5);

/// Waits for the end of a program, and says every few seconds for how long it has run and what `progress` knows.
pub(crate) fn wait(mut child: Child, indent: &str, progress: impl Fn() -> Option<String>) -> Result<ExitStatus, Error> {
    let start = Instant::now();
    let (mut reported, mut pause) = (start, Duration::from_millis(5));
    loop {
        if let Some(status) = child.try_wait().context(|| "wait for a program".to_owned())? {
            return Ok(status);
        }
        if reported.elapsed() >= EVERY {
            let far = progress().map_or_else(String::new, |far| format!(": {far}"));
            say(&format!("{indent}{} s{far}", start.elapsed().as_secs()));
            reported = Instant::now();
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}
