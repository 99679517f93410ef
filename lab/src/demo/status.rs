//! What lives, in one screen.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::connect::Refusal;
use crate::demo::Demo;
use crate::doctor::{Options, Verdict};
use crate::error::{Context, Error};
use crate::receipt;
use crate::role::Role;
use crate::say::{say, warn};
use crate::serve;

/// How a demo is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// All servers run, the replicas stream, the jobs do, and the doctor finds nothing wrong.
    Well,
    /// Something of that is missing.
    Unwell,
    /// No server runs.
    Stopped,
}

const PRIMARY: &str = "\
    select format('running, PostgreSQL %s, up %s', current_setting('server_version'), \
                  date_trunc('second', now() - pg_postmaster_start_time()))";

/// As the primary sees its replica: how far it is behind, or what is kept for it.
const REPLICA: &str = include_str!("status_replica.sql");

/// What lives in the database, as a script for psql.
const DATABASE: &str = include_str!("status.sql");

/// Prints the status of the demo in a folder.
pub fn status(folder: Option<&Path>) -> Result<Health, Error> {
    let demo = Demo::as_started(folder)?;
    demo.warn_of_other_ports();
    let servers = demo.servers();
    let first_that_runs = servers.iter().find(|(role, one)| one.is_running(*role));
    let all_run = servers.iter().all(|(role, one)| one.is_running(*role));
    let Some((role, first)) = first_that_runs else {
        say(match demo.layout.data(Role::Primary).path().exists() {
            true => "The demo is stopped; its data are kept (make demo starts it)",
            false => "There is no demo yet (make demo makes it)",
        });
        return Ok(Health::Stopped);
    };
    let report = demo.examine(&Options::default());
    say(&report.headline());
    say("");
    demo.say_servers();
    demo.say_receipt();
    say("");
    let shown = first.say_database(*role)?;
    let mut reasons = demo.missing().reasons;
    reasons.extend(crate::drill::nothing_aside(&demo).err().map(|error| error.to_string()));
    if report.verdict != Verdict::Ok {
        reasons.push(format!("the doctor's verdict is {} (make doctor says why)", report.verdict.word()));
    }
    if !reasons.is_empty() {
        say(&format!("\nNot well: {}", reasons.join("; ")));
    }
    let well = all_run && shown && reasons.is_empty();
    Ok(if well { Health::Well } else { Health::Unwell })
}

impl Demo {
    fn say_servers(&self) {
        let primary_runs = self.is_running(Role::Primary);
        let primary = match primary_runs {
            true => first_line(self.ask(Role::Primary, PRIMARY)),
            false => "stopped".to_owned(),
        };
        self.say_server(Role::Primary, &primary);
        for one in self.replicas() {
            one.say_server(Role::Replica, &one.replica_state(primary_runs));
        }
    }

    /// How the replica is, as whom it follows sees it.
    fn replica_state(&self, primary_runs: bool) -> String {
        let query = self.of_the_replica(REPLICA);
        let through = match &self.layout.upstream {
            Some(_) => format!(", through the replica on port {}", self.upstream_port()),
            None => String::new(),
        };
        match (primary_runs, self.is_running(Role::Replica)) {
            (false, false) => "stopped".to_owned(),
            (true, false) => {
                let kept = self.ask_upstream(&query).unwrap_or_default();
                format!("stopped{}", kept.strip_prefix("not streaming").unwrap_or_default())
            }
            (_, true) if self.is_promoted() => "a primary of its own, on an older timeline: make rejoin".to_owned(),
            (true, true) => match self.ask_upstream(&query) {
                Err(_) if !through.is_empty() => format!("running{through}, which does not answer"),
                Err(_) => "running; the primary does not say how far it is".to_owned(),
                answer => first_line(answer) + &through,
            },
            (false, true) => "running, but it has no primary to follow".to_owned(),
        }
    }

    fn say_server(&self, role: Role, state: &str) {
        let (name, address) = (role.to_string(), format!("127.0.0.1:{}", self.port(role)));
        say(&format!("{name:<12} {address:<17} {state}"));
    }

    /// What the receipt says, in a line.
    fn say_receipt(&self) {
        let state = match receipt::whole(self) {
            _ if !receipt::is_running(self) => "not written (make demo starts it)".to_owned(),
            Ok(report) => report.line(),
            Err(error) => error.to_string(),
        };
        say(&format!("{:<12} {:<17} {state}", "receipt", ""));
        let page = match self.settings.lab_port {
            Some(port) if serve::is_running(&self.layout) => format!("http://127.0.0.1:{port}/"),
            Some(_) => "not served (make demo serves it)".to_owned(),
            None => "not served (LAB_PORT=off)".to_owned(),
        };
        say(&format!("{:<12} {:<17} {page}", "page", ""));
    }

    /// Whether all of it could be shown.
    fn say_database(&self, role: Role) -> Result<bool, Error> {
        let mut psql = self.psql(role)?;
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1", "--file", "-"]);
        psql.env("PGCONNECT_TIMEOUT", "5").env("PGOPTIONS", "-c statement_timeout=20s").stdin(Stdio::piped());
        psql.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = psql.spawn().context(|| "run psql".to_owned())?;
        if let Some(mut stdin) = child.stdin.take() {
            // psql that ended says itself why.
            let _ = stdin.write_all(DATABASE.as_bytes());
        }
        let output = child.wait_with_output().context(|| "wait for psql".to_owned())?;
        // Names, and errors with names in them, are others' to choose; `say` lets no terminal obey what is in them.
        let [said, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        say(said.trim_end_matches('\n'));
        if !errors.is_empty() {
            warn(errors.trim_end_matches('\n'));
        }
        Ok(output.status.success())
    }

    /// psql, as the superuser of a server. It runs what comes from no terminal as the servers' user: a file that this user could
    /// write may have a `\!` in it. Who to connect to is in the environment: the settings come from a file that the
    /// server's user can write, and an argument could be a connection string. A password is seen there by nobody else.
    pub fn psql(&self, role: Role) -> Result<Command, Error> {
        let programs = self.programs(role)?;
        let settings = &self.settings;
        let mut psql = programs.command("psql");
        psql.arg("--no-password")
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.port(role).to_string())
            .env("PGUSER", &settings.user)
            .env("PGPASSWORD", &settings.password)
            .env("PGDATABASE", &settings.database);
        if !std::io::stdin().is_terminal() {
            self.layout.owner.runs(&mut psql);
        }
        Ok(psql)
    }
}

fn first_line(answer: Result<String, Refusal>) -> String {
    let text = answer.unwrap_or_else(|refusal| refusal.to_string());
    text.lines().next().unwrap_or_default().to_owned()
}
