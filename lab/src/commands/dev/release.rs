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
        let plan = plan(checkout(), &Version::current(), version)?;
        let date = finish(utc_date())?.success()?;
        prepare(checkout(), &plan, date.trim()).and_then(|()| verify()).map_err(|error| {
            let changed = CHANGED.join(" ");
            Error::Environment(format!(
                "{error}\nnothing was committed; take the changes back with: git restore {changed} && git clean --force sql"
            ))
        })?;
        commit(&format!("Release {version}"))?;
        git(&["tag", "--annotate", &tag, "--message", &format!("operations_ext {version}")])?;
        let next = begin_next(checkout(), version)?;
        commit(&format!("Begin {next}"))?;
        say(&format!("{version} is committed and tagged {tag}, {next} is begun: git push --follow-tags"));
        Ok(0)
    }
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
