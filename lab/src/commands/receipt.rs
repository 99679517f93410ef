//! The receipt on the command line.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use operations_lab::demo::Demo;
use operations_lab::receipt::{self, Mark, Report};
use operations_lab::say::say;
use operations_lab::{DemoError, Error, FailoverError, failover};

use super::demo::Folder;

/// It cannot be seen: no server takes writes.
const UNSEEN: u8 = 3;

/// Says what became of every row that the demo's client wrote: acknowledged, lost, unexpected, forked, and for how long nobody
/// could write.
///
/// The client starts with the demo and writes ten rows a second to whoever takes writes. Its acknowledgements are in a file
/// outside the servers. This compares them with the rows on the server that takes writes now. The last 100,000 writes count,
/// almost three hours; the numbers are explained in docs/failover.md.
#[derive(Args)]
#[command(after_help = "Exit codes:
  0   nothing that was acknowledged is lost, and the client runs
  1   something is; or another error, which is said
  3   it cannot be seen: no server takes writes, nothing was acknowledged, or the client does not run
  64  the command line is wrong")]
pub struct Receipt {
    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Only what was written after this: an age such as 90s, 10m or 2h, or the number of a row
    #[arg(long, value_name = "WHEN", value_parser = parse_since)]
    since: Option<Since>,

    /// Be the client, until SIGTERM (make demo starts it)
    #[arg(long, hide = true, conflicts_with_all = ["json", "since"])]
    write: bool,

    /// Say by the exit code whether the client runs, and nothing else
    #[arg(long, hide = true, conflicts_with_all = ["json", "since", "write"])]
    running: bool,

    #[command(flatten)]
    folder: Folder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    Sequence(u64),
    Milliseconds(u64),
}

fn parse_since(text: &str) -> Result<Since, String> {
    let number = |digits: &str| digits.parse::<u64>().ok();
    let age = |digits: &str, unit: u64| number(digits)?.checked_mul(unit).map(Since::Milliseconds);
    let parsed = match text.chars().last() {
        Some('s') => age(&text[..text.len() - 1], 1000),
        Some('m') => age(&text[..text.len() - 1], 60_000),
        Some('h') => age(&text[..text.len() - 1], 3_600_000),
        _ => number(text).map(Since::Sequence),
    };
    parsed.ok_or_else(|| "give an age such as 90s, 10m or 2h, or the number of a row".to_owned())
}

impl Receipt {
    /// Runs the command; returns its exit code.
    pub fn run(&self) -> Result<u8, Error> {
        if self.write {
            return self.write_rows();
        }
        let demo = Demo::as_started(self.folder.get())?;
        if self.running {
            return Ok(if receipt::is_running(&demo) { 0 } else { super::FAILED });
        }
        if !receipt::folder(&demo.layout).is_dir() {
            return Err(FailoverError::NoReceipt { folder: demo.layout.folder.clone() }.into());
        }
        let mark = match self.since {
            None => Mark::default(),
            Some(Since::Sequence(sequence)) => receipt::mark_of_sequence(&demo, sequence)?,
            Some(Since::Milliseconds(age)) => receipt::mark_of_age(&demo, age)?,
        };
        let report = receipt::since(&demo, &mark)?;
        let client_runs = receipt::is_running(&demo);
        if self.json {
            let json = serde_json::to_string_pretty(&report);
            say(&json.unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}")));
        } else {
            say(report.text(client_runs, &failover::where_kept(&demo)).trim_end());
        }
        Ok(code(&report, client_runs))
    }

    /// What cannot be seen has a code of its own.
    pub fn failure(error: &Error) -> u8 {
        match error {
            Error::Demo(DemoError::Stopped)
            | Error::Failover(
                FailoverError::NoWriter { .. } | FailoverError::NoReceipt { .. } | FailoverError::ReceiptNotOurs { .. },
            ) => UNSEEN,
            _ => super::FAILED,
        }
    }

    fn write_rows(&self) -> Result<u8, Error> {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let caught = ctrlc::set_handler(move || told.store(true, Ordering::Relaxed));
        caught.map_err(|error| Error::Environment(format!("signals cannot be caught: {error}")))?;
        // The terminal's signals are not meant for it. It may lead a session already.
        let _ = rustix::process::setsid();
        match receipt::run(self.folder.get(), &stop)? {
            true => Ok(0),
            false => Err(Error::Environment("another client of the receipt is at work in this folder".to_owned())),
        }
    }
}

/// That nothing is lost is only known of what was acknowledged while the client ran.
fn code(report: &Report, client_runs: bool) -> u8 {
    match report.lost {
        0 if report.acknowledged == 0 || !client_runs => UNSEEN,
        0 => 0,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_seen_is_not_nothing_lost() {
        let report = |acknowledged, lost| Report { acknowledged, lost, ..Report::default() };
        assert_eq!(code(&report(0, 0), true), 3);
        assert_eq!(code(&report(5, 0), false), 3);
        assert_eq!(code(&report(5, 0), true), 0);
        assert_eq!((code(&report(5, 1), true), code(&report(5, 1), false)), (1, 1));
    }

    #[test]
    fn since_is_an_age_or_a_number() {
        assert_eq!(parse_since("90s"), Ok(Since::Milliseconds(90_000)));
        assert_eq!(parse_since("10m"), Ok(Since::Milliseconds(600_000)));
        assert_eq!(parse_since("2h"), Ok(Since::Milliseconds(7_200_000)));
        assert_eq!(parse_since("1234"), Ok(Since::Sequence(1234)));
        for text in ["", "s", "-1s", "1.5h", "yesterday", "99999999999999999999h", "é"] {
            assert!(parse_since(text).is_err(), "{text}");
        }
    }
}
