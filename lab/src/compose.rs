//! Whether this runs in a container of the Compose demo, and what is typed there.

use crate::patroni;

/// The variable that names the folder with the volumes: `primary` and `replica`.
pub const SERVERS_FOLDER: &str = "LAB_SERVERS";

/// Whether this runs in one of the containers of a demo.
#[must_use]
pub fn are_containers() -> bool {
    std::env::var_os(SERVERS_FOLDER).is_some_and(|servers| !servers.is_empty())
}

/// What is typed for the targets of make where there are only containers; longer ones first.
const TYPED: [(&str, &str); 9] = [
    (
        "REPLICA_RECLONE=promoted make demo throws it away and clones anew",
        "docker compose rm --stop --force on its service, docker volume rm on its volume and docker compose up throw it away and clone anew",
    ),
    ("SYNC=off make failover", "docker compose exec --env SYNC=off lab operations-lab failover"),
    ("make demo SYNC=off", "SYNC=off docker compose up --detach --wait"),
    ("make demo", "docker compose up --detach --wait"),
    ("make clean", "docker compose down --volumes"),
    ("make psql-replica", "docker compose exec postgres_replica psql -U postgres operations_db"),
    ("make psql", "docker compose exec lab psql"),
    ("make status", "docker compose ps"),
    ("make stop", "docker compose stop"),
];

/// What of patronictl is typed before all that where Patroni decides; longer ones first.
const UNDER_PATRONI: [(&str, &str); 2] = [
    ("make failover promotes the replica", "list operations shows what Patroni waits for"),
    ("make failover", "failover operations"),
];

/// The targets that are commands of the program there, too.
const COMMANDS: [&str; 5] = ["failover", "rejoin", "receipt", "doctor", "drill"];

/// A text in which commands for the native demo are those for containers.
#[must_use]
pub fn typed(text: &str) -> String {
    let mut typed = text.to_owned();
    if patroni::decides() {
        for (target, command) in UNDER_PATRONI {
            typed = typed.replace(target, &format!("{} {command}", patroni::PATRONICTL));
        }
    }
    for (target, command) in TYPED {
        typed = typed.replace(target, command);
    }
    for name in COMMANDS {
        typed = typed.replace(&format!("make {name}"), &format!("docker compose exec lab operations-lab {name}"));
    }
    typed
}

#[cfg(test)]
mod tests {
    use super::typed;

    #[test]
    fn what_is_typed_is_for_containers() {
        let text = "make psql-replica; make psql; make demo SYNC=off; REPLICA_RECLONE=promoted make demo; make rejoin makes it one";
        let expected = "docker compose exec postgres_replica psql -U postgres operations_db; docker compose exec lab psql; \
            SYNC=off docker compose up --detach --wait; REPLICA_RECLONE=promoted docker compose up --detach --wait; \
            docker compose exec lab operations-lab rejoin makes it one";
        assert_eq!(typed(text), expected);
        assert_eq!(typed("make it so"), "make it so");
    }
}
