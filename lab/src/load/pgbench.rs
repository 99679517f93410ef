//! pgbench, run by us: its scripts and password in a folder that nobody else can read, its report read and passed on.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use postgres::config::Host;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::mix::Script;
use crate::demo::Programs;
use crate::error::{Context, Error};
use crate::say::warn;
use crate::server::Owner;
use crate::target::Target;

/// How often a transaction is tried that another one has made fail: serialization, deadlock.
const TRIES: &str = "3";

/// A folder of the user who runs pgbench, which goes with this.
pub struct Scratch {
    owner: Owner,
    folder: Option<TempDir>,
}

impl Scratch {
    /// Makes it.
    pub fn new(owner: &Owner) -> Result<Self, Error> {
        let folder = owner.files(|| tempfile::Builder::new().prefix("operations_load.").tempdir());
        let folder = folder.context(|| "make a folder for the scripts".to_owned())?;
        Ok(Self { owner: owner.clone(), folder: Some(folder) })
    }

    /// Writes a file that nobody else can read.
    fn write(&self, name: &str, text: &str) -> Result<std::path::PathBuf, Error> {
        let folder = self.folder.as_ref().map(TempDir::path).unwrap_or_else(|| std::path::Path::new("/nonexistent"));
        let path = folder.join(name);
        self.owner.write(&path, text.as_bytes(), true).context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(folder) = self.folder.take() {
            // What is in it is of no use to anybody but its owner.
            let _ = self.owner.files(|| folder.close());
        }
    }
}

/// What one pgbench is to do.
pub struct Order<'a> {
    /// What the server is called in what pgbench says of it.
    pub name: &'a str,
    /// The server, and how to connect.
    pub target: &'a Target,
    /// Settings of its sessions, as `PGOPTIONS` has them.
    pub options: &'a str,
    /// Scripts and weights.
    pub scripts: Vec<(&'static Script, u32)>,
    /// Transactions a second.
    pub rate: f64,
    /// Sessions.
    pub clients: u32,
    /// How long.
    pub seconds: u32,
    /// Whether it says every few seconds how it goes.
    pub progress: bool,
}

/// A pgbench that runs.
pub struct Bench {
    child: Child,
    report: JoinHandle<String>,
    remarks: JoinHandle<()>,
}

/// What a pgbench has done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Done {
    /// Transactions that were committed.
    pub processed: u64,
    /// Transactions that failed in each of their tries.
    pub failed: u64,
    /// The mean latency in milliseconds.
    pub latency: Option<f64>,
    /// Whether it did not come to its end: a statement was refused, or the server went away.
    pub aborted: bool,
    /// Its report.
    pub report: String,
}

impl Bench {
    /// Starts one.
    pub fn start(programs: &Programs, scratch: &Scratch, order: &Order<'_>) -> Result<Self, Error> {
        let server = order.name.to_owned();
        let mut command = programs.command("pgbench");
        command.args(["--no-vacuum", "--failures-detailed", "--max-tries", TRIES]);
        command.arg(format!("--rate={:.4}", order.rate)).arg(format!("--time={}", order.seconds));
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let clients = usize::try_from(order.clients).unwrap_or(1);
        command.arg(format!("--client={clients}")).arg(format!("--jobs={}", clients.min(threads)));
        if order.progress {
            command.arg("--progress=5");
        }
        for (script, weight) in &order.scripts {
            let path = scratch.write(&format!("{}.sql", script.name), script.text)?;
            command.arg(format!("--file={}@{weight}", path.display()));
        }
        connect(&mut command, scratch, order)?;
        // The terminal's Ctrl-C is for us: pgbench is asked to end by another signal.
        scratch.owner.runs(&mut command).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context(|| "run pgbench".to_owned())?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let report = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // What it did not say is not there.
            let _ = stdout.map(|mut stdout| stdout.read_to_end(&mut bytes));
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let remarks = std::thread::spawn(move || {
            let lines = stderr.map(BufReader::new).into_iter().flat_map(|stderr| stderr.split(b'\n'));
            lines.map_while(Result::ok).for_each(|line| warn(&format!("{server}: {}", String::from_utf8_lossy(&line))));
        });
        Ok(Self { child, report, remarks })
    }

    /// Has it come to its end?
    pub fn has_ended(&mut self) -> Result<bool, Error> {
        Ok(self.child.try_wait().context(|| "wait for pgbench".to_owned())?.is_some())
    }

    /// Asks it to end as if its time were over, with its report; or, if that was asked already, at once.
    pub fn stop(&self, at_once: bool) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let signal = if at_once { Signal::TERM } else { Signal::ALARM };
        if let Some(pid) = pid {
            // That it has ended meanwhile is no error; its number is its own until it is waited for.
            let _ = kill_process(pid, signal);
        }
    }

    /// What it has done.
    pub fn finish(mut self) -> Result<Done, Error> {
        let status = self.child.wait().context(|| "wait for pgbench".to_owned())?;
        let report = self.report.join().unwrap_or_default();
        let _ = self.remarks.join();
        Ok(Done { aborted: !status.success(), ..read(&report) })
    }
}

/// Who to connect to is in the environment, the password in a file: neither shows in the list of processes.
fn connect(command: &mut Command, scratch: &Scratch, order: &Order<'_>) -> Result<(), Error> {
    let config = order.target.config();
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => String::new(),
    };
    if let Some(password) = config.get_password() {
        let password = String::from_utf8_lossy(password).replace('\\', r"\\").replace(':', r"\:");
        let file = scratch.write(&format!("{}.pgpass", order.target.role), &format!("*:*:*:*:{password}\n"))?;
        command.env("PGPASSFILE", file);
    }
    let options = config.get_options().unwrap_or_default();
    command
        .env("PGHOST", host)
        .env("PGPORT", config.get_ports().first().copied().unwrap_or(5432).to_string())
        .env("PGUSER", config.get_user().unwrap_or_default())
        .env("PGDATABASE", config.get_dbname().unwrap_or_default())
        .env("PGOPTIONS", format!("{options} {}", order.options).trim())
        .env("PGAPPNAME", "operations-lab load")
        .env("PGCONNECT_TIMEOUT", "5");
    Ok(())
}

/// The numbers of a report: those of all scripts stand before those of each.
fn read(report: &str) -> Done {
    let after = |name: &str| report.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let first = |text: &str| text.split([' ', '/']).next().map(str::to_owned);
    let count = |name: &str| after(name).and_then(first).and_then(|number| number.parse().ok()).unwrap_or(0);
    Done {
        processed: count("number of transactions actually processed:"),
        failed: count("number of failed transactions:"),
        latency: after("latency average =").and_then(first).and_then(|number| number.parse().ok()),
        aborted: false,
        report: report.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_all_scripts_are_read() {
        let report = "\
pgbench (16.14)
transaction type: multiple scripts
number of transactions actually processed: 4712
number of failed transactions: 3 (0.064%)
number of serialization failures: 1 (0.021%)
number of deadlock failures: 2 (0.042%)
latency average = 1.234 ms
rate limit schedule lag: avg 0.101 (max 2.3) ms
tps = 500.1 (without initial connection time)
SQL script 1: /tmp/x/insert.sql
 - number of transactions actually processed: 4000
 - latency average = 0.9 ms
";
        let done = read(report);
        assert_eq!((done.processed, done.failed, done.latency), (4712, 3, Some(1.234)));
        assert_eq!(Done { report: String::new(), ..read("") }, Done::default());
        assert_eq!(read("latency average = 1.5 ms (including failures)\n").latency, Some(1.5));
    }
}
