//! The native demo: a primary and a replica on this machine, made, started, looked at, stopped and removed.

pub(crate) mod folders;
mod init;
mod layout;
mod live;
mod lock;
mod programs;
mod replica;
mod roles;
mod servers;
mod settings;
mod start;
mod status;
mod stop;
mod synchronous;
mod traces;

pub use layout::Layout;
pub(crate) use lock::{DataLock, lock_demo};
pub use programs::{Programs, Scheduler};
pub(crate) use roles::timeline_of_wal;
pub use settings::{Named, Settings, port_variable};
pub use start::start;
pub use status::{Health, status};
pub use stop::{clean, stop};

use std::path::Path;
use std::time::Duration;

use crate::doctor::{Finding, Options, Report, Severity, codes, examine};
use crate::error::Error;
use crate::role::Role;
use crate::say::warn;
use crate::server::{DataDirectory, LIMIT, Stop};
use crate::target::Target;

/// The replica's slot on the primary.
pub const SLOT: &str = "operations_replica";

/// Both servers, in the order in which they start.
pub const SERVERS: [Role; 2] = [Role::Primary, Role::Replica];

/// The names of all settings, as the environment may give them.
pub(crate) fn setting_names() -> impl Iterator<Item = &'static str> {
    settings::DEFAULTS.iter().map(|(name, _)| *name)
}

/// Starts a server on its data as they are.
pub(crate) fn start_server(
    demo: &Demo,
    programs: &Programs,
    role: Role,
    data: &DataDirectory,
    settings: &[String],
    variables: &[(&str, &str)],
) -> Result<(), Error> {
    demo.start_server(&programs.with(variables), role, data, settings)
}

/// How long another command may take that holds the demo's lock.
const OTHERS: Duration = Duration::from_secs(60);

/// Works on the data of the replica under the demo's lock. A failover may have made a primary of it since the demo was looked
/// at: then nothing is done.
pub(crate) fn with_replica<T>(demo: &Demo, work: impl FnOnce(&DataDirectory) -> Result<T, Error>) -> Result<T, Error> {
    let _lock = lock_demo(&demo.layout, OTHERS)?;
    work(&still_replica(demo)?)
}

/// Stops the replica and deletes its data.
pub(crate) fn remove_replica(demo: &Demo) -> Result<(), Error> {
    with_replica(demo, |data| {
        data.stop(Stop::Fast, LIMIT)?;
        folders::remove(still_replica(demo)?.path(), &demo.layout.owner)
    })
}

fn still_replica(demo: &Demo) -> Result<DataDirectory, Error> {
    let data = demo.layout.data(Role::Replica);
    let now = Demo::as_started(Some(&demo.layout.folder))?.layout.data(Role::Replica);
    let signal = data.path().join("standby.signal");
    let is_standby = demo.layout.owner.files(|| std::fs::symlink_metadata(&signal)).is_ok_and(|found| found.is_file());
    match now.path() == data.path() && is_standby {
        true => Ok(data),
        false => Err(Error::NoReplica { data: data.path().to_owned() }),
    }
}

/// A demo: where it is and how it is set up.
#[derive(Clone, Debug)]
pub struct Demo {
    /// Where it is.
    pub layout: Layout,
    /// How it is set up.
    pub settings: Settings,
    saved: Named,
}

impl Demo {
    /// The demo in a folder, with the settings of its last start only, whatever is given now.
    pub fn as_started(folder: Option<&Path>) -> Result<Self, Error> {
        Self::saved_in(Layout::find(folder)?)
    }

    /// The same for who runs its servers, who may be unable to reach the state folder.
    pub(crate) fn of_its_owner(folder: &Path) -> Result<Self, Error> {
        Self::saved_in(Layout::of_its_owner(folder))
    }

    fn saved_in(layout: Layout) -> Result<Self, Error> {
        let saved = Named::saved(&layout)?;
        let nothing = Named::default();
        let settings = Settings::of(&nothing, &saved).or_else(|_| Settings::of(&nothing, &nothing))?;
        Ok(Self { layout, settings, saved })
    }

    /// Says where a server that runs is asked, if the environment names another port.
    pub fn warn_of_other_port(&self, role: Role) {
        let (variable, port) = (self.port_variable(role), self.port(role));
        let given = std::env::var(variable).unwrap_or_default();
        if !given.is_empty() && given != port.to_string() && self.is_running(role) {
            warn(&format!("the demo runs on port {port}, not {} ({variable})", given.escape_default()));
        }
    }

    /// The port of a server.
    #[must_use]
    pub fn port(&self, role: Role) -> u16 {
        self.settings.port(self.layout.seat(role))
    }

    /// The variable that names the port of a server.
    #[must_use]
    pub fn port_variable(&self, role: Role) -> &'static str {
        port_variable(self.layout.seat(role))
    }

    /// Its servers, to be asked.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        SERVERS.map(|role| self.target(role)).into()
    }

    /// One of its servers, to be asked.
    #[must_use]
    pub fn target(&self, role: Role) -> Target {
        let settings = &self.settings;
        Target::local(role, self.port(role), &settings.user, &settings.database, &settings.password)
    }

    /// What the doctor says of it. One that is stopped, or that there is none of, is said to be so.
    #[must_use]
    pub fn examine(&self, options: &Options) -> Report {
        let folder = self.layout.folder.display();
        let why = if !self.exists() {
            format!("there is no demo in {folder}; other servers are named by --primary and --replica")
        } else if self.is_stopped() {
            format!("the demo in {folder} is stopped; its data are kept")
        } else {
            return traces::explain(self, examine(&self.targets(), options));
        };
        let stopped = Finding::new(codes::DEMO_STOPPED, Severity::Unknown, "demo", why, "make demo");
        Report::new(Vec::new(), vec![stopped])
    }

    /// Whether it was ever started.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.layout.folder.join("settings").exists()
    }

    /// Whether no server of it runs, nor died without a farewell: each removes its `postmaster.pid` when it is stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        SERVERS.iter().all(|role| !self.layout.data(*role).path().join("postmaster.pid").exists())
    }

    /// Whether one of its servers runs.
    #[must_use]
    pub fn is_running(&self, role: Role) -> bool {
        self.layout.data(role).is_running()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;
    use crate::server::Owner;
    use crate::tools::State;

    #[test]
    fn only_a_replica_is_removed_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner::current();
        let state = State { folder: folder.path().to_owned(), owner: owner.clone() };
        let layout = Layout { state, folder: folder.path().join("demo"), owner, swapped: false };
        let (saved, nothing) = (Named::default(), Named::default());
        let demo = Demo { settings: Settings::of(&nothing, &saved).unwrap(), layout, saved };
        let data = demo.layout.data(Role::Replica);
        std::fs::create_dir_all(data.path()).unwrap();
        // As a failover leaves it.
        assert!(matches!(remove_replica(&demo), Err(Error::NoReplica { .. })));
        assert!(data.path().exists());
        std::fs::write(data.path().join("standby.signal"), "").unwrap();
        remove_replica(&demo).unwrap();
        assert!(!data.path().exists());
    }
}
