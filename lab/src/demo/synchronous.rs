//! Settings that are changed while the servers run. SYNC=on: a commit waits until the replica has it on its disk.
//! `OPERATIONS_INSERT_BATCH`: how many operations a run of the job inserts.

use std::time::Duration;

use crate::connect::Refusal;
use crate::demo::Demo;
use crate::demo::nodes::synchronous_names;
use crate::error::{DemoError, Error, SettingError};
use crate::role::Role;
use crate::say::say;
use crate::server::try_wait;

/// How long a server may take to heed a changed setting.
const HEED: Duration = Duration::from_secs(10);

const NAMES: &str = "synchronous_standby_names";

impl Demo {
    /// Has the primary wait for the replica, or not, as it is set. To be switched on when the replica streams, off at any time:
    /// neither needs a commit. The replica itself must wait for nobody when it is promoted.
    pub(crate) fn set_synchronous(&self) -> Result<(), Error> {
        let names = match self.layout.in_containers {
            false => self.native_names(),
            true => synchronous_names(),
        };
        let wanted = if self.settings.synchronous { names } else { String::new() };
        self.set_names(Role::Primary, &wanted)?;
        let replicas = self.replicas().into_iter().filter(|one| one.is_running(Role::Replica) && !one.is_promoted());
        replicas.into_iter().try_for_each(|one| one.set_names(Role::Replica, ""))
    }

    /// Any one of those that follow the primary itself.
    fn native_names(&self) -> String {
        let replicas = self.replicas();
        let names: Vec<_> = replicas.iter().filter(|one| one.layout.upstream.is_none()).map(Self::slot).collect();
        match names.as_slice() {
            [one] => one.clone(),
            several => format!("ANY 1 ({})", several.join(", ")),
        }
    }

    /// The primary waits for no replica, whatever is the matter with that: it may not even answer.
    pub(crate) fn let_primary_go_on(&self) -> Result<(), Error> {
        self.set_names(Role::Primary, "")
    }

    fn set_names(&self, role: Role, wanted: &str) -> Result<(), Error> {
        let is_changed = self.have_heeded(role, NAMES, wanted, wanted.is_empty())?;
        match (role, wanted) {
            (Role::Primary, "") if is_changed => say("A commit waits for no replica (SYNC=off)"),
            (Role::Primary, _) if is_changed => say(match wanted.starts_with("ANY") {
                true => "Each commit waits until one of the replicas has it (SYNC=on)",
                false => "Each commit waits until the replica has it (SYNC=on)",
            }),
            _ => {}
        }
        Ok(())
    }

    /// Has the job insert as many operations as it is set; the replica, too, for when it is promoted.
    pub(crate) fn set_insert_batch(&self) -> Result<(), Error> {
        let wanted = self.settings.insert_batch;
        let servers = self.servers().into_iter().filter(|(role, one)| one.is_running(*role));
        let name = "operations_ext.insert_batch";
        servers
            .into_iter()
            .try_for_each(|(role, one)| one.have_heeded(role, name, &wanted.to_string(), wanted == 1).map(drop))
    }

    /// Sets a setting of a server, unless it is so. Whether it was changed.
    fn have_heeded(&self, role: Role, name: &str, wanted: &str, is_default: bool) -> Result<bool, Error> {
        let refused = |refusal| -> Error {
            match refusal {
                Refusal::Password(_) => SettingError::OtherPassword.into(),
                other => DemoError::NoAnswer { server: role, why: other.to_string() }.into(),
            }
        };
        let show = format!("show {name}");
        if self.ask(role, &show).map_err(refused)? == wanted {
            return Ok(false);
        }
        let change = match is_default {
            true => format!("alter system reset {name}"),
            false => format!("alter system set {name} = '{wanted}'"),
        };
        self.ask(role, &change).map_err(refused)?;
        self.ask(role, "select pg_reload_conf()").map_err(refused)?;
        try_wait(&format!("the {role} to heed {name}"), HEED, || {
            match self.ask(role, &show).map_err(|refusal| refusal.to_string())? {
                found if found == wanted => Ok(()),
                found => Err(format!("it is \"{found}\"")),
            }
        })?;
        Ok(true)
    }
}
