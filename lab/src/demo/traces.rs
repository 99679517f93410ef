//! What the files of the demo's servers tell where the servers themselves do not: why one is down, and why a replica is not let
//! in.

use std::io;
use std::path::{Path, PathBuf};

use crate::demo::servers::read_from;
use crate::demo::{Demo, SERVERS};
use crate::doctor::{Finding, NO_ANSWER, Report, Severity, codes, disk};
use crate::role::Role;

/// The last part of a log that is read.
const END_OF_LOG: u64 = 64 * 1024;

/// What happened so long before the end of a log has to do with the end.
const LAST_SECONDS: i64 = 10;
const DAY: i64 = 24 * 60 * 60;

/// What the primary says to a replica that it does not let in.
const REFUSALS: [&str; 3] =
    ["password authentication failed", "no pg_hba.conf entry", "must be superuser or replication role"];

/// Adds to a report what the files tell.
pub(crate) fn explain(demo: &Demo, report: Report) -> Report {
    let Report { servers, mut findings, .. } = report;
    for role in SERVERS {
        let name = demo.target(role).name();
        let of = |finding: &Finding, code: &str| finding.server == name && finding.code == code;
        let (data, log) = (demo.layout.data(role), demo.layout.log(role));
        if let Some(down) = findings.iter_mut().find(|finding| of(finding, codes::SERVER_DOWN)) {
            if let Some(last) = last_words(&end_of(demo, &log)) {
                down.evidence = format!("{}; its log: {last}", down.evidence);
            }
            findings.extend(
                demo.layout.owner.files(|| missing_file(data.path())).ok().flatten().map(|file| gone(&name, &file)),
            );
        }
        if servers.iter().any(|server| server.name == name && server.state == NO_ANSWER) {
            findings.extend(disk::look_at(&name, data.path()));
        }
        if role == Role::Replica
            && findings.iter().any(|finding| of(finding, "receiver_missing"))
            && let Some(last) = last_words(&end_of(demo, &log))
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

/// What a process of the server itself, not a session of it, has died of in the last seconds of the log.
fn last_words(log: &str) -> Option<String> {
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
        let is_fatal =
            |message: &String| message.starts_with("FATAL:") && !message.ends_with("due to administrator command");
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
    Finding::new(
        codes::FILES_MISSING,
        Severity::Broken,
        server,
        format!("{} is missing", file.display()),
        "make demo # clones a replica anew; a primary must be restored",
    )
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
        assert_eq!(last_words(log).unwrap(), "FATAL: could not connect: password authentication failed");
        let killed = format!(
            "{log}2026-11-25 11:00:03.500 UTC [1] LOG:  client backend (PID 9) was terminated by signal 9: Killed\n"
        );
        assert_eq!(last_words(&killed).unwrap(), "LOG: client backend (PID 9) was terminated by signal 9: Killed");
        let panic =
            format!("{killed}2026-11-25 11:00:04.000 UTC [9] postgres@db psql PANIC:  could not write to file\n");
        assert_eq!(last_words(&panic).unwrap(), "PANIC: could not write to file");
        assert_eq!(last_words("2026-11-25 00:00:01.000 UTC [1] LOG:  database system is shut down\n"), None);
        let midnight = "2026-11-24 23:59:59.000 UTC [1] FATAL:  before\n2026-11-25 00:00:01.000 UTC [1] LOG:  after\n";
        assert_eq!(last_words(midnight).unwrap(), "FATAL: before");
        assert_eq!(last_words(""), None);
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
