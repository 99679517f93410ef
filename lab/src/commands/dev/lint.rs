//! Formatting, spelling, dependencies, shell scripts, lints and documentation, with every warning an error.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use operations_lab::release::{self, Version};
use operations_lab::say::{say, warn};
use operations_lab::tools::{Toolbox, need_packages, which};
use operations_lab::{Error, checkout};

use super::schema;
use super::suites::succeeds;

/// Checks formatting, spelling, dependencies, shell scripts, lints and documentation; every warning is an error.
#[derive(Args)]
pub struct Lint {}

impl Lint {
    /// Runs the command; returns its exit code. It ends with the first that fails.
    pub fn run(&self) -> Result<u8, Error> {
        let mut tools = Toolbox::open()?;
        for (part, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
            let mut asked = tools.command("cargo");
            asked.args([part, "--version"]).stdout(std::process::Stdio::null());
            if !succeeds(asked)? {
                return Err(Error::Environment(format!("{component} is missing: rustup component add {component}")));
            }
        }
        if which("shellcheck").is_none() {
            need_packages(&tools.state, "shellcheck", &["shellcheck"])?;
        }
        for program in ["typos", "cargo-deny", "hadolint"] {
            tools.need_program(program)?;
        }
        let scripts = files(&[])?.into_iter().filter(|file| is_shell(file)).collect::<Vec<_>>();
        if scripts.is_empty() {
            return Err(Error::Environment("found no shell script: is this a git checkout?".to_owned()));
        }
        let dockerfiles = files(&["*Dockerfile*"])?;
        // The extension by itself: together with the rest, what runs at build time gets other features than in its tests, and is built twice.
        let (extension, others) =
            ("--locked --package operations_ext", "--locked --workspace --exclude operations_ext");
        let clippy = "--all-targets -- -D warnings";
        let doc = "--no-deps --document-private-items";
        let mut skipped = None;
        let passed = released()?
            && check(&tools, "cargo", "fmt --all --check", &[])?
            && check(&tools, "typos", "", &[])?
            && check(&tools, "cargo", "deny --locked check -D warnings licenses bans sources", &[])?
            && advisories(&tools, &mut skipped)?
            && check(&tools, "shellcheck", "-x", &scripts)?
            && check(&tools, "hadolint", "", &dockerfiles)?
            && check(&tools, "cargo", &format!("clippy {extension} --features pg_test {clippy}"), &[])?
            && check(&tools, "cargo", &format!("clippy {others} {clippy}"), &[])?
            && check(&tools, "cargo", &format!("doc {extension} {doc}"), &[])?
            && check(&tools, "cargo", &format!("doc {others} {doc}"), &[])?
            && schema::check(&tools, false)?;
        if let Some(skipped) = skipped {
            say(&skipped);
        }
        if passed {
            say(&format!("lint: all good ({} shell scripts)", scripts.len()));
        }
        Ok(u8::from(!passed))
    }
}

/// Whether the scripts of released versions are as they were, and those of this version are there.
fn released() -> Result<bool, Error> {
    say("== released scripts");
    let wrong = release::check(checkout(), &Version::current())?;
    wrong.iter().for_each(|text| warn(&format!("error: {text}")));
    Ok(wrong.is_empty())
}

fn check(tools: &Toolbox, program: &str, arguments: &str, files: &[PathBuf]) -> Result<bool, Error> {
    let first = arguments.split(' ').next().unwrap_or_default();
    let name = if program == "cargo" { format!("cargo {first}") } else { program.to_owned() };
    say(&format!("== {name}"));
    let mut command = tools.command(program);
    command.args(arguments.split_whitespace()).args(files).env("RUSTDOCFLAGS", "-D warnings");
    let passed = succeeds(command)?;
    if !passed {
        warn(&format!("error: {name} found something: see above"));
    }
    Ok(passed)
}

/// The advisories are a git repository: where it cannot be fetched, the copy fetched last is asked, if there is one.
fn advisories(tools: &Toolbox, skipped: &mut Option<String>) -> Result<bool, Error> {
    let mut fetch = tools.command("timeout");
    fetch.args(["60", "cargo", "deny", "fetch", "db"]);
    if let Err(error) = tools.run_step("advisories", "Fetching the database of advisories", fetch) {
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.unwrap_or_else(|| Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".cargo"));
        let copies = std::fs::read_dir(home.join("advisory-dbs")).into_iter().flatten().flatten();
        if !copies.into_iter().any(|copy| copy.path().join(".git").exists()) {
            let text = format!("SKIPPED cargo deny check advisories: their database cannot be fetched: {error}");
            say(&text);
            *skipped = Some(text);
            return Ok(true);
        }
        say("    it cannot be fetched: asking the copy fetched last");
    }
    check(tools, "cargo", "deny --locked --offline check -D warnings advisories", &[])
}

/// The files of the checkout, committed or not yet, of these patterns.
fn files(patterns: &[&str]) -> Result<Vec<PathBuf>, Error> {
    let mut git = Command::new("git");
    git.current_dir(checkout()).args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others"]);
    git.args(["--exclude-standard", "--"]).args(patterns);
    let output = git.output().map_err(|source| Error::Io { what: "run git".to_owned(), source })?;
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    let paths = names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from);
    Ok(paths.filter(|path| checkout().join(path).is_file()).collect())
}

/// Whether a file says that it is a shell script.
fn is_shell(file: &Path) -> bool {
    let text = std::fs::read(checkout().join(file)).unwrap_or_default();
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    let interpreter =
        first.strip_prefix("#!").and_then(|rest| rest.split(['/', ' ']).find(|word| matches!(*word, "sh" | "bash")));
    interpreter.is_some() || (first.starts_with('#') && first.contains("shellcheck shell="))
}
