//! The program `operations-lab`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use operations_lab::Error;
use operations_lab::demo::Demo;
use operations_lab::doctor::{Finding, Options, Report, Severity, codes, examine};
use operations_lab::target::{Role, Target};

/// Judges the servers of an operations lab.
#[derive(Parser)]
#[command(name = "operations-lab", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Doctor(Doctor),
}

/// Says whether a primary and its replicas do their duty, and if not, why and what to type next.
///
/// Without --primary and --replica it examines the native demo. Both ends are asked and compared; replay must advance;
/// what does not answer within 3 seconds is never ok. docs/doctor.md explains each code.
///
/// Passwords come from PGPASSWORD, from the file PGPASSFILE or from ~/.pgpass; one in a URL is refused, for it would show in
/// the list of processes. Connections are made without TLS.
#[derive(Args)]
#[command(after_help = "Exit codes:
  0   ok        everybody answered, and nothing is wrong (rows of severity info may be shown)
  1   degraded  all do their duty, but something gets worse, or will be needed and is missing
  2   broken    something does not do its duty now
  3   unknown   it could not be seen whether all is well: refused, or the demo is stopped
  64  the command line is wrong")]
struct Doctor {
    /// The primary: a libpq URL or connection string
    #[arg(long, value_name = "URL")]
    primary: Option<String>,

    /// A replica; may be given more than once
    #[arg(long, value_name = "URL")]
    replica: Vec<String>,

    /// Print JSON: verdict, servers, findings
    #[arg(long)]
    json: bool,

    /// Print the verdict's line only
    #[arg(long, conflicts_with = "json")]
    brief: bool,

    /// Read all rows of operations to check the sums, which may take minutes
    #[arg(long)]
    full: bool,

    /// The folder of the native demo [default: $STATE_DIR/demo, or .state/demo]
    #[arg(long, value_name = "FOLDER", env = "DEMO_DIR")]
    demo: Option<PathBuf>,
}

/// What shells expect of a wrong command line; 2, which clap would give, is a verdict here.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let Command::Doctor(arguments) = cli.command;
    match doctor(&arguments) {
        Ok(report) => {
            print(&report, &arguments);
            ExitCode::from(report.verdict.exit_code())
        }
        Err(error) => {
            eprintln!("operations-lab doctor: {error}");
            ExitCode::from(USAGE)
        }
    }
}

fn doctor(arguments: &Doctor) -> Result<Report, Error> {
    let options = Options { full: arguments.full, ..Options::default() };
    let named = arguments.primary.iter().map(|url| Target::from_url(Role::Primary, url));
    let replicas = arguments.replica.iter().map(|url| Target::from_url(Role::Replica, url));
    let named = named.chain(replicas).collect::<Result<Vec<_>, _>>()?;
    if !named.is_empty() {
        return Ok(examine(&named, &options));
    }
    let folder = arguments.demo.clone().unwrap_or_else(|| {
        let state = std::env::var_os("STATE_DIR").filter(|state| !state.is_empty());
        PathBuf::from(state.unwrap_or_else(|| ".state".into())).join("demo")
    });
    match Demo::open(&folder)? {
        Some(demo) if !demo.is_stopped() => Ok(examine(&demo.servers(), &options)),
        Some(_) => Ok(stopped(&format!("the demo in {} is stopped; its data are kept", folder.display()))),
        None => Ok(stopped(&format!(
            "there is no demo in {}; other servers are named by --primary and --replica",
            folder.display()
        ))),
    }
}

fn stopped(evidence: &str) -> Report {
    Report::new(Vec::new(), vec![Finding::new(codes::DEMO_STOPPED, Severity::Unknown, "demo", evidence, "make demo")])
}

fn print(report: &Report, arguments: &Doctor) {
    let text = if arguments.json {
        serde_json::to_string_pretty(report)
            .map_or_else(|error| format!("{{\"error\": \"{error}\"}}\n"), |json| json + "\n")
    } else if arguments.brief {
        report.headline() + "\n"
    } else {
        report.text()
    };
    // A reader that went away, as of `| head`, is no error.
    let _ = std::io::Write::write_all(&mut std::io::stdout().lock(), text.as_bytes());
}
