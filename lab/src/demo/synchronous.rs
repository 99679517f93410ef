//! SYNC=on: a commit waits until the replica has it on its disk.

use std::time::Duration;

use crate::connect::Refusal;
use crate::demo::{Demo, SLOT};
use crate::error::Error;
use crate::role::Role;
use crate::server::try_wait;

/// How long a server may take to heed a changed setting.
const HEED: Duration = Duration::from_secs(10);

const NAMES: &str = "show synchronous_standby_names";

impl Demo {
    /// Has the primary wait for the replica, or not, as it is set. To be switched on when the replica streams, off at any time:
    /// neither needs a commit. The replica itself must wait for nobody when it is promoted.
    pub(crate) fn set_synchronous(&self) -> Result<(), Error> {
        let wanted = if self.settings.synchronous { SLOT } else { "" };
        self.set_names(Role::Primary, wanted)?;
        if self.is_running(Role::Replica) && !self.is_promoted() {
            self.set_names(Role::Replica, "")?;
        }
        Ok(())
    }

    /// The primary waits for no replica, whatever is the matter with that: it may not even answer.
    pub(crate) fn let_primary_go_on(&self) -> Result<(), Error> {
        self.set_names(Role::Primary, "")
    }

    fn set_names(&self, role: Role, wanted: &str) -> Result<(), Error> {
        let refused = |refusal| match refusal {
            Refusal::Password(_) => Error::OtherPassword,
            other => Error::NoAnswer { server: role, why: other.to_string() },
        };
        if self.ask(role, NAMES).map_err(refused)? == wanted {
            return Ok(());
        }
        let change = match wanted {
            "" => "alter system reset synchronous_standby_names".to_owned(),
            name => format!("alter system set synchronous_standby_names = '{name}'"),
        };
        self.ask(role, &change).map_err(refused)?;
        self.ask(role, "select pg_reload_conf()").map_err(refused)?;
        try_wait(&format!("the {role} to heed synchronous_standby_names"), HEED, || {
            match self.ask(role, NAMES).map_err(|refusal| refusal.to_string())? {
                names if names == wanted => Ok(()),
                names => Err(format!("it is \"{names}\"")),
            }
        })
    }
}
