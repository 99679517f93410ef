//! Load on the command line.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::{Args, ValueEnum};
use operations_lab::Error;
use operations_lab::load::{self, Mix, Servers, Step};
use operations_lab::say::warn;

use super::demo::Folder;
use super::named::Named;
use super::usage::whole;
use super::{FAILED, INTERRUPTED, USAGE};

/// Loads the demo with pgbench at a rate: new operations, status changes, corrections, cancellations, late arrivals, and reads on
/// the replica. Says how it went, and what it did to the replica's lag and to the doctor's verdict.
///
/// Without --primary and --replica it loads the native demo: whichever server takes writes now. Passwords come from PGPASSWORD,
/// from the file PGPASSFILE or from ~/.pgpass. Ctrl-C ends the load with its report; a second one ends it at once.
/// docs/load.md explains the scripts and the numbers.
#[derive(Args)]
#[command(after_help = "Exit codes:
  0   it ran, no transaction failed, and the verdict afterwards is no worse than before
  1   transactions failed, or the verdict is worse, or it could not be done; the lines above say which
  64  the command line is wrong
  130 interrupted; what was done until then is told")]
pub struct Load {
    /// Transactions a second, of all servers together; the peak of a profile
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = whole::<u32>(1..=100_000))]
    rate: u32,

    /// Sessions on each server
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = whole::<u32>(1..=50))]
    clients: u32,

    /// How long
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = whole::<u32>(1..=86_400))]
    seconds: u32,

    /// What is run how often, as insert=60,flip=1; what is not named is not run [default: all, as on a bank's day]
    #[arg(long, value_name = "NAME=WEIGHT,..")]
    mix: Option<Mix>,

    /// A rate that changes with the hours of a day
    #[arg(long, conflicts_with = "seconds")]
    profile: Option<Profile>,

    /// In how many minutes the day is over [default: 24]
    #[arg(long, value_name = "NUMBER", value_parser = whole::<u32>(1..=1440))]
    minutes: Option<u32>,

    #[command(flatten)]
    named: Named,

    /// Tell pgbench's own report of each server also where there are several replicas
    #[arg(long)]
    details: bool,

    #[command(flatten)]
    folder: Folder,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Profile {
    /// Quiet at night, busy at noon and in the evening
    Day,
}

impl Load {
    /// Runs the command; returns its exit code.
    pub fn run(&self) -> Result<u8, Error> {
        // clap asks for no profile where one would contradict another option.
        if self.minutes.is_some() && self.profile.is_none() {
            warn(
                "error: --minutes (MINUTES=) is for a day: give --profile day (PROFILE=day), too, or --seconds (SECONDS=) alone",
            );
            return Ok(USAGE);
        }
        let named = self.named.targets()?;
        let servers = if named.is_empty() { Servers::Demo(self.folder.get()) } else { Servers::Named(&named) };
        let steps = match self.profile {
            Some(Profile::Day) => load::steps(self.rate, self.minutes.unwrap_or(24)),
            None => vec![Step::whole(self.rate, self.seconds)],
        };
        let load = load::Load {
            mix: self.mix.clone().unwrap_or_default(),
            clients: self.clients,
            steps,
            details: self.details,
        };

        let interrupts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&interrupts);
        let caught = ctrlc::set_handler(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        caught.map_err(|error| Error::Environment(format!("signals cannot be caught: {error}")))?;
        let outcome = load::run(&servers, &load, &interrupts)?;
        Ok(match outcome.interrupted {
            true => INTERRUPTED,
            false if outcome.totals.has_failures() || outcome.comparison.is_worse() => FAILED,
            false => 0,
        })
    }
}
