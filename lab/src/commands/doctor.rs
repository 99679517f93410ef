//! The doctor on the command line.

use clap::Args;
use operations_lab::Error;
use operations_lab::demo::Demo;
use operations_lab::doctor::{Options, Report, Sums, examine};

use super::demo::Folder;
use super::named::Named;

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
pub struct Doctor {
    #[command(flatten)]
    named: Named,

    /// Print JSON: verdict, servers, findings
    #[arg(long)]
    json: bool,

    /// Print the verdict's line only
    #[arg(long, conflicts_with = "json")]
    brief: bool,

    /// Read all rows of operations to check the sums, which may take minutes
    #[arg(long)]
    full: bool,

    #[command(flatten)]
    folder: Folder,
}

impl Doctor {
    /// Prints the verdict; returns its exit code.
    pub fn run(&self) -> Result<u8, Error> {
        let report = self.examine()?;
        let text = if self.json {
            serde_json::to_string_pretty(&report)
                .map_or_else(|error| format!("{{\"error\": \"{error}\"}}\n"), |json| json + "\n")
        } else if self.brief {
            report.headline() + "\n"
        } else {
            report.text()
        };
        // A reader that went away, as of `| head`, is no error.
        let _ = std::io::Write::write_all(&mut std::io::stdout().lock(), text.as_bytes());
        Ok(report.verdict.exit_code())
    }

    fn examine(&self) -> Result<Report, Error> {
        let sums = if self.full { Sums::All } else { Sums::Sample };
        let options = Options { sums, ..Options::default() };
        let named = self.named.targets()?;
        if !named.is_empty() {
            return Ok(examine(&named, &options));
        }
        let demo = Demo::as_started(self.folder.get())?;
        demo.warn_of_other_ports();
        Ok(demo.examine(&options))
    }
}
