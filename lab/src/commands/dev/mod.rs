//! What people who work on the project itself need: builds, tests, lints, measurements.

mod bench;
mod lint;
mod monitoring;
mod release;
mod schema;
mod suites;
mod test;
mod test_compose;

use std::ffi::OsString;
use std::os::unix::process::CommandExt;

use clap::{Args, Subcommand};
use operations_lab::Error;
use operations_lab::tools::Toolbox;

/// For work on the project itself: builds, tests, lints, measurements.
#[derive(Args)]
pub struct Dev {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Build(Build),
    Run(Run),
    Schema(schema::Schema),
    Monitoring(monitoring::Monitoring),
    Bench(bench::Bench),
    Test(test::Test),
    TestCompose(test_compose::TestCompose),
    Lint(lint::Lint),
    Release(release::Release),
    Metrics(Metrics),
}

impl Dev {
    /// Runs the command; returns its exit code.
    pub fn run(&self) -> Result<u8, Error> {
        match &self.command {
            Command::Build(command) => command.run(),
            Command::Run(command) => command.run(),
            Command::Schema(command) => command.run(),
            Command::Monitoring(command) => command.run(),
            Command::Bench(command) => command.run(),
            Command::Test(command) => command.run(),
            Command::TestCompose(command) => command.run(),
            Command::Lint(command) => command.run(),
            Command::Release(command) => command.run(),
            Command::Metrics(command) => command.run(),
        }
    }
}

/// Builds the extension and installs it into the PostgreSQL of the tests.
#[derive(Args)]
struct Build {}

impl Build {
    fn run(&self) -> Result<u8, Error> {
        Toolbox::open()?.install_extension()?;
        Ok(0)
    }
}

/// Writes docs/metrics.md, as the table of metrics says.
#[derive(Args)]
struct Metrics {}

impl Metrics {
    fn run(&self) -> Result<u8, Error> {
        let file = operations_lab::checkout().join("docs/metrics.md");
        let written = std::fs::write(&file, operations_lab::metrics::page());
        written.map_err(|source| Error::Io { what: format!("write {}", file.display()), source })?;
        Ok(0)
    }
}

/// Runs a command in the checkout, with cargo-pgrx, nextest and the PostgreSQL of the tests at hand.
#[derive(Args)]
struct Run {
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Run {
    /// Becomes the command; returns only if that fails.
    fn run(&self) -> Result<u8, Error> {
        let mut tools = Toolbox::open()?;
        tools.need_program("cargo-nextest")?;
        let mut words = self.command.iter();
        let program = words.next().cloned().unwrap_or_default();
        let source = tools.command(&program).args(words).exec();
        Err(Error::Io { what: format!("run {}", program.to_string_lossy()), source })
    }
}
