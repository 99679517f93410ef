//! Disk space, where the server's files are on this machine.

use std::path::{Path, PathBuf};

use super::codes::DISK_LOW;
use super::facts::Facts;
use super::finding::{Finding, Severity};
use crate::lsn::bytes;
use crate::server::Owner;

/// Less than this is little: the demo's WAL may take 2 GB, and a checkpoint's worth is soon written.
const LITTLE: u64 = 1 << 30;

/// Less than this is a few seconds of a load.
const NOTHING: u64 = 128 << 20;

/// Looks at the file systems of the data and of the WAL.
#[must_use]
pub fn look(server: &str, facts: &Facts) -> Vec<Finding> {
    let Some(data) = facts.data_directory.as_deref().map(PathBuf::from).filter(|data| is_of(data, facts)) else {
        return Vec::new();
    };
    look_at(server, &data)
}

/// Looks at the file systems of a data directory and of its WAL, whether its server runs or not.
#[must_use]
pub fn look_at(server: &str, data: &Path) -> Vec<Finding> {
    let wal = std::fs::canonicalize(data.join("pg_wal")).unwrap_or_else(|_| data.join("pg_wal"));
    let places = [("data", data.to_owned()), ("WAL", wal)];
    let spaces = places.iter().filter_map(|(what, path)| {
        let space = rustix::fs::statvfs(path).ok()?;
        finding(server, what, path, space.f_bavail.saturating_mul(space.f_frsize))
    });
    let mut findings: Vec<Finding> = Vec::new();
    for finding in spaces {
        // One file system for both is one finding.
        if findings.is_empty() || std::fs::read_link(data.join("pg_wal")).is_ok() {
            findings.push(finding);
        }
    }
    findings
}

fn finding(server: &str, what: &str, path: &Path, free: u64) -> Option<Finding> {
    let severity = match free {
        0..NOTHING => Severity::Broken,
        NOTHING..LITTLE => Severity::Degraded,
        _ => return None,
    };
    Some(Finding::new(
        DISK_LOW,
        severity,
        server,
        format!("{} are free where its {what} are: {}", bytes(free), path.display()),
        format!("df -h {}", path.display()),
    ))
}

/// Whether the folder is really this server's: another machine, or a container, may have one of the same name.
fn is_of(data: &Path, facts: &Facts) -> bool {
    let text = Owner::current().read(&data.join("postmaster.pid")).unwrap_or_default();
    // The third line is when the server started, to within the second.
    text.lines()
        .nth(2)
        .and_then(|line| line.trim().parse::<i64>().ok())
        .is_some_and(|started| (started - facts.started).abs() <= 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_space_is_told_by_how_little() {
        let severity = |free| finding("s", "data", Path::new("/x"), free).map(|finding| finding.severity);
        assert_eq!(severity(u64::MAX), None);
        assert_eq!(severity(LITTLE), None);
        assert_eq!(severity(LITTLE - 1), Some(Severity::Degraded));
        assert_eq!(severity(NOTHING - 1), Some(Severity::Broken));
    }

    #[test]
    fn a_folder_of_another_server_is_not_looked_at() {
        let facts = Facts { data_directory: Some("/".to_owned()), ..Facts::default() };
        assert!(look("s", &facts).is_empty());
    }
}
