//! Starts, stops and asks the demo's servers.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::connect::{Refusal, session};
use crate::demo::lock::{DataLock, end_watcher};
use crate::demo::{Demo, Programs};
use crate::error::{Context, DemoError, Error};
use crate::long;
use crate::role::Role;
use crate::say::{say, warn};
use crate::server::process::wait_gone;
use crate::server::{DataDirectory, Stop, open_to_read, quoted_for_shell, text};
use crate::target::Target;

/// How long a server may take to start; recovery after a crash is part of it.
pub(crate) const START: Duration = Duration::from_secs(120);

/// How long a server may take to stop.
const STOP: Duration = Duration::from_secs(30);

/// How long several replicas may take to stop at once, before each is looked after by itself.
const TOGETHER: Duration = Duration::from_secs(10);

/// A log that has grown beyond this is put aside at the next start.
const LARGE_LOG: u64 = 20_000_000;

/// How the lines of the replica's script begin, which are in the replica's log.
pub(crate) const SCRIPT: &str = "replica: ";

/// Asks a server; one row a line, columns parted by `|`.
pub(super) fn ask(target: &Target, query: &str) -> Result<String, Refusal> {
    let mut session = session(target, Duration::from_secs(5), Duration::from_secs(20))?;
    text(&mut session, query).map_err(|error| match error {
        Error::Statement { source, .. } => Refusal::of(&source),
        other => Refusal::Other(other.to_string()),
    })
}

impl Demo {
    /// Asks a server; one row a line, columns parted by `|`.
    pub fn ask(&self, role: Role, query: &str) -> Result<String, Refusal> {
        ask(&self.target(role).with_password(&self.settings.password), query)
    }

    /// Whether the replica is a primary of its own now.
    #[must_use]
    pub fn is_promoted(&self) -> bool {
        self.ask(Role::Replica, "select pg_is_in_recovery()").is_ok_and(|answer| answer == "f")
    }

    /// What a server calls itself.
    fn cluster_name(&self, role: Role) -> String {
        match self.layout.number(role) {
            number if number > 1 => format!("operations_{role}_{number}"),
            _ => format!("operations_{role}"),
        }
    }

    /// The settings in which the servers differ, and these: each `name=value`.
    pub(crate) fn server_settings(&self, role: Role, settings: &[String]) -> Vec<String> {
        let layout = &self.layout;
        let mut all = vec![
            format!("config_file={}", layout.docker().join("postgresql.conf").display()),
            format!("unix_socket_directories={}", layout.sockets().display()),
            format!("cluster_name={}", self.cluster_name(role)),
            format!("port={}", self.port(role)),
            "listen_addresses=127.0.0.1".to_owned(),
            format!("wal_level={}", self.settings.wal_level),
        ];
        all.extend_from_slice(settings);
        all
    }

    /// Starts a server with these settings, and waits until it takes connections.
    pub(crate) fn start_server(
        &self,
        programs: &Programs,
        role: Role,
        data: &DataDirectory,
        settings: &[String],
    ) -> Result<(), Error> {
        let log = LogMark::set(self, role)?;
        let lock = DataLock::take(&self.layout, role, data)?;
        // pg_ctl hands the options to a shell.
        let settings = self.server_settings(role, settings);
        let options: String = settings.iter().map(|setting| format!(" -c {}", quoted_for_shell(setting))).collect();
        let mut command = programs.command("pg_ctl");
        command.args(["start", "-s", "-w", "-t", &START.as_secs().to_string(), "-D"]).arg(data.path());
        command.arg("-l").arg(self.layout.log(role)).arg("-o").arg(options);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = lock.spawn(self.layout.owner.runs(&mut command))?;
        if long::wait(child, "    ", || log.last_line())?.success() {
            return lock.remember(data.path());
        }
        let log_file = self.layout.log(role);
        Err(DemoError::NotStarted { server: role, why: log.reason(), log: log_file }.into())
    }

    /// Stops a server fast, and the hard way when that takes too long. Whether there was one to stop.
    pub(crate) fn stop_server(&self, role: Role, data: &DataDirectory) -> Result<bool, Error> {
        end_watcher(&self.layout, role, data)?;
        match data.stop(Stop::Fast, STOP) {
            Err(Error::Timeout { .. }) => {}
            ended => return ended,
        }
        warn(&format!(
            "The {role} did not stop within {} s: stopping it at once (it will recover at its next start)",
            STOP.as_secs()
        ));
        data.stop(Stop::Immediate, STOP).map_err(|error| match error {
            Error::Timeout { .. } => DemoError::DoesNotStop { server: role, log: self.layout.log(role) }.into(),
            other => other,
        })
    }

    /// Stops all servers, the replicas first, and one that is being made.
    pub(crate) fn stop_servers(&self) -> Result<(), Error> {
        let mut stopped = String::new();
        let servers = self.servers();
        let told = tell_to_stop(&self.replicas())?;
        for (role, one) in servers.into_iter().rev() {
            let was_told = role == Role::Replica && told.contains(&one.port(role));
            if one.stop_server(role, &one.layout.data(role))? || was_told {
                let number = if self.has_several() && role == Role::Replica {
                    format!(" ({})", one.port(role))
                } else {
                    String::new()
                };
                stopped.push_str(&format!(" {role}{number}"));
            }
        }
        self.stop_server(Role::Primary, &self.layout.half_made())?;
        match stopped.as_str() {
            "" => say("The demo is not running"),
            stopped => say(&format!("Stopped:{stopped}")),
        }
        Ok(())
    }
}

/// Several replicas stop at once; one alone is left to who stops it. Who does not stop now is stopped as one alone. The ports of those
/// that were told.
pub(super) fn tell_to_stop(replicas: &[Demo]) -> Result<Vec<u16>, Error> {
    let (mut told, mut processes) = (Vec::new(), Vec::new());
    for one in replicas.iter().filter(|_| replicas.len() > 1) {
        let data = one.layout.data(Role::Replica);
        end_watcher(&one.layout, Role::Replica, &data)?;
        let ending = data.signal(Stop::Fast.signal())?;
        if !ending.is_empty() {
            told.push(one.port(Role::Replica));
        }
        processes.extend(ending);
    }
    let _ = wait_gone("the replicas to stop", &processes, TOGETHER);
    Ok(told)
}

/// Where the log of a server ended before a start.
pub(crate) struct LogMark<'a> {
    demo: &'a Demo,
    role: Role,
    from: u64,
}

impl<'a> LogMark<'a> {
    /// Marks the end of a log; puts a large one aside.
    pub fn set(demo: &'a Demo, role: Role) -> Result<Self, Error> {
        let (log, owner) = (demo.layout.log(role), &demo.layout.owner);
        let size = || owner.files(|| std::fs::metadata(&log)).map_or(0, |found| found.len());
        if size() > LARGE_LOG {
            let old = log.with_extension("log.1");
            owner.files(|| std::fs::rename(&log, &old)).context(|| format!("rename {}", log.display()))?;
        }
        Ok(Self { demo, role, from: size() })
    }

    /// The last error in what the log has gained.
    pub fn reason(&self) -> String {
        let gained = self.gained().unwrap_or_default();
        // What the script says it has said already.
        let lines = gained.lines().filter(|line| !line.starts_with(SCRIPT));
        let reason = lines.rev().find_map(|line| {
            let found = ["FATAL", "PANIC", "ERROR"].map(|severity| {
                let (_, message) = line.split_once(&format!("{severity}:"))?;
                Some(format!("{severity}: {}", message.trim_start()))
            });
            found.into_iter().flatten().next()
        });
        reason.unwrap_or_default()
    }

    pub(crate) fn last_line(&self) -> Option<String> {
        Some(self.gained().ok()?.lines().last()?.chars().take(100).collect())
    }

    fn gained(&self) -> io::Result<String> {
        read_from(self.demo, &self.demo.layout.log(self.role), self.from)
    }
}

/// The end of a file of the demo, of at most a megabyte.
pub(crate) fn read_from(demo: &Demo, path: &Path, from: u64) -> io::Result<String> {
    demo.layout.owner.files(|| {
        let mut file = open_to_read(path)?;
        let from = from.max(file.metadata()?.len().saturating_sub(1 << 20));
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(1 << 20).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_takes_what_is_quoted_as_it_is() {
        let text = r#"a'b "c" $HOME \ `d`"#;
        let output = Command::new("sh").arg("-c").arg(format!("printf %s {}", quoted_for_shell(text))).output();
        assert!(output.is_ok_and(|output| output.stdout == text.as_bytes()));
    }
}
