//! Stops a server for certain, and keeps it from taking writes whoever starts it.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use crate::demo::nodes::Node;
use crate::demo::{DataLock, Demo};
use crate::error::{Context, Error, FailoverError};
use crate::role::Role;
use crate::say::say;
use crate::server::ports::listens;
use crate::server::{Stop, try_wait};

/// How long each way of stopping it may take.
const FAST: Duration = Duration::from_secs(10);
const IMMEDIATE: Duration = Duration::from_secs(5);

/// How long a container may take to stop its server by all of these.
const CONTAINER: Duration = Duration::from_secs(30);

impl Demo {
    /// Stops a server and proves that it is gone: no process of it lives, and nobody listens on its port. The lock that is
    /// returned keeps it from being started.
    pub(crate) fn fence(&self, role: Role) -> Result<DataLock, Error> {
        if let Some(node) = self.layout.node(role).filter(|_| self.layout.in_containers) {
            return self.fence_container(role, node);
        }
        let (data, port) = (self.layout.data(role), self.port(role));
        let not_fenced = |why: String| Error::Failover(FailoverError::NotFenced { server: role, port, why });
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

    /// The same in containers: its own container stops it when it finds a note, and holds a lock for as long as a process of it
    /// lives. One whose container does not run is gone already, and finds the note when it returns.
    fn fence_container(&self, role: Role, node: &Node) -> Result<DataLock, Error> {
        let (data, note) = (self.layout.data(role), self.layout.fenced(role));
        self.write_note(&note)?;
        let gone = try_wait("its container to stop it", CONTAINER, || match node.has_server(&self.layout.owner) {
            true if node.is_attended(&self.layout.owner) => Err("a process of it lives".to_owned()),
            true => Err("a process of it lives, and its container is stopped or hangs".to_owned()),
            false => Ok(()),
        });
        let taken = gone.and_then(|()| DataLock::take(&self.layout, role, &data));
        taken.map_err(|error| {
            // It goes on as it was.
            let _ = self.layout.owner.files(|| std::fs::remove_file(&note));
            FailoverError::NotFenced { server: role, port: self.port(role), why: error.to_string() }.into()
        })
    }

    fn write_note(&self, note: &Path) -> Result<(), Error> {
        let text = b"This server was the primary. make rejoin makes it a replica of the new one.\n";
        self.layout
            .owner
            .write(note, text, false)
            .and_then(|()| self.sync(note))
            .context(|| format!("write {}", note.display()))
    }

    /// From now on the server that was fenced opens as a replica only, by whatever command it is started.
    pub(crate) fn keep_fenced(&self, role: Role) -> Result<(), Error> {
        let (data, note) = (self.layout.data(role), self.layout.fenced(role));
        // The note first: without it nobody could tell a failover that broke off here.
        self.write_note(&note)?;
        let kept = self.layout.owner.files(|| {
            let signal = data.path().join("standby.signal");
            File::create(&signal)?.sync_all()?;
            File::open(data.path())?.sync_all()?;
            Ok(())
        });
        kept.context(|| format!("make standby.signal in {}", data.path().display()))
    }
}
