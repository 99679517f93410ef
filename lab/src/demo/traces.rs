//! What the files of the demo's servers tell where the servers themselves do not: why one is down, and why a replica is not let
//! in.

use std::io;
use std::path::{Path, PathBuf};

use crate::demo::Demo;
use crate::demo::servers::{SCRIPT, read_from};
use crate::doctor::{Finding, NO_ANSWER, Report, Severity, codes, disk};
use crate::role::Role;

/// The last part of a log that is read.
const END_OF_LOG: u64 = 64 * 1024;

/// What happened so long before the end of a log has to do with the end.
const LAST_SECONDS: i64 = 10;
/// What mends the data of a replica, and does not hurt a primary.
const NEW_CLONE: &str = "make stop; make demo # clones a replica anew; a primary must be restored";

const DAY: i64 = 24 * 60 * 60;

/// What the primary says to a replica that it does not let in.
const REFUSALS: [&str; 3] =
    ["password authentication failed", "no pg_hba.conf entry", "must be superuser or replication role"];

/// Adds to a report what the files tell.
pub(crate) fn explain(demo: &Demo, report: Report) -> Report {
    let Report { servers, mut findings, .. } = report;
    for (role, one) in demo.servers() {
        let name = one.target(role).name();
        let of = |finding: &Finding, code: &str| finding.server == name && finding.code == code;
        let (data, log) = (one.layout.data(role), one.layout.log(role));
        if let Some(down) = findings.iter_mut().find(|finding| of(finding, codes::SERVER_DOWN)) {
            let log = end_of(demo, &log);
            let why =
                at_work(&log).or_else(|| last_words(since_its_start(&log), |message| !is_of_walreceiver(message)));
            down.evidence = match why {
                Some(last) => format!("{}; its log: {last}", down.evidence),
                None => format!("{}; its log gives no reason (stopped, or killed)", down.evidence),
            };
            findings.extend(
                demo.layout.owner.files(|| missing_file(data.path())).ok().flatten().map(|file| gone(&name, &file)),
            );
        }
        if one.layout.upstream.is_some()
            && let Some(missing) = findings.iter_mut().find(|finding| of(finding, "receiver_missing"))
        {
            missing.evidence.push_str(&format!("; it follows the replica on port {}", one.upstream_port()));
        }
        if let Some(gone) = findings.iter_mut().find(|finding| of(finding, codes::UPSTREAM_GONE)) {
            "make demo # starts whom it follows; make demo CASCADE=off has it follow the primary"
                .clone_into(&mut gone.next_command);
        }
        for finding in findings.iter_mut().filter(|finding| finding.server == name) {
            match finding.code.as_str() {
                codes::TWO_WRITABLE_SERVERS => "make rejoin # the one on the older timeline becomes a replica",
                codes::WRITES_WAIT => "make demo # starts the replica; with SYNC=off it goes on without",
                codes::TIMELINE_DIFFERS | codes::FILES_MISSING => NEW_CLONE,
                _ => continue,
            }
            .clone_into(&mut finding.next_command);
        }
        if servers.iter().any(|server| server.name == name && server.state == NO_ANSWER) {
            findings.extend(disk::look_at(&name, data.path()));
        }
        if role == Role::Replica
            && findings.iter().any(|finding| of(finding, "receiver_missing"))
            && let Some(last) = last_words(&end_of(demo, &log), |_| true)
            && REFUSALS.iter().any(|refusal| last.contains(refusal))
        {
            findings.push(Finding::new(
                codes::REPLICATION_REFUSED,
                Severity::Broken,
                &name,
                format!("the primary does not let it in: {last}"),
                format!(
                    "alter role {} password '..'; -- on the primary: the one that the replica was started with; or mend pg_hba.conf",
                    demo.settings.replication_user
                ),
            ));
        }
    }
    Report::new(servers, findings)
}

fn end_of(demo: &Demo, log: &Path) -> String {
    let size = demo.layout.owner.files(|| std::fs::metadata(log)).map_or(0, |found| found.len());
    read_from(demo, log, size.saturating_sub(END_OF_LOG)).unwrap_or_default()
}

/// What the script that runs the replica is at, if the log ends with it.
fn at_work(log: &str) -> Option<String> {
    let last = log.lines().next_back()?;
    last.starts_with(SCRIPT).then(|| last.to_owned())
}

/// What the log has of the server that ran last: what came before is of an earlier one.
fn since_its_start(log: &str) -> &str {
    let starts = ["LOG:  starting PostgreSQL", "LOG:  database system is ready to accept"];
    let start = starts.iter().filter_map(|start| log.rfind(start)).max();
    start.map_or(log, |start| &log[start..])
}

/// Of a replica that cannot reach its primary: it goes on without.
fn is_of_walreceiver(message: &str) -> bool {
    [
        "could not connect to the primary",
        "could not receive data from WAL stream",
        "could not start WAL streaming",
        "could not send",
    ]
    .iter()
    .any(|text| message.contains(text))
        || message.contains("walreceiver")
        || message.contains("database system identifier differs")
}

/// What a process of the server itself, not a session of it, has died of in the last seconds of the log, if that `counts`.
fn last_words(log: &str, counts: impl Fn(&str) -> bool) -> Option<String> {
    let end = log.lines().rev().find_map(seconds_of)?;
    let last = || {
        log.lines()
            .rev()
            .take_while(move |line| seconds_of(line).is_none_or(|at| (end - at).rem_euclid(DAY) <= LAST_SECONDS))
    };
    // Sessions name their user and database before the severity.
    let own = |line: &str| Some(line.split_once("] ")?.1.split_whitespace().collect::<Vec<_>>().join(" "));
    let panic = last().find_map(|line| Some(format!("PANIC: {}", line.split_once("PANIC:")?.1.trim_start())));
    let killed = || {
        last()
            .filter_map(own)
            .find(|message| message.starts_with("LOG:") && message.contains("was terminated by signal"))
    };
    let fatal = || {
        let is_fatal = |message: &String| {
            message.starts_with("FATAL:") && !message.ends_with("due to administrator command") && counts(message)
        };
        last().filter_map(own).find(is_fatal)
    };
    panic.or_else(killed).or_else(fatal)
}

/// The time of day of a line, as log_line_prefix puts it: `2026-11-25 11:00:02.000 UTC [7]`.
fn seconds_of(line: &str) -> Option<i64> {
    let mut time = line.split(' ').nth(1)?.split(['.', ':']).take(3).map(|part| part.parse::<i64>().ok());
    Some((time.next()?? * 60 + time.next()??) * 60 + time.next()??)
}

/// One that no server can do without.
fn missing_file(data: &Path) -> io::Result<Option<PathBuf>> {
    let mut needed = vec![data.join("global/pg_control")];
    for database in std::fs::read_dir(data.join("base"))? {
        let folder = database?.path();
        let is_database =
            folder.file_name().is_some_and(|name| name.to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()));
        if is_database {
            needed.push(folder.join("PG_VERSION"));
        }
    }
    Ok(needed.into_iter().find(|file| !file.exists()))
}

fn gone(server: &str, file: &Path) -> Finding {
    Finding::new(codes::FILES_MISSING, Severity::Broken, server, format!("{} is missing", file.display()), NEW_CLONE)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_those_of_the_server_itself() {
        let log = "\
2026-11-25 10:59:30.000 UTC [1] FATAL:  of long ago
2026-11-25 11:00:02.000 UTC [7] FATAL:  could not connect:  password authentication failed
2026-11-25 11:00:03.000 UTC [8] postgres@db psql FATAL:  sorry, too many clients already
2026-11-25 11:00:03.000 UTC [9] FATAL:  terminating walreceiver process due to administrator command
";
        assert_eq!(last_words(log, |_| true).unwrap(), "FATAL: could not connect: password authentication failed");
        let killed = format!(
            "{log}2026-11-25 11:00:03.500 UTC [1] LOG:  client backend (PID 9) was terminated by signal 9: Killed\n"
        );
        assert_eq!(
            last_words(&killed, |_| true).unwrap(),
            "LOG: client backend (PID 9) was terminated by signal 9: Killed"
        );
        let panic =
            format!("{killed}2026-11-25 11:00:04.000 UTC [9] postgres@db psql PANIC:  could not write to file\n");
        assert_eq!(last_words(&panic, |_| true).unwrap(), "PANIC: could not write to file");
        assert_eq!(last_words("2026-11-25 00:00:01.000 UTC [1] LOG:  database system is shut down\n", |_| true), None);
        let midnight = "2026-11-24 23:59:59.000 UTC [1] FATAL:  before\n2026-11-25 00:00:01.000 UTC [1] LOG:  after\n";
        assert_eq!(last_words(midnight, |_| true).unwrap(), "FATAL: before");
        assert_eq!(last_words("", |_| true), None);
        assert_eq!(at_work(log), None);
        assert_eq!(at_work(&format!("{log}replica: cloning\n")).unwrap(), "replica: cloning");
    }

    #[test]
    fn an_earlier_server_and_a_primary_that_is_away_are_no_reason() {
        let log = "\
2026-11-25 11:00:00.000 UTC [1] LOG:  client backend (PID 9) was terminated by signal 9: Killed
2026-11-25 11:00:01.000 UTC [2] LOG:  database system is ready to accept connections
";
        let why = |log: &str| last_words(since_its_start(log), |message| !is_of_walreceiver(message));
        assert_eq!(why(log), None);
        let receiver = "2026-11-25 11:00:02.000 UTC [7] FATAL:  could not connect to the primary server: refused\n";
        assert_eq!(why(&format!("{log}{receiver}")), None);
        let own = "2026-11-25 11:00:02.000 UTC [2] FATAL:  could not open file\n";
        assert_eq!(why(&format!("{log}{own}")).unwrap(), "FATAL: could not open file");
    }

    #[test]
    fn a_database_without_its_version_is_missing_a_file() {
        let data = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(data.path().join("base/5")).unwrap();
        std::fs::create_dir_all(data.path().join("base/pgsql_tmp")).unwrap();
        std::fs::create_dir(data.path().join("global")).unwrap();
        std::fs::write(data.path().join("global/pg_control"), "x").unwrap();
        assert!(missing_file(data.path()).unwrap().unwrap().ends_with("base/5/PG_VERSION"));
        std::fs::write(data.path().join("base/5/PG_VERSION"), "16").unwrap();
        assert_eq!(missing_file(data.path()).unwrap(), None);
    }
}
