//! A cluster under Patroni, which alone decides who takes writes: `docker/compose.ha.yaml`. The lab looks, and leaves that to it.

mod explain;
mod word;

pub(crate) use explain::explain;

use crate::error::{Error, FailoverError};

/// The variable that says so to the lab.
const VARIABLE: &str = "LAB_PATRONI";

/// The variable with the names of the etcd, with commas between them.
const ETCD: &str = "LAB_ETCD";

/// How patronictl is called in a server's container; a command of it follows.
pub(crate) const PATRONICTL: &str = "docker compose exec postgres_primary patronictl";

/// The same where that container is away.
pub(crate) const OTHER_PATRONICTL: &str = "docker compose exec postgres_replica patronictl";

/// Whether the servers are under Patroni.
#[must_use]
pub fn decides() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|value| value == "on")
}

/// Refuses a command that would decide in Patroni's place.
pub(crate) fn refuse(command: &'static str) -> Result<(), Error> {
    match decides() {
        true => Err(FailoverError::PatroniDecides { command }.into()),
        false => Ok(()),
    }
}
