//! Programs that may run for long: whoever waits for them is told how far they are.

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use crate::error::{Context, Error};
use crate::say::warn;

/// How often it is said how far a program is.
const EVERY: Duration = Duration::from_secs(5);

/// Waits for the end of a program, and says every few seconds for how long it has run and what `progress` knows.
pub(crate) fn wait(mut child: Child, indent: &str, progress: impl Fn() -> Option<String>) -> Result<ExitStatus, Error> {
    loop {
        if let Some(status) = wait_or(&mut child, indent, &progress, |_| Ok(false))? {
            return Ok(status);
        }
    }
}

/// The same, or until something is done, which is told for how long it has been waited for: how the program ended if it did first.
pub(crate) fn wait_or(
    child: &mut Child,
    indent: &str,
    progress: impl Fn() -> Option<String>,
    mut is_done: impl FnMut(Duration) -> Result<bool, Error>,
) -> Result<Option<ExitStatus>, Error> {
    let start = Instant::now();
    let (mut reported, mut pause) = (start, Duration::from_millis(5));
    loop {
        if let Some(status) = child.try_wait().context(|| "wait for a program".to_owned())? {
            return Ok(Some(status));
        }
        if is_done(start.elapsed())? {
            return Ok(None);
        }
        if reported.elapsed() >= EVERY {
            let far = progress().map_or_else(String::new, |far| format!(": {far}"));
            warn(&format!("{indent}{} s{far}", start.elapsed().as_secs()));
            reported = Instant::now();
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}
