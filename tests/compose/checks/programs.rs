//! Programs that are run to their end, and none of them for ever.

use std::io::{Read, Seek};
use std::process::{Command, Stdio};
use std::time::Duration;

use operations_lab::checks::{self, Outcome, Stop};
use operations_lab::server::try_wait;

/// A program that has ended.
pub struct Finished {
    /// How it was called; arguments only, so that no password of the environment is in it.
    call: String,
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// Its standard output, without the last line break; a failure shows the end of what it printed.
    pub fn output(self) -> Outcome<String> {
        match self.success {
            true => Ok(self.stdout.trim_end_matches('\n').to_owned()),
            false => Err(Stop::Failed(format!("{} failed:\n{}", self.call, last_lines(&self.text(), 30)))),
        }
    }

    /// Fails if it succeeded.
    pub fn refused(self, why: &str) -> Outcome<Self> {
        match self.success {
            true => Err(Stop::Failed(format!("{} succeeded, though {why}", self.call))),
            false => Ok(self),
        }
    }

    /// All that it printed.
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs a program to its end, which must come within a limit.
pub fn finish(mut command: Command, limit: Duration) -> Outcome<Finished> {
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    let call = words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    // Files, for a pipe would be waited on as long as a process in the background holds it.
    let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let mut child = command.spawn().map_err(|error| format!("{call}: {error}"))?;
    let ended = try_wait(&format!("{call} to end"), limit, || match child.try_wait() {
        Ok(Some(status)) => Ok(status),
        Ok(None) => Err("it runs".to_owned()),
        Err(error) => Err(error.to_string()),
    });
    let read = |file: &mut std::fs::File| -> Outcome<String> {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let status = match ended {
        Ok(status) => status,
        Err(error) => {
            // It may have ended by now.
            let _ = child.kill();
            let _ = child.wait();
            return Err(Stop::Failed(format!("{error}\n{}", last_lines(&read(&mut stderr)?, 30))));
        }
    };
    Ok(Finished { call, success: status.success(), stdout: read(&mut stdout)?, stderr: read(&mut stderr)? })
}

/// The end of a text.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// [`checks::wait`], with its limit in seconds.
pub fn wait<T>(what: &str, seconds: u64, condition: impl FnMut() -> Outcome<T>) -> Outcome<T> {
    checks::wait(what, Duration::from_secs(seconds), condition)
}
