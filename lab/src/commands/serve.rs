//! The page on the command line.

use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;

use clap::Args;
use operations_lab::Error;
use operations_lab::compose::SERVERS_FOLDER;
use operations_lab::demo::Layout;
use operations_lab::serve::{Options, PORT, Servers, run};
use tokio::sync::Notify;

use super::demo::Folder;
use super::named::Named;
use super::usage::whole;

/// What of root's environment the servers' user gets.
const KEPT: [&str; 6] = ["PATH", "LANG", "LC_ALL", "TZ", SERVERS_FOLDER, "LAB_PASSWORD"];

/// Serves the live page, and metrics for Prometheus at /metrics, until SIGTERM or Ctrl-C.
///
/// Without --primary and --replica it watches the native demo, as a role that may only look (docs/security.md); make demo does
/// this in the background. Passwords of other servers come from PGPASSWORD, from the file PGPASSFILE or from ~/.pgpass.
/// docs/metrics.md lists the metrics.
#[derive(Args)]
pub struct Serve {
    /// The interface to listen on: 127.0.0.1 lets nobody else in; there is no password
    #[arg(long, value_name = "ADDRESS", env = "LAB_HOST", default_value = "127.0.0.1")]
    listen: String,

    /// The port
    #[arg(long, env = "LAB_PORT", default_value_t = PORT, value_parser = whole::<u16>(1..=65_535))]
    port: u16,

    /// Names, besides 127.0.0.1 and localhost, by which it may be asked, with commas between them
    #[arg(long, value_name = "NAMES", env = "LAB_NAMES", value_delimiter = ',')]
    names: Vec<String>,

    #[command(flatten)]
    named: Named,

    #[command(flatten)]
    folder: Folder,
}

impl Serve {
    /// Runs the command; returns its exit code.
    pub fn run(&self) -> Result<u8, Error> {
        let named = self.named.targets()?;
        let servers = match named.is_empty() {
            true => match self.folder.get() {
                // Who runs the servers may be unable to reach the state folder.
                Some(folder) if !rustix::process::geteuid().is_root() => Servers::Demo(folder.to_owned()),
                folder => {
                    let layout = Layout::find(folder)?;
                    if layout.owner.is_lent() {
                        return self.run_as_owner(&layout);
                    }
                    Servers::Demo(layout.folder)
                }
            },
            false => Servers::Named(named),
        };
        let stop = Arc::new(Notify::new());
        let told = Arc::clone(&stop);
        let caught = ctrlc::set_handler(move || told.notify_one());
        caught.map_err(|error| Error::Environment(format!("signals cannot be caught: {error}")))?;
        if !std::io::stdin().is_terminal() {
            // In the background the terminal's signals are not meant for it. It may lead a session already.
            let _ = rustix::process::setsid();
        }
        let options = Options { host: self.listen.clone(), port: self.port, names: self.names.clone(), servers };
        run(options, &stop).map(|()| 0)
    }

    /// Whoever answers others is not root. Returns only if that fails.
    fn run_as_owner(&self, layout: &Layout) -> Result<u8, Error> {
        let mut command = without_secrets(Command::new("/proc/self/exe"));
        command.args(["serve", "--listen", &self.listen, "--port", &self.port.to_string()]);
        if !self.names.is_empty() {
            command.arg("--names").arg(self.names.join(","));
        }
        command.arg("--demo").arg(&layout.folder);
        let source = layout.owner.runs(&mut command).exec();
        Err(Error::Io { what: format!("become the user {}", layout.owner.name), source })
    }
}

/// Root's environment may hold secrets, and whoever a process runs as can read its environment.
fn without_secrets(mut command: Command) -> Command {
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| KEPT.iter().any(|kept| name == kept)));
    command
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_not_named_is_handed_on() {
        // Cargo gives this to each test.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        let output = without_secrets(Command::new("env")).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let names: Vec<_> = printed.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        assert!(names.contains(&"PATH") && names.iter().all(|name| KEPT.contains(name)), "{names:?}");
    }
}
