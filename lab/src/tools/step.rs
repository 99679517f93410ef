//! Long steps: their output goes to a log, and whoever waits is told how far they are.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::error::{Context, Error};
use crate::long;
use crate::say::warn;
use crate::tools::State;

/// How much of the end of a log says how far a step is.
const TAIL: u64 = 4000;

/// How many lines of a log are shown when a step has failed.
const SHOWN: usize = 25;

/// Runs a program to its end; `name` is that of its log, `what` is said to the user.
pub(crate) fn run(state: &State, name: &str, what: &str, mut command: Command) -> Result<(), Error> {
    let started = Instant::now();
    let path = log_to(state, name, &mut command)?;
    // Not on standard output: that is of the command for which this is done.
    warn(what);
    // cargo shows its progress in a log only if it is told to, and then wants to know how wide the log is.
    command.env("CARGO_TERM_PROGRESS_WHEN", "always").env("CARGO_TERM_PROGRESS_WIDTH", "100");
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command.spawn().context(|| format!("run {program}"))?;
    let status = long::wait(child, "    ", || progress(&path))?;
    let seconds = started.elapsed().as_secs();
    if status.success() {
        if seconds >= 2 {
            warn(&format!("    done in {seconds} s"));
        }
        return Ok(());
    }
    let text = tail(&path, u64::MAX);
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty() && !line.contains("Building [")).collect();
    for line in lines.iter().skip(lines.len().saturating_sub(SHOWN)) {
        warn(line);
    }
    Err(Error::Environment(format!("{what}: failed after {seconds} s (all of it: {})", path.display())))
}

/// Has a program that is to be run write to a log of that name, and read nothing; returns the log.
pub(crate) fn log_to(state: &State, name: &str, command: &mut Command) -> Result<PathBuf, Error> {
    std::fs::create_dir_all(state.logs()).context(|| format!("make {}", state.logs().display()))?;
    let path = state.logs().join(format!("{name}.log"));
    let log = File::create(&path).and_then(|log| Ok((log.try_clone()?, log)));
    let (stdout, stderr) = log.context(|| format!("write {}", path.display()))?;
    command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    Ok(path)
}

/// What a log says of the progress: cargo's "n/m: crates", else its last line.
fn progress(log: &Path) -> Option<String> {
    let text = tail(log, TAIL);
    let crates = text.lines().rev().find_map(|line| {
        let (before, _) = line.split_once(": ")?;
        let far = before.rsplit(' ').next()?;
        let (done, all) = far.split_once('/')?;
        (done.parse::<u32>().is_ok() && all.parse::<u32>().is_ok()).then(|| format!("crate {far}"))
    });
    crates.or_else(|| {
        let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
        Some(last.chars().take(100).collect())
    })
}

/// The end of a log as lines, without what moves a terminal's cursor.
fn tail(path: &Path, length: u64) -> String {
    let read = || {
        let mut file = File::open(path)?;
        let from = file.metadata()?.len().saturating_sub(length);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        std::io::Result::Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default().replace('\r', "\n");
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\x1b' {
            plain.push(character);
            continue;
        }
        // ESC [ parameters letter
        for escaped in characters.by_ref() {
            if escaped.is_ascii_alphabetic() {
                break;
            }
        }
    }
    plain
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn a_log_says_how_far_cargo_is() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        std::fs::write(
            &log,
            "   Compiling a v1.0.0\n\x1b[36m    Building\x1b[0m [====> ] 12/209: serde, rand(build)\r",
        )
        .unwrap();
        assert_eq!(progress(&log).as_deref(), Some("crate 12/209"));
        std::fs::write(&log, "Get:1 a package\n\n").unwrap();
        assert_eq!(progress(&log).as_deref(), Some("Get:1 a package"));
        assert_eq!(progress(&folder.path().join("none")), None);
    }

    #[test]
    fn a_step_that_fails_names_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, owner) = (folder.path().to_owned(), crate::server::Owner::current());
        let state = State::at(folder, owner);
        let mut command = Command::new("sh");
        command.args(["-c", "echo why; exit 3"]);
        let error = run(&state, "try", "Trying", command).unwrap_err().to_string();
        assert!(error.starts_with("Trying: failed after 0 s (all of it: "), "{error}");
        assert_eq!(std::fs::read_to_string(state.logs().join("try.log")).unwrap(), "why\n");
    }
}
