//! Throw-away servers for the tests of an application.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::mpsc;

use clap::Args;
use operations_lab::say::say;
use operations_lab::throwaway::Server;
use operations_lab::tools::{Postgres, State, install, test_environment};
use operations_lab::{DATABASE, Error, SUPERUSER};

use super::FAILED;
use super::usage::whole;

/// Starts a throw-away primary, and replicas of it, for the tests of an application.
///
/// Runs COMMAND with PRIMARY_URL, REPLICA_URL (of the first replica) and PGPASSWORD in its environment, and ends as it does. Without
/// a COMMAND it says how to connect, and waits for Ctrl-C. Then the servers are removed.
#[derive(Args)]
pub struct TestServers {
    /// How many replicas
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = whole::<u8>(0..=10))]
    replicas: u8,
    /// Make 20,000 operations of 2025-08 to 2025-11, of which 3,000 are done
    #[arg(long)]
    rows: bool,
    /// Run the jobs, as the demo does
    #[arg(long)]
    jobs: bool,
    /// A setting of the servers; may be given again
    #[arg(long = "setting", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("give NAME=VALUE")?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    if name.is_empty() || !name.chars().all(is_word) || value.contains('\n') {
        return Err("give NAME=VALUE, in one line".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

impl TestServers {
    /// Runs the command; returns its exit code.
    pub fn run(&self) -> Result<u8, Error> {
        if std::env::var_os("OPERATIONS_TEST_DIR").is_none() {
            return with_environment();
        }
        // Ctrl-C reaches the command, too; what is made here is removed at the end.
        let (sender, interrupted) = mpsc::channel();
        let caught = ctrlc::set_handler(move || {
            let _ = sender.send(());
        });
        caught.map_err(|error| Error::Environment(format!("signals cannot be caught: {error}")))?;

        let mut primary = Server::primary().with_extension();
        if self.rows {
            primary = primary.with_rows();
        }
        if self.jobs {
            primary = primary.with_worker();
        }
        for (name, value) in &self.settings {
            primary = primary.setting(name, value);
        }
        let primary = primary.start()?;
        if self.jobs {
            primary.session()?.batch_execute("CALL public.operations_schedule()")?;
        }
        let replicas = (1..=self.replicas).map(|number| {
            let replica = primary.replica().slot(&format!("replica_{number}"));
            self.settings.iter().fold(replica, |replica, (name, value)| replica.setting(name, value)).start()
        });
        let replicas = replicas.collect::<Result<Vec<_>, _>>()?;
        if interrupted.try_recv().is_ok() {
            return Ok(super::INTERRUPTED);
        }
        match self.command.split_first() {
            Some((program, arguments)) => run_beside(program, arguments, &primary, &replicas),
            None => {
                say(&format!("Password: {}", primary.password()));
                say(&format!("Primary:  {}", url(&primary)));
                replicas.iter().for_each(|replica| say(&format!("Replica:  {}", url(replica))));
                say("Ctrl-C stops and removes them.");
                let _ = interrupted.recv();
                Ok(0)
            }
        }
    }
}

/// Runs this program anew, with what it takes to make servers; returns only if that fails.
fn with_environment() -> Result<u8, Error> {
    let state = State::find()?;
    let postgres = Postgres::need(&state)?;
    install(&state, &postgres)?;
    let this = std::env::current_exe().map_err(|source| Error::Io { what: "find this program".to_owned(), source })?;
    let source = Command::new(this).args(std::env::args_os().skip(1)).envs(test_environment(&state)?).exec();
    Err(Error::Io { what: "run this program".to_owned(), source })
}

fn run_beside(program: &OsString, arguments: &[OsString], primary: &Server, replicas: &[Server]) -> Result<u8, Error> {
    let mut command = Command::new(program);
    command.args(arguments).env("PRIMARY_URL", url(primary)).env("PGPASSWORD", primary.password());
    if let Some(replica) = replicas.first() {
        command.env("REPLICA_URL", url(replica));
    }
    let status = command.status();
    let status = status.map_err(|source| Error::Io { what: format!("run {}", program.to_string_lossy()), source })?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(FAILED))
}

fn url(server: &Server) -> String {
    format!("postgresql://{SUPERUSER}@127.0.0.1:{}/{DATABASE}", server.port())
}
