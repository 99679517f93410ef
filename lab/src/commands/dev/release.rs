//! Makes a release: version, changelog, scripts, build, checks, commit and tag.

use std::process::{Command, Stdio};

use clap::Args;
use operations_lab::release::{CHANGED, Version, begin_next, plan, prepare};
use operations_lab::say::say;
use operations_lab::server::finish;
use operations_lab::{Error, checkout};

use super::suites::succeeds;

/// The tests without which nothing is released: upgrades from all versions, and a new installation.
const TESTS: &str = "binary(upgrade) | binary(setup) | binary(library)";

/// Makes a release of what is committed, and begins the next version; see docs/releasing.md.
#[derive(Args)]
pub struct Release {
    /// The version, as 0.2.0
    version: Version,
}

impl Release {
    /// Runs the command; returns its exit code.
    pub fn run(&self) -> Result<u8, Error> {
        let version = &self.version;
        let changed = git(&["status", "--porcelain"])?;
        if !changed.is_empty() {
            return Err(Error::Environment(format!(
                "commit or put away what is not committed, then release:\n{changed}"
            )));
        }
        let tag = format!("v{version}");
        if !git(&["tag", "--list", &tag])?.is_empty() {
            return Err(Error::Environment(format!("the tag {tag} is there already")));
        }
        if git(&["branch", "--show-current"])?.is_empty() {
            return Err(Error::Environment(
                "no branch is checked out, and nothing else would keep the release".to_owned(),
            ));
        }
        let before = git(&["rev-parse", "HEAD"])?;
        let plan = plan(checkout(), &Version::current(), version)?;
        let date = finish(utc_date())?.success()?;
        let made = prepare(checkout(), &plan, date.trim()).and_then(|()| verify()).and_then(|()| record(version, &tag));
        let next = made.map_err(|error| {
            let undone = match undo(before.trim(), &tag) {
                Ok(()) => "nothing is committed".to_owned(),
                Err(undoing) => format!("what was committed could not be taken back: {undoing}"),
            };
            let changed = CHANGED.join(" ");
            Error::Environment(format!(
                "{error}\n{undone}; take the changes back with: git restore --staged --worktree {changed} && git clean --force sql"
            ))
        })?;
        say(&format!("{version} is committed and tagged {tag}, {next} is begun: git push --follow-tags"));
        Ok(0)
    }
}

/// Commits and tags the release, and begins the version that it returns.
fn record(version: &Version, tag: &str) -> Result<Version, Error> {
    commit(&format!("Release {version}"))?;
    git(&["tag", "--annotate", tag, "--message", &format!("operations_ext {version}")])?;
    let next = begin_next(checkout(), version)?;
    commit(&format!("Begin {next}"))?;
    Ok(next)
}

/// Takes back what [`record`] has done; the files stay as they are.
fn undo(before: &str, tag: &str) -> Result<(), Error> {
    if !git(&["tag", "--list", tag])?.is_empty() {
        git(&["tag", "--delete", tag])?;
    }
    git(&["reset", "--quiet", "--soft", before]).map(drop)
}

/// By programs of their own: this one was built with the version before.
fn verify() -> Result<(), Error> {
    let tests = ["dev", "run", "cargo", "nextest", "run", "--locked", "-p", "operations_cluster", "-E", TESTS];
    for arguments in [&["dev", "lint"][..], &["dev", "build"], &tests] {
        say(&format!("== {}", arguments.join(" ")));
        let mut lab = Command::new("bash");
        lab.arg("native/lab.sh").args(arguments).current_dir(checkout());
        if !succeeds(lab)? {
            return Err(Error::Environment(format!("operations-lab {} failed: see above", arguments.join(" "))));
        }
    }
    Ok(())
}

/// What lies in the checkout besides, a note of somebody's for example, is left alone.
fn commit(message: &str) -> Result<(), Error> {
    git(&[&["add", "--all", "--"][..], &CHANGED].concat())?;
    git(&["commit", "--quiet", "--message", message]).map(drop)
}

fn git(arguments: &[&str]) -> Result<String, Error> {
    let mut git = Command::new("git");
    git.current_dir(checkout()).args(["-c", "safe.directory=*"]).args(arguments).stdin(Stdio::null());
    finish(git)?.success()
}

fn utc_date() -> Command {
    let mut date = Command::new("date");
    date.args(["--utc", "+%F"]);
    date
}
