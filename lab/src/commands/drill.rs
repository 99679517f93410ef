//! The drills on the command line.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use operations_lab::Error;
use operations_lab::drill::{self, DRILLS, Length, Report, Verdict};
use operations_lab::say::{say, warn};

use super::demo::Folder;
use super::usage::whole;

/// Breaks the running demo in one way, and shows that it is noticed and healed, and what it cost.
///
/// It is refused on a demo whose verdict is not ok, undoes what it did also when it fails or is interrupted, and leaves a demo
/// that is well. docs/drills.md has all of them.
#[derive(Args)]
#[command(after_help = "Exit codes:
  0   the drill passed: seen and healed in time, and nothing is lost
  1   it did not, could not be run, or is refused on this machine
  64  the command line is wrong, or no drill has that name
  130 interrupted; what was broken is mended, or it is said what is not")]
pub struct Drill {
    /// Name of the drill (see --list)
    #[arg(required_unless_present_any = ["list", "json"])]
    name: Option<String>,

    /// Name all drills, with a line each
    #[arg(long, conflicts_with = "name")]
    list: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    pace: Pace,

    #[command(flatten)]
    folder: Folder,
}

/// How long things may take.
#[derive(Args)]
struct Pace {
    /// Leave broken what is broken for so long at least, to be watched on the page
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = whole::<u64>(0..=3600))]
    hold: u64,

    /// Let all take so many times longer until a drill has failed: for a machine that does much else
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = whole::<u32>(1..=100))]
    patience: u32,
}

impl Pace {
    fn get(&self) -> drill::Pace {
        drill::Pace { hold: Duration::from_secs(self.hold), patience: self.patience }
    }
}

/// Runs all drills that are over in seconds, one after the other, and prints a table.
#[derive(Args)]
#[command(after_help = "Exit codes:
  0   all passed; those that this machine does not allow are refused by name
  1   one did not, or could not be run
  64  the command line is wrong
  130 interrupted; what was broken is mended, or it is said what is not")]
pub struct Drills {
    /// Also those that take a minute or more
    #[arg(long)]
    all: bool,

    /// Name all drills, with a line each
    #[arg(long)]
    list: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Write a page with the table, and with the answers of pg_isready and the usual lag queries at each fault
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,

    #[command(flatten)]
    pace: Pace,

    #[command(flatten)]
    folder: Folder,
}

impl Drill {
    /// Runs the command; returns its exit code.
    pub fn run(&self) -> Result<u8, Error> {
        let name = match &self.name {
            Some(name) if !self.list => name,
            _ => return Ok(list(self.json)),
        };
        let drill = drill::find(name)?;
        if !self.json {
            say(&format!("{}: {}", drill.name, drill.line));
        }
        let reports = drill::run(self.folder.get(), &[drill], self.pace.get(), &interruptible()?, |_| {})?;
        for report in &reports {
            say(&if self.json { json(report) } else { report.text() });
        }
        Ok(exit_code(&reports, &[Verdict::Passed]))
    }
}

impl Drills {
    /// Runs the command; returns its exit code.
    pub fn run(&self) -> Result<u8, Error> {
        if self.list {
            return Ok(list(self.json));
        }
        let wanted: Vec<_> = DRILLS.iter().filter(|drill| self.all || drill.length == Length::Quick).collect();
        let tell = |report: &Report| {
            if self.json {
                return;
            }
            match report.verdict {
                Verdict::Failed => warn(&report.text()),
                _ => say(&format!("{:<8} {}", report.verdict.word(), report.name)),
            }
        };
        let reports = drill::run(self.folder.get(), &wanted, self.pace.get(), &interruptible()?, tell)?;
        if let Some(file) = &self.markdown {
            std::fs::write(file, drill::page(&reports))
                .map_err(|source| Error::Io { what: format!("write {}", file.display()), source })?;
        }
        say(&if self.json { json(&reports) } else { format!("\n{}", drill::table(&reports)) });
        let refused: Vec<_> = reports.iter().filter(|report| report.verdict == Verdict::Refused).collect();
        if !self.json {
            for report in refused {
                say(&format!("refused: {}: {}", report.name, report.reasons.join("; ")));
            }
        }
        Ok(exit_code(&reports, &[Verdict::Passed, Verdict::Refused]))
    }
}

fn list(in_json: bool) -> u8 {
    if in_json {
        let line = |drill: &drill::Drill| serde_json::json!({ "name": drill.name, "line": drill.line, "long": drill.length == Length::Long });
        say(&json(&DRILLS.iter().map(line).collect::<Vec<_>>()));
        return 0;
    }
    for drill in DRILLS {
        let long = if drill.length == Length::Long { " (only with drills --all)" } else { "" };
        say(&format!("{:<22} {}{long}", drill.name, drill.line));
    }
    0
}

fn exit_code(reports: &[Report], good: &[Verdict]) -> u8 {
    if reports.iter().all(|report| good.contains(&report.verdict)) { 0 } else { super::FAILED }
}

fn json(value: &(impl serde::Serialize + ?Sized)) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"))
}

/// What Ctrl-C sets.
fn interruptible() -> Result<Arc<AtomicBool>, Error> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    let set = ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed));
    set.map_err(|error| Error::Environment(format!("signals cannot be caught: {error}")))?;
    Ok(interrupted)
}
