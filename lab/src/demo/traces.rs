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

/// The last thing that a process of the server itself, not a session of it, has died of since the last start.
fn last_words(log: &str) -> Option<String> {
    let since_start = log.rfind("starting PostgreSQL").map_or(log, |start| &log[start..]);
    since_start.lines().rev().find_map(|line| {
        // Sessions name their user and database before the severity.
        let (_, message) = line.split_once("] ")?;
        let died = message.starts_with("FATAL:")
            || message.starts_with("LOG:") && message.contains("was terminated by signal");
        let panicked = message.split_once("PANIC:").map(|(_, rest)| format!("PANIC: {}", rest.trim_start()));
        panicked.or_else(|| died.then(|| message.split_whitespace().collect::<Vec<_>>().join(" ")))
    })
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
2026-11-25 11:00:00.000 UTC [1] FATAL:  of an earlier start
2026-11-25 11:00:01.000 UTC [1] LOG:  starting PostgreSQL 16.14
2026-11-25 11:00:02.000 UTC [7] FATAL:  could not connect:  password authentication failed
2026-11-25 11:00:03.000 UTC [8] postgres@db psql FATAL:  sorry, too many clients already
";
        assert_eq!(last_words(log).unwrap(), "FATAL: could not connect: password authentication failed");
        let panic = format!("{log}2026-11-25 11:00:04.000 UTC [9] postgres@db psql PANIC:  could not write to file\n");
        assert_eq!(last_words(&panic).unwrap(), "PANIC: could not write to file");
        let signal = "x [1] LOG:  client backend (PID 9) was terminated by signal 9: Killed\n";
        assert_eq!(last_words(signal).unwrap(), "LOG: client backend (PID 9) was terminated by signal 9: Killed");
        assert_eq!(last_words("x [1] LOG:  starting PostgreSQL 16.14\n"), None);
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
