//! The tests that need no Docker.

use std::io::{BufRead, BufReader};
use std::path::Path;
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
const PACKAGES: [&str; 5] =
    ["operations_model", "operations_lab", "operations_cluster", "operations_demo_checks", "operations_page_checks"];

/// How long the random tests run in `make test` and in CI, in seconds: long enough to see that they work.
const SHORT: &str = "10";

/// Runs beside no other test: how soon a fault is on the page is measured.
const ALONE: &str = "test(=drills_in_a_browser)";

static IS_INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Runs the tests that need no Docker. Every suite runs, whatever became of those before it.
#[derive(Args)]
pub struct Test {
    /// Which tests to run; .config/nextest.toml marks the long ones
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
    /// Everything but each drill in a browser and the packages' second build: what CI has the time for
    Ci,
    /// What majors of PostgreSQL could differ in, on the one that PG names, with a library that is not optimised
    Round,
}

impl Test {
    /// Runs the command; returns its exit code.
    pub fn run(&self) -> Result<u8, Error> {
        let mut tools = Toolbox::open()?;
        tools.need_program("cargo-nextest")?;
        get_what_checks_use(&tools)?;
        get_browser(&tools)?;
        tools.end_servers()?;
        tools.work_in_memory()?;
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
    if which == Which::Round {
        let major = tools.state.major;
        // It builds and installs the library, which the others use.
        suites.run(&format!("extension, as a user of PostgreSQL {major} sees it"), || regress(tools));
        suites.run(&format!("clusters of PostgreSQL {major}, from outside"), || {
            tools.install_scripts()?;
            clusters(tools, which, &skipped)
        });
        return end(&suites, &skipped);
    }
    if which != Which::Long {
        // Meanwhile, for cargo has a lock for each profile. Whether it succeeds, the suite that needs it sees.
        let compiling = tools.compile_extension_meanwhile()?;
        suites.run("row model and lab program", || {
            succeeds(nextest(tools, "package(operations_model) | package(operations_lab)"))
        });
        suites.run("extension, inside the server", || succeeds(tools.pgrx_test()?));
        suites.run("extension, as a user sees it", || regress(tools));
        compiling.wait();
    }
    let name = match which {
        Which::Short => "clusters, demo and page, from outside",
        Which::Long => "clusters from outside, what is long",
        _ => "clusters, demo and page, from outside, all",
    };
    suites.run(name, || {
        tools.install_extension()?;
        clusters(tools, which, &skipped)
    });
    if matches!(which, Which::Long | Which::All) {
        suites.run("each drill in a browser", || {
            let mut cargo = nextest(tools, ALONE);
            cargo.args(["--profile", "long"]).env("OPERATIONS_SKIPPED", &skipped);
            succeeds(cargo)
        });
    }
    end(&suites, &skipped)
}

/// What becomes of all; what was skipped is repeated.
fn end(suites: &Suites, skipped: &Path) -> Result<u8, Error> {
    if let Ok(skipped) = std::fs::read_to_string(skipped) {
        skipped.lines().for_each(say);
    }
    Ok(suites.end())
}

/// The tests of real servers with the extension that is installed.
fn clusters(tools: &Toolbox, which: Which, skipped: &Path) -> Result<bool, Error> {
    let packages = "package(operations_cluster) | package(operations_demo_checks) | package(operations_page_checks)";
    let mut cargo = nextest(tools, &format!("({packages}) - {ALONE}"));
    // For each core: in CI Compose is tested beside them.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores * if matches!(which, Which::Ci | Which::Round) { 3 } else { 4 };
    cargo.args(["--test-threads", &threads.to_string()]).env("OPERATIONS_SKIPPED", skipped);
    if matches!(which, Which::Short | Which::Ci | Which::Round)
        && std::env::var_os("OPERATIONS_RANDOM_SECONDS").is_none()
    {
        cargo.env("OPERATIONS_RANDOM_SECONDS", SHORT);
    }
    match which {
        Which::Short => {}
        Which::Long => _ = cargo.args(["--profile", "long"]),
        Which::All => _ = cargo.args(["--profile", "all"]),
        Which::Ci => _ = cargo.args(["--profile", "ci"]),
        Which::Round => _ = cargo.args(["--profile", "round"]),
    }
    succeeds(cargo)
}

/// Two drills want programs that only root can install and use: iptables cuts a network, libfaketime sets a server's clock. On a machine
/// that cannot have them these drills are reported as refused, and what wants HAProxy as skipped.
fn get_what_checks_use(tools: &Toolbox) -> Result<(), Error> {
    if !can_install() {
        return Ok(());
    }
    if which("iptables").is_none() {
        need_packages(&tools.state, "iptables, for a drill", &["iptables"])?;
    }
    if faketime().is_none() {
        need_packages(&tools.state, "libfaketime, for a drill", &["libfaketime"])?;
    }
    if which("haproxy").is_none() {
        need_packages(&tools.state, "HAProxy, which a check puts in front of the demo", &["haproxy"])?;
    }
    Ok(())
}

/// The page is looked at in Chromium. Where it cannot be installed the checks of the page are reported as skipped.
fn get_browser(tools: &Toolbox) -> Result<(), Error> {
    if can_install() && (which("chromium").is_none() || which("chromedriver").is_none()) {
        need_packages(&tools.state, "Chromium, to look at the page", &["chromium", "chromium-driver"])?;
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
    let mut cargo = tools.cargo_pgrx("regress");
    cargo.args([&tools.state.major.feature(), "--resetdb", "--psql-verbosity", "default"]).stdin(Stdio::null());
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
