//! Several commands one after the other; what became of each, at the end.

use std::process::{Command, Stdio};
use std::time::Instant;

use operations_lab::Error;
use operations_lab::say::say;

/// Counts what passed and names what failed.
#[derive(Default)]
pub struct Suites {
    passed: u32,
    failed: Vec<String>,
}

impl Suites {
    /// Runs one, whatever became of those before it.
    pub fn run(&mut self, name: &str, work: impl FnOnce() -> Result<bool, Error>) {
        let started = Instant::now();
        say(&format!("== {name}"));
        let passed = match work() {
            Ok(passed) => passed,
            // What it needs could not be had.
            Err(error) => {
                say(&format!("error: {error}"));
                false
            }
        };
        let seconds = started.elapsed().as_secs();
        if passed {
            self.passed += 1;
            say(&format!("== {name}: passed in {seconds} s"));
        } else {
            self.failed.push(name.to_owned());
            say(&format!("== {name}: FAILED after {seconds} s"));
        }
    }

    /// Says what became of all; returns the exit code.
    pub fn end(&self) -> u8 {
        self.failed.iter().for_each(|name| say(&format!("failed: {name}")));
        say(&format!("suites: {} passed, {} failed", self.passed, self.failed.len()));
        u8::from(!self.failed.is_empty())
    }
}

/// Runs a program to its end; whether it succeeded.
pub fn succeeds(mut command: Command) -> Result<bool, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.stdin(Stdio::null()).status();
    let status = status.map_err(|source| Error::Io { what: format!("run {program}"), source })?;
    Ok(status.success())
}
