//! The native demo: a primary and its replicas on this machine, made, started, looked at, stopped and removed.

pub(crate) mod containers;
pub(crate) mod folders;
mod init;
mod layout;
mod live;
mod lock;
pub(crate) mod nodes;
mod programs;
mod replica;
mod replicas;
mod roles;
mod servers;
mod settings;
mod start;
mod status;
mod stop;
mod synchronous;
mod traces;

pub use containers::become_servers_user;
pub use layout::Layout;
pub(crate) use lock::{DataLock, lock_demo};
pub use programs::{Programs, Scheduler};
pub(crate) use roles::{DataState, FENCED, REWINDING, is_noted, timeline_of_wal};
#[cfg(test)]
pub(crate) use roles::{IN_ARCHIVE_RECOVERY, make_up, set_state};
pub use settings::{Named, Settings, port_variable};
pub(crate) use start::may_lose_what_only_it_has;
pub use start::{check_before_the_folder_is_made, start};
pub use status::{Health, status};
pub use stop::{clean, stop};

use std::path::Path;
use std::time::Duration;

use crate::compose::are_containers;
use crate::connect::Refusal;
use crate::doctor::{Finding, Options, Report, Severity, codes, examine_known};
use crate::error::{DemoError, Error};
use crate::patroni;
use crate::role::Role;
use crate::say::warn;
use crate::server::{DataDirectory, LIMIT, Owner, Stop};
use crate::target::Target;
use crate::tools::Major;

/// The slot of the first replica on the primary. Those of the others end with their number.
pub const SLOT: &str = "operations_replica";

/// Both parts that a server can have, in the order in which they start.
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
        false => Err(DemoError::NoReplica { data: data.path().to_owned() }.into()),
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
        let layout = Layout::find(folder)?;
        match layout.another_users_demo().filter(|_| folder.is_none()) {
            Some(other) => Err(other.into()),
            None => Self::saved_in(layout),
        }
    }

    /// The same for who runs its servers, who may be unable to reach the state folder. In containers there is one demo.
    pub(crate) fn of_its_owner(folder: &Path) -> Result<Self, Error> {
        if are_containers() {
            return Self::as_started(None);
        }
        Self::saved_in(Layout::of_its_owner(folder))
    }

    fn saved_in(layout: Layout) -> Result<Self, Error> {
        if layout.in_containers {
            return Self::in_containers(layout);
        }
        let saved = Named::saved(&layout)?;
        let nothing = Named::default();
        let settings = Settings::of(&nothing, &saved).or_else(|_| Settings::of(&nothing, &nothing))?;
        Ok(Self { layout, settings, saved })
    }

    /// A demo in containers: its settings are those of the container that this runs in.
    pub(crate) fn in_containers(layout: Layout) -> Result<Self, Error> {
        let (given, nothing) = (Named::given()?.lasting(), Named::default());
        Ok(Self { settings: Settings::of(&given, &nothing)?, layout, saved: given })
    }

    /// The same demo as it is now: a failover swaps the roles.
    pub(crate) fn again(&self) -> Result<Self, Error> {
        Self::of_its_owner(&self.layout.folder)
    }

    /// Says where a server that runs is asked, if the environment names another port.
    pub fn warn_of_other_port(&self, role: Role) {
        let (variable, port) = (self.port_variable(role), self.port(role));
        let given = std::env::var(variable).unwrap_or_default();
        // Those of further replicas are counted from the port of the first.
        let has_its_own = self.layout.number(role) < 2;
        if has_its_own && !given.is_empty() && given != port.to_string() && self.is_running(role) {
            warn(&format!("the demo runs on port {port}, not {} ({variable})", given.escape_default()));
        }
    }

    /// The same for all of its servers.
    pub fn warn_of_other_ports(&self) {
        self.servers().into_iter().for_each(|(role, one)| one.warn_of_other_port(role));
    }

    /// A query about the replica, with the name of its slot and of the role that it logs in as.
    pub(crate) fn of_the_replica(&self, query: &str) -> String {
        let follower = crate::failover::literal(&self.settings.replication_user);
        query.replace("SLOT", &format!("'{}'", self.slot())).replace("FOLLOWER", &follower)
    }

    /// The port of a server.
    #[must_use]
    pub fn port(&self, role: Role) -> u16 {
        match self.layout.in_containers {
            true => nodes::PORT,
            false => self.settings.port(self.layout.number(role)),
        }
    }

    /// The variable that names the port of a server.
    #[must_use]
    pub fn port_variable(&self, role: Role) -> &'static str {
        port_variable(self.layout.number(role))
    }

    /// What a server is called in a message.
    #[must_use]
    pub fn called(&self, role: Role) -> String {
        match self.layout.node(role).filter(|_| self.layout.in_containers) {
            Some(node) => node.name.clone(),
            None => format!("the server on port {}", self.port(role)),
        }
    }

    /// The same after "the primary" or "the replica".
    pub(crate) fn place(&self, role: Role) -> String {
        match self.layout.node(role).filter(|_| self.layout.in_containers) {
            Some(node) => format!(", {},", node.name),
            None => format!(" on port {}", self.port(role)),
        }
    }

    /// Its servers, to be asked.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        self.layout.nodes.iter().enumerate().map(|(index, node)| self.target_of(index, node)).collect()
    }

    /// The same as another role.
    #[must_use]
    pub(crate) fn targets_as(&self, user: &str, password: &str) -> Vec<Target> {
        let mut other = self.clone();
        user.clone_into(&mut other.settings.user);
        password.clone_into(&mut other.settings.password);
        other.targets()
    }

    /// Those of them that may be asked by somebody who asks all the time: one that only starts would note it as an error.
    #[must_use]
    pub(crate) fn ready_targets(&self) -> Vec<Target> {
        let nodes = self.layout.nodes.iter().enumerate();
        let ready = |node: &nodes::Node| !self.layout.in_containers || node.takes_connections(&self.layout.owner);
        nodes.filter(|(_, node)| ready(node)).map(|(index, node)| self.target_of(index, node)).collect()
    }

    fn target_of(&self, index: usize, node: &nodes::Node) -> Target {
        let (settings, major) = (&self.settings, self.layout.state.major);
        let role = if index == 0 { Role::Primary } else { Role::Replica };
        let (user, database) = (&settings.user, &settings.database);
        if self.layout.in_containers {
            return Target::of_container(role, (&node.name, &node.host, nodes::PORT), user, database)
                .with_password(&settings.password);
        }
        let mut target = Target::local(role, settings.port(node.number), user, database, &settings.password);
        if major != Major::DEFAULT {
            target.start = format!("make demo PG={major}");
        }
        target
    }

    /// One of its servers, to be asked.
    #[must_use]
    pub fn target(&self, role: Role) -> Target {
        let index = usize::from(role == Role::Replica);
        let missing = || nodes::native(&self.layout.folder, u8::from(role == Role::Replica));
        self.target_of(index, &self.layout.node(role).cloned().unwrap_or_else(missing))
    }

    /// What the doctor says of it. One that is stopped, or that there is none of, is said to be so.
    #[must_use]
    pub fn examine(&self, options: &Options) -> Report {
        self.examine_known(&self.targets(), options, &|_| None)
    }

    /// The same by these ways to its servers, some of which are known not to answer.
    #[must_use]
    pub(crate) fn examine_known(
        &self,
        targets: &[Target],
        options: &Options,
        known: &dyn Fn(&Target) -> Option<Refusal>,
    ) -> Report {
        let folder = self.layout.folder.display();
        if self.layout.in_containers {
            let report = examine_known(targets, options, known);
            return match patroni::decides() {
                true => patroni::explain(self, report),
                false => containers::explain(self, report),
            };
        }
        let why = if !self.exists() {
            format!("there is no demo in {folder}; other servers are named by --primary and --replica")
        } else if self.is_stopped() {
            format!("the demo in {folder} is stopped; its data are kept")
        } else {
            return traces::explain(self, examine_known(targets, options, known))
                .with_places(&|server| self.where_to_type(server));
        };
        let stopped = Finding::new(codes::DEMO_STOPPED, Severity::Unknown, "demo", why, "make demo");
        Report::new(Vec::new(), vec![stopped])
    }

    /// Whether it was ever started.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.layout.in_containers || self.layout.folder.join("settings").exists()
    }

    /// Whether no server of it runs, nor died without a farewell: each removes its `postmaster.pid` when it is stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        // Who asks is one of its containers.
        !self.layout.in_containers && self.layout.nodes.iter().all(|node| !node.data.join("postmaster.pid").exists())
    }

    /// The programs of its PostgreSQL, for a command that needs a server of it.
    pub(crate) fn programs(&self, role: Role) -> Result<Programs, Error> {
        if !self.is_running(role) {
            return Err(DemoError::NotRunning { server: role }.into());
        }
        self.found_programs()
    }

    /// The same without a server.
    pub(crate) fn found_programs(&self) -> Result<Programs, Error> {
        Programs::found(&self.layout).ok_or_else(|| {
            let (user, folder) = (Owner::current().name, self.layout.state.folder.clone());
            DemoError::NoPrograms { user, folder }.into()
        })
    }

    /// Whether one of its servers runs.
    #[must_use]
    pub fn is_running(&self, role: Role) -> bool {
        match self.layout.in_containers {
            false => self.layout.data(role).is_running(),
            true => self.layout.node(role).is_some_and(|node| node.has_server(&self.layout.owner)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn only_a_replica_is_removed_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::of_its_owner(&folder.path().join("demo"));
        let (saved, nothing) = (Named::default(), Named::default());
        let demo = Demo { settings: Settings::of(&nothing, &saved).unwrap(), layout, saved };
        let data = demo.layout.data(Role::Replica);
        std::fs::create_dir_all(data.path()).unwrap();
        // As a failover leaves it.
        assert!(matches!(remove_replica(&demo), Err(Error::Demo(DemoError::NoReplica { .. }))));
        assert!(data.path().exists());
        std::fs::write(data.path().join("standby.signal"), "").unwrap();
        remove_replica(&demo).unwrap();
        assert!(!data.path().exists());
    }
}
