//! What the files of servers in containers tell of one that does not answer.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::compose::{are_containers, typed};
use crate::demo::{Demo, Named};
use crate::doctor::{Finding, Report, Severity, codes, disk};
use crate::error::Error;
use crate::server::Owner;

/// In a container, root goes on as the servers' user, who can do there all that is to be done: `docker compose exec` is root's.
/// Only the passwords may be in files that nobody but root reads.
pub fn become_servers_user() -> Result<(), Error> {
    if !are_containers() || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let Some(owner) = Owner::named(crate::SUPERUSER)?.filter(Owner::is_lent) else {
        return Ok(());
    };
    let given = Named::given()?;
    let mut command = Command::new("/proc/self/exe");
    command.args(std::env::args_os().skip(1)).uid(owner.uid()).gid(owner.gid());
    for name in ["POSTGRES_PASSWORD", "REPLICATION_PASSWORD"] {
        command.env_remove(format!("{name}_FILE"));
        if let Some(password) = given.get(name) {
            command.env(name, password);
        }
    }
    Err(Error::Io { what: format!("go on as the user {}", owner.name), source: command.exec() })
}

/// Adds to a report what the files tell.
pub(crate) fn explain(demo: &Demo, report: Report) -> Report {
    let Report { servers, mut findings, .. } = report;
    let owner = &demo.layout.owner;
    for (node, target) in demo.layout.nodes.iter().zip(demo.targets()) {
        // The volumes are seen from here, also that of a server which does not answer.
        findings.extend(disk::look_at(&target.name(), &node.data));
        let is_down = |finding: &Finding| {
            finding.server == target.name()
                && [codes::SERVER_DOWN, codes::CONNECTION_REFUSED, codes::SERVER_NOT_READY]
                    .contains(&finding.code.as_str())
        };
        let lives = node.has_server(owner);
        let Some(down) =
            findings.iter_mut().find(|finding| is_down(finding) && !(lives && finding.code == codes::SERVER_NOT_READY))
        else {
            continue;
        };
        let (fenced, attended) = (node.is_fenced(owner), node.is_attended(owner));
        let (code, why, next) = match (lives, fenced, attended) {
            (true, ..) if down.code == codes::SERVER_DOWN => {
                (codes::SERVER_DOWN, "a server is at work on its data", "docker compose logs")
            }
            (true, ..) => (
                codes::SERVER_SILENT,
                "its server lives, and no network leads to it",
                "docker compose up --detach --wait # if that does not help: docker network inspect; docker network connect",
            ),
            (false, true, true) => (
                codes::SERVER_DOWN,
                "it was the primary, and is fenced off",
                "docker compose exec lab operations-lab rejoin",
            ),
            (false, _, true) => {
                (codes::SERVER_DOWN, "its container runs without a server", "docker compose logs # they say why")
            }
            (false, _, false) => (
                codes::SERVER_DOWN,
                "its container does not run",
                "docker compose up --detach --wait # a replica that left for good: docker compose exec postgres_replica forget-replica",
            ),
        };
        let evidence = format!("{why}: {}", down.evidence);
        *down = Finding::new(code, Severity::Broken, &target.name(), evidence, next);
    }
    for finding in &mut findings {
        if finding.code == codes::TWO_WRITABLE_SERVERS {
            "docker compose exec lab operations-lab rejoin # makes the one on the older timeline a replica"
                .clone_into(&mut finding.next_command);
        }
        finding.next_command = typed(&finding.next_command);
    }
    Report::new(servers, findings)
}
