//! Stops a server for certain, and keeps it from taking writes whoever starts it.

use std::fs::File;
use std::time::Duration;

use crate::demo::{DataLock, Demo};
use crate::error::{Context, Error};
use crate::role::Role;
use crate::say::say;
use crate::server::ports::listens;
use crate::server::{Stop, try_wait};

/// How long each way of stopping it may take.
const FAST: Duration = Duration::from_secs(10);
const IMMEDIATE: Duration = Duration::from_secs(5);

impl Demo {
    /// Stops a server and proves that it is gone: no process of it lives, and nobody listens on its port. The lock that is
    /// returned keeps it from being started.
    pub(crate) fn fence(&self, role: Role) -> Result<DataLock, Error> {
        let (data, port) = (self.layout.data(role), self.port(role));
        let not_fenced = |why: String| Error::NotFenced { server: role, port, why };
        for (how, limit, name) in [(Stop::Fast, FAST, "fast"), (Stop::Immediate, IMMEDIATE, "immediate")] {
            if !data.is_running() {
                break;
            }
            match data.stop(how, limit) {
                Err(Error::Timeout { .. }) => {
                    say(&format!("    it did not stop within {} s ({name})", limit.as_secs()));
                }
                other => drop(other?),
            }
        }
        if data.is_running() {
            say("    killing its processes (SIGKILL)");
            data.kill_all().map_err(|error| not_fenced(error.to_string()))?;
        }
        data.kill_leftovers().map_err(|error| not_fenced(error.to_string()))?;
        // All processes of a server hold its lock, in whatever container they are.
        let lock = DataLock::take(&self.layout, role, &data).map_err(|error| not_fenced(error.to_string()))?;
        let gone = try_wait("its port to be free", Duration::from_secs(2), || match listens(port) {
            true => Err("somebody listens there".to_owned()),
            false => Ok(()),
        });
        gone.map_err(|error| not_fenced(error.to_string()))?;
        Ok(lock)
    }

    /// From now on the server that was fenced opens as a replica only, by whatever command it is started.
    pub(crate) fn keep_fenced(&self, role: Role) -> Result<(), Error> {
        let (data, note) = (self.layout.data(role), self.layout.fenced(role));
        // The note first: without it nobody could tell a failover that broke off here.
        let text = b"This server was the primary. make rejoin makes it a replica of the new one.\n";
        self.layout.owner.write(&note, text, false).context(|| format!("write {}", note.display()))?;
        let kept = self.layout.owner.files(|| {
            let signal = data.path().join("standby.signal");
            File::create(&signal)?.sync_all()?;
            File::open(data.path())?.sync_all()?;
            Ok(())
        });
        kept.context(|| format!("make standby.signal in {}", data.path().display()))
    }
}
