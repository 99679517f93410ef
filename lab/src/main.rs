//! The program `operations-lab`.

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use operations_lab::say::warn;
use operations_lab::{DemoError, DrillError, Error};

/// Runs a live PostgreSQL operations lab: a primary that always works, a replica that follows it, and a doctor for both.
///
/// The make targets of the checkout are short forms of these commands.
#[derive(Parser)]
#[command(name = "operations-lab", version, after_help = commands::EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(commands::demo::Demo),
    Stop(commands::demo::Stop),
    Clean(commands::demo::Clean),
    Status(commands::demo::Status),
    Psql(commands::demo::Psql),
    PsqlReplica(commands::demo::PsqlReplica),
    Doctor(commands::doctor::Doctor),
    Drill(commands::drill::Drill),
    Drills(commands::drill::Drills),
    Receipt(commands::receipt::Receipt),
    Serve(commands::serve::Serve),
    Failover(commands::failover::Failover),
    Rejoin(commands::failover::Rejoin),
    Load(commands::load::Load),
    Node(commands::node::Node),
    Package(commands::package::Package),
    TestServers(commands::test_servers::TestServers),
    Dev(commands::dev::Dev),
}

impl Command {
    /// Whether a failure is the command line's: then `doctor` gives no verdict.
    fn failure(&self, error: &Error) -> u8 {
        match (self, error) {
            // As if there were none at all.
            (Self::Doctor(_) | Self::Status(_), Error::Demo(DemoError::AnotherUsers { .. })) => commands::NO_DEMO,
            (Self::Doctor(_), _) | (_, Error::Drill(DrillError::NoDrill { .. })) => commands::USAGE,
            (_, Error::Drill(DrillError::Interrupted | DrillError::InterruptedUnmended { .. })) => {
                commands::INTERRUPTED
            }
            (Self::Receipt(_), error) => commands::receipt::Receipt::failure(error),
            _ => commands::FAILED,
        }
    }

    fn run(&self) -> Result<u8, Error> {
        match self {
            Self::Demo(command) => command.run(),
            Self::Stop(command) => command.run(),
            Self::Clean(command) => command.run(),
            Self::Status(command) => command.run(),
            Self::Psql(command) => command.run(),
            Self::PsqlReplica(command) => command.run(),
            Self::Doctor(command) => command.run(),
            Self::Drill(command) => command.run(),
            Self::Drills(command) => command.run(),
            Self::Receipt(command) => command.run(),
            Self::Serve(command) => command.run(),
            Self::Failover(command) => command.run(),
            Self::Rejoin(command) => command.run(),
            Self::Load(command) => command.run(),
            Self::Node(command) => command.run(),
            Self::Package(command) => command.run(),
            Self::TestServers(command) => command.run(),
            Self::Dev(command) => command.run(),
        }
    }
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let arguments: Vec<_> = std::env::args_os().skip(1).map(|one| one.to_string_lossy().into_owned()).collect();
            match commands::usage::line(&error, &arguments) {
                Some(line) => warn(&line),
                None => drop(error.print()),
            }
            return if error.use_stderr() { ExitCode::from(commands::USAGE) } else { ExitCode::SUCCESS };
        }
    };
    // Nobody but their owner changes what is made, whatever the caller's shell says.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    match operations_lab::demo::become_servers_user().and_then(|()| cli.command.run()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            if !matches!(error, Error::AlreadyPrinted) {
                warn(&format!("error: {error}"));
            }
            ExitCode::from(cli.command.failure(&error))
        }
    }
}
