//! Programs that are run to their end.

use std::process::{Command, Output, Stdio};

use crate::error::{Context, Error};

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    program: String,
    status: std::process::ExitStatus,
    /// What it printed on standard output.
    pub stdout: String,
    /// What it printed on standard error.
    pub stderr: String,
}

impl Finished {
    /// What a program has left that was waited for.
    pub(crate) fn of(program: &str, output: Output) -> Self {
        Self {
            program: program.to_owned(),
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Whether it succeeded.
    pub fn is_success(&self) -> bool {
        self.status.success()
    }

    /// Its standard output if it succeeded, otherwise an error with all that it printed.
    pub fn success(self) -> Result<String, Error> {
        if self.status.success() {
            return Ok(self.stdout);
        }
        Err(Error::Program {
            program: self.program,
            status: self.status.to_string(),
            output: self.stdout + &self.stderr,
        })
    }
}

/// Runs a program to its end.
pub fn finish(mut command: Command) -> Result<Finished, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().context(|| format!("run {program}"))?;
    Ok(Finished::of(&program, output))
}

/// Keeps from a program what of the caller's environment would lead it to another server, and what would show a panic's
/// backtrace to the clients.
pub fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("PG") && name != "PG" || name == "RUST_BACKTRACE" || name == "RUST_LIB_BACKTRACE" {
            command.env_remove(name);
        }
    }
}

/// A text as one word of a shell.
pub(crate) fn quoted_for_shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
