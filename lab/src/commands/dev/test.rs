//! The tests that need no Docker.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, ValueEnum};
use operations_lab::Error;
use operations_lab::drill::faketime;
use operations_lab::say::{say, warn};
use operations_lab::tools::{Toolbox, can_install, need_packages, which};

use super::suites::{Suites, succeeds};
use crate::commands::INTERRUPTED;

/// One set of packages, so that what they have in common is built once.
const PACKAGES: [&str; 4] = ["operations_model", "operations_lab", "operations_cluster", "operations_demo_checks"];

/// How long the random tests run in `make test`, in seconds: long enough to see that they work.
const SHORT: &str = "10";

static IS_INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Runs the tests that need no Docker. Every suite runs, whatever became of those before it.
#[derive(Args)]
pub struct Test {
    /// What of the clusters is long, .config/nextest.toml says
    #[arg(value_enum, default_value_t = Which::Short)]
    which: Which,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// All suites, without what is long
    Short,
    /// Only what is long
    Long,
    /// Everything
    All,
}

impl Test {
    /// Runs the command; returns its exit code.
    pub fn run(&self) -> Result<u8, Error> {
        let mut tools = Toolbox::open()?;
        tools.need_program("cargo-nextest")?;
        get_what_drills_use(&tools)?;
        tools.end_servers()?;
        // The programs that run are interrupted with this one; then their servers are ended.
        let caught = ctrlc::set_handler(|| IS_INTERRUPTED.store(true, Ordering::Relaxed));
        caught.map_err(|error| Error::Environment(format!("signals cannot be caught: {error}")))?;
        let tested = test(&tools, self.which);
        if let Err(error) = tools.end_servers() {
            warn(&format!("error: {error}"));
        }
        if IS_INTERRUPTED.load(Ordering::Relaxed) { Ok(INTERRUPTED) } else { tested }
    }
}

fn test(tools: &Toolbox, which: Which) -> Result<u8, Error> {
    let mut suites = Suites::default();
    // What cannot be tested on this machine passes, and says so; it is repeated at the end.
    let skipped = tools.state.logs().join("skipped.log");
    let _ = std::fs::remove_file(&skipped);
    if which != Which::Long {
        // Meanwhile, for cargo has a lock for each profile. Whether it succeeds, the suite that needs it sees.
        let compiling = tools.compile_extension_meanwhile()?;
        suites.run("row model and lab program", || {
            succeeds(nextest(tools, "package(operations_model) | package(operations_lab)"))
        });
        suites.run("extension, inside the server", || {
            let mut cargo = tools.command("cargo");
            cargo.args(["pgrx", "test"]);
            succeeds(cargo)
        });
        suites.run("extension, as a user sees it", || regress(tools));
        compiling.wait();
    }
    let name = match which {
        Which::Short => "clusters and demo, from outside",
        Which::Long => "clusters from outside, what is long",
        Which::All => "clusters and demo, from outside, all",
    };
    suites.run(name, || {
        tools.install_extension()?;
        let mut cargo = nextest(tools, "package(operations_cluster) | package(operations_demo_checks)");
        // Most of them wait most of the time: three for each core keep it busy.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        cargo.args(["--test-threads", &(3 * cores).to_string()]).env("OPERATIONS_SKIPPED", &skipped);
        match which {
            Which::Short if std::env::var_os("OPERATIONS_RANDOM_SECONDS").is_none() => {
                cargo.env("OPERATIONS_RANDOM_SECONDS", SHORT);
            }
            Which::Short => {}
            Which::Long => _ = cargo.args(["--profile", "long"]),
            Which::All => _ = cargo.args(["--profile", "all"]),
        }
        succeeds(cargo)
    });
    if let Ok(skipped) = std::fs::read_to_string(&skipped) {
        skipped.lines().for_each(say);
    }
    Ok(suites.end())
}

/// Two drills want programs that only root can install and use: iptables cuts a network, libfaketime sets a server's clock. On a machine
/// that cannot have them these drills are reported as refused.
fn get_what_drills_use(tools: &Toolbox) -> Result<(), Error> {
    if !can_install() {
        return Ok(());
    }
    if which("iptables").is_none() {
        need_packages(&tools.state, "iptables, for a drill", &["iptables"])?;
    }
    if faketime().is_none() {
        need_packages(&tools.state, "libfaketime, for a drill", &["libfaketime"])?;
    }
    Ok(())
}

fn nextest(tools: &Toolbox, filter: &str) -> Command {
    let mut cargo = tools.command("cargo");
    cargo.args(["nextest", "run", "--locked", "--no-fail-fast"]);
    cargo.args(PACKAGES.iter().flat_map(|package| ["-p", package])).args(["-E", filter]);
    cargo
}

/// Errors with their DETAIL and HINT are part of the surface. A file without expected output is no test but a mistake.
fn regress(tools: &Toolbox) -> Result<bool, Error> {
    let io = |source| Error::Io { what: "run cargo pgrx regress".to_owned(), source };
    let (reader, writer) = std::io::pipe().map_err(io)?;
    let mut cargo = tools.command("cargo");
    cargo.args(["pgrx", "regress", "--resetdb", "--psql-verbosity", "default"]).stdin(Stdio::null());
    let mut child = cargo.stdout(writer.try_clone().map_err(io)?).stderr(writer).spawn().map_err(io)?;
    // It holds the ends that are written to.
    drop(cargo);
    let mut is_whole = true;
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.map_err(io)?;
        let line = String::from_utf8_lossy(&line);
        is_whole &= !line.contains("SKIP");
        say(&line);
    }
    Ok(child.wait().map_err(io)?.success() && is_whole)
}
