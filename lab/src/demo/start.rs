//! Brings up the primary and the replica, waits until they live, says how to connect.

use std::path::Path;
use std::time::Duration;

use crate::checkout;
use crate::connect::Refusal;
use crate::demo::lock::lock_demo;
use crate::demo::roles::DataState;
use crate::demo::settings::WAL_LEVEL;
use crate::demo::{Demo, Layout, Named, Programs, SERVERS, Settings, folders, port_variable};
use crate::doctor::{Options, Verdict};
use crate::error::{DemoError, Error, FailoverError, SettingError};
use crate::failover::{rejoin_data, replace_data};
use crate::receipt;
use crate::role::Role;
use crate::say::{say, warn};
use crate::serve;
use crate::server::ports::{free_port, listens};
use crate::tools;

/// What may be thrown away for a new clone.
const RECLONE: &str = "REPLICA_RECLONE";

/// Starts the demo in a folder, whatever of it does not run yet.
pub fn start(folder: Option<&Path>) -> Result<(), Error> {
    check_reclone()?;
    let layout = Layout::find(folder)?;
    folders::check(&layout)?;
    let given = Named::given()?;
    // What is refused leaves nothing behind.
    Settings::of(&given, &Named::saved(&layout)?.lasting())?;
    folders::owned_folder(&layout.folder, &layout.owner)?;
    let _lock = lock_demo(&layout, Duration::from_secs(1))?;
    let saved = Named::saved(&layout)?;
    // What is to be started now goes to the ports that are named now, or to the usual ones.
    let settings = Settings::of(&given, &saved.clone().lasting())?;
    let mut demo = Demo { layout, settings, saved };
    demo.refuse_another_major()?;
    demo.heed_reclone();
    demo.undo_half_a_failover()?;
    for role in SERVERS {
        demo.keep_port(role, &given)?;
    }
    demo.keep_lab_port(&given)?;
    demo.check_against_running_servers()?;
    if demo.is_made()
        && let Some(remark) = demo.settings.keep_test_rows(&given, &demo.saved)
    {
        say(&remark);
    }
    if let Some(remark) = demo.other_wal_level() {
        say(&remark);
    }
    if demo.is_running(Role::Primary) && demo.is_running(Role::Replica) && demo.missing().reasons.is_empty() {
        demo.set_synchronous()?;
        demo.set_insert_batch()?;
        demo.keep_settings()?;
        say("The demo is already running.");
        demo.ignored_of_a_start().iter().for_each(|remark| say(remark));
        demo.start_receipt();
        demo.start_page();
        demo.say_how_to_connect();
        demo.say_what_is_wrong();
        return Ok(());
    }
    demo.start_what_is_missing()
}

impl Demo {
    /// A server starts with data of its own major version only.
    fn refuse_another_major(&self) -> Result<(), Error> {
        let wanted = self.layout.state.major;
        for role in SERVERS {
            let file = self.layout.data(role).path().join("PG_VERSION");
            let found = self.layout.owner.read(&file).unwrap_or_default();
            if let Ok(found) = found.trim_end().parse::<u16>()
                && found != wanted.number()
            {
                return Err(DemoError::OtherMajor { folder: self.layout.folder.clone(), found, wanted }.into());
            }
        }
        Ok(())
    }

    /// What runs, runs where it was started.
    fn keep_port(&mut self, role: Role, given: &Named) -> Result<(), Error> {
        if !self.is_running(role) {
            return Ok(());
        }
        let initial_role = self.layout.initial_role(role);
        let port = self.saved.port(initial_role).unwrap_or(self.settings.port(initial_role));
        self.settings.set_port(initial_role, port);
        match given.port(initial_role) {
            Some(asked) if asked != port => {
                Err(DemoError::RunsElsewhere { server: role, port, variable: port_variable(initial_role), asked }
                    .into())
            }
            _ => Ok(()),
        }
    }

    /// Servers that run have the `wal_level` that they were started with, and one that starts beside them must have the same.
    fn other_wal_level(&mut self) -> Option<String> {
        if !SERVERS.into_iter().any(|role| self.is_running(role)) {
            return None;
        }
        let runs = self.saved.get(WAL_LEVEL).unwrap_or("replica").to_owned();
        let asked = std::mem::replace(&mut self.settings.wal_level, runs);
        (asked != self.settings.wal_level).then(|| {
            format!("{WAL_LEVEL}={asked} is ignored: the demo runs with {}; make stop first", self.settings.wal_level)
        })
    }

    /// What says how servers are started, and was given though they run.
    fn ignored_of_a_start(&self) -> Vec<String> {
        let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let other = given("PG_CONFIG").filter(|_| !self.runs_what_is_given());
        let ignored = [("PG_CONFIG", other), ("EXTENSION", given("EXTENSION"))];
        let said = ignored.into_iter().filter_map(|(name, value)| {
            Some(format!("{name}={} is ignored: the demo runs already; make stop first", value?))
        });
        said.collect()
    }

    /// Whether the primary was started from the PostgreSQL that `PG_CONFIG` names.
    fn runs_what_is_given(&self) -> bool {
        let options = self.layout.owner.read(&self.layout.data(Role::Primary).path().join("postmaster.opts"));
        let options = options.unwrap_or_default();
        let file = |path: &Path| std::fs::canonicalize(path).ok();
        let given = tools::given_bindir(&self.layout.state).and_then(|bindir| file(&bindir.join("postgres")));
        given.is_some() && given == file(Path::new(options.split(" \"").next().unwrap_or_default()))
    }

    /// That the servers run and the jobs do is not all: the doctor may know of more.
    fn say_what_is_wrong(&self) {
        let report = self.examine(&Options::default());
        if report.verdict != Verdict::Ok {
            say(&format!("\nBut {} (make doctor says more)", report.headline()));
        }
    }

    /// What cannot be had of servers that run is refused before anything is touched.
    fn check_against_running_servers(&self) -> Result<(), Error> {
        let running: Vec<_> = SERVERS.into_iter().filter(|role| self.is_running(*role)).collect();
        if running.is_empty() {
            return Ok(());
        }
        // Another user would be refused as if the password were wrong.
        self.settings.check_against_data(&self.saved)?;
        let refused = |role: &Role| matches!(self.ask(*role, "select 1"), Err(Refusal::Password(_)));
        if running.iter().any(refused) {
            return Err(SettingError::OtherPassword.into());
        }
        Ok(())
    }

    /// Throws away the server that was promoted last, if told so, instead of the older primary.
    fn heed_reclone(&mut self) {
        let primary = self.layout.state_of(Role::Primary);
        let replica = self.layout.state_of(Role::Replica);
        if may_lose_what_only_it_has() && older_is_the_replica(primary, replica) {
            self.layout.swapped = !self.layout.swapped;
        }
    }

    /// A failover that broke off before the promotion has left two replicas. The one that was fenced off is the primary still.
    fn undo_half_a_failover(&mut self) -> Result<(), Error> {
        let states = SERVERS.map(|role| self.layout.state_of(role));
        let takes_none = states.iter().all(|state| state.is_some_and(|state| !state.opens_for_writes()));
        let may_be_opened = states[0].is_some_and(|state| state.may_be_opened_again());
        if !takes_none || !may_be_opened {
            return Ok(());
        }
        // It may be promoted at any moment.
        if SERVERS.into_iter().any(|role| self.is_running(role)) {
            return Err(FailoverError::HalfFailedOver.into());
        }
        say("A failover broke off before anything was promoted: the old primary stays the primary");
        let signal = self.layout.data(Role::Primary).path().join("standby.signal");
        folders::remove(&signal, &self.layout.owner)?;
        folders::remove(&self.layout.fenced(Role::Primary), &self.layout.owner)?;
        self.layout.find_roles();
        Ok(())
    }

    /// An old primary that takes writes is not joined by another one.
    fn refuse_two_primaries(&self) -> Result<(), Error> {
        match self.is_running(Role::Replica) && self.is_promoted() && !may_lose_what_only_it_has() {
            true => Err(DemoError::Promoted.into()),
            false => Ok(()),
        }
    }

    /// The servers took the password. If it was changed in them, it is the one to ask them with from now on.
    fn keep_settings(&self) -> Result<(), Error> {
        let mut settings = self.settings.clone();
        settings.restore_replication_password(&self.saved);
        settings.save(&self.layout)
    }

    /// Whether there are data of the primary.
    fn is_made(&self) -> bool {
        std::fs::symlink_metadata(self.layout.data(Role::Primary).path()).is_ok()
    }

    fn start_what_is_missing(&mut self) -> Result<(), Error> {
        let owner = self.layout.owner.clone();
        folders::owned_folder(&self.layout.sockets(), &owner)?;
        let primary = self.layout.data(Role::Primary);
        let is_made = self.is_made();
        if is_made {
            self.settings.check_against_data(&self.saved)?;
        }
        self.refuse_two_primaries()?;
        for role in SERVERS {
            self.require_free_port(role)?;
        }
        let primary_runs = self.is_running(Role::Primary);
        let programs = Programs::make(&self.layout, !primary_runs)?;
        self.remove_half_made()?;

        // The server's user may not be able to read the checkout.
        let docker = self.layout.docker();
        folders::remove(&docker, &owner)?;
        folders::make(&docker, &owner)?;
        for part in ["postgresql.conf", "init_main", "init_replica"] {
            folders::copy(&checkout().join("docker").join(part), &docker.join(part), &owner)?;
        }
        let scheduler = programs.scheduler(&self.settings.database)?;
        if let Some(remark) = &scheduler.remark {
            say(remark);
        }
        self.settings.save(&self.layout)?;
        if !primary_runs {
            if !is_made {
                self.init_primary(&programs, &scheduler)?;
            }
            say(&format!("Starting the primary on port {}", self.port(Role::Primary)));
            self.start_server(&programs, Role::Primary, &primary, &scheduler.settings)?;
        }
        if !self.settings.synchronous
            && let Err(error) = self.let_primary_go_on()
        {
            self.restore_passwords()?;
            return Err(error);
        }
        self.make_way_for_the_replica()?;
        if !self.is_running(Role::Replica) {
            match self.layout.has_old_primary() {
                true if may_lose_what_only_it_has() => replace_data(self, &programs, &scheduler)?,
                true => rejoin_data(self, &programs, &scheduler)?,
                false => self.start_replica(&programs, &scheduler)?,
            }
        }
        if self.settings.synchronous && self.streams_within(Duration::from_secs(15)) {
            self.set_synchronous()?;
        }
        self.wait_until_live()?;
        if !self.settings.synchronous {
            self.set_synchronous()?;
        }
        self.set_insert_batch()?;
        self.start_receipt();
        self.start_page();
        self.say_how_to_connect();
        Ok(())
    }

    /// The demo lives without it.
    pub(crate) fn start_receipt(&self) {
        if let Err(error) = receipt::start(self) {
            warn(&format!("The receipt is not written: {error}"));
        }
    }

    /// A page stays where it is served, and is served nowhere where that was asked for, as long as a server or the page runs,
    /// unless it is asked for elsewhere: as the servers stay on their ports.
    fn keep_lab_port(&mut self, given: &Named) -> Result<(), Error> {
        let is_served = serve::is_running(&self.layout);
        let runs = is_served || SERVERS.into_iter().any(|role| self.is_running(role));
        let Some(runs_at) = self.saved.lab_port().filter(|_| runs) else {
            return Ok(());
        };
        match given.lab_port() {
            Some(asked) if asked != runs_at => match is_served {
                true => serve::stop(&self.layout).map(drop),
                false => Ok(()),
            },
            _ => {
                self.settings.lab_port = runs_at;
                Ok(())
            }
        }
    }

    /// The demo lives without it, also where another one is served on its port.
    pub(crate) fn start_page(&self) {
        if let Err(error) = serve::start(self) {
            warn(&format!("The page is not served: {error}"));
        }
    }

    /// A replica that runs and does not stream gets a new start: the script that starts it finds out why, and mends what it can.
    fn make_way_for_the_replica(&self) -> Result<(), Error> {
        if !self.is_running(Role::Replica) {
            return Ok(());
        }
        let promoted = self.is_promoted();
        if promoted && !may_lose_what_only_it_has() {
            return Err(DemoError::Promoted.into());
        }
        if promoted || !self.streams_within(Duration::from_secs(15)) {
            self.stop_server(Role::Replica, &self.layout.data(Role::Replica))?;
        }
        Ok(())
    }

    fn require_free_port(&self, role: Role) -> Result<(), Error> {
        let port = self.port(role);
        if self.is_running(role) || !listens(port) {
            return Ok(());
        }
        if let Some(remark) = self.layout.another_users_demo() {
            say(&remark.to_string());
        }
        let variable = self.port_variable(role);
        let is_swapped = self.layout.initial_role(role) != role;
        Err(port_taken(&self.settings, variable, port, role, is_swapped)?.into())
    }
}

fn port_taken(
    settings: &Settings,
    variable: &'static str,
    port: u16,
    role: Role,
    is_swapped: bool,
) -> Result<DemoError, Error> {
    let free = free_port(&[settings.primary_port, settings.replica_port])?;
    let server = match is_swapped {
        true => format!("{variable}, which is the {role}'s since a failover"),
        false => format!("the {role}"),
    };
    Ok(DemoError::PortTaken { port, server, variable, free })
}

/// Where `STATE_DIR` names a folder that there is none of, the ports are looked at before anything makes it.
pub fn check_before_the_folder_is_made(folder: Option<&Path>) -> Result<(), Error> {
    let state = std::env::var_os("STATE_DIR").filter(|given| !given.is_empty());
    if folder.is_some() || state.is_none_or(|state| Path::new(&state).exists()) {
        return Ok(());
    }
    let settings = Settings::of(&Named::given()?, &Named::default())?;
    for role in SERVERS {
        let port = settings.port(role);
        if listens(port) {
            return Err(port_taken(&settings, port_variable(role), port, role, false)?.into());
        }
    }
    Ok(())
}

/// Whether both are primaries, and the second of them is on the older timeline.
fn older_is_the_replica(primary: Option<DataState>, replica: Option<DataState>) -> bool {
    primary.zip(replica).is_some_and(|(primary, replica)| {
        let are_primaries = primary.opens_for_writes() && replica.opens_for_writes();
        are_primaries && primary.system_identifier == replica.system_identifier && replica.timeline < primary.timeline
    })
}

/// Before anything is started: the replica's entrypoint would refuse it last of all.
fn check_reclone() -> Result<(), Error> {
    match std::env::var(RECLONE).unwrap_or_default() {
        known if ["", "1", "promoted", "always"].contains(&known.as_str()) => Ok(()),
        value => Err(SettingError::NoReclone { value }.into()),
    }
}

/// Whether a server is to be thrown away though it was a primary, with the rows that only it has.
fn may_lose_what_only_it_has() -> bool {
    std::env::var(RECLONE).is_ok_and(|value| value == "promoted")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_told_by_the_setting_that_moves_it() {
        let settings = Settings::of(&Named::default(), &Named::default()).unwrap();
        let said = |swapped| port_taken(&settings, "REPLICA_PORT", 5433, Role::Primary, swapped).unwrap().to_string();
        assert!(said(false).starts_with("port 5433 of 127.0.0.1, for the primary, is taken: "), "{}", said(false));
        let wanted = "port 5433 of 127.0.0.1, for REPLICA_PORT, which is the primary's since a failover, is taken: ";
        assert!(said(true).starts_with(wanted) && said(true).contains("make demo REPLICA_PORT="), "{}", said(true));
    }

    #[test]
    fn of_two_primaries_the_one_promoted_last_is_thrown_away() {
        let state = |timeline, is_replica| {
            Some(DataState { system_identifier: 7, timeline, is_replica, ..DataState::default() })
        };
        let stranger = Some(DataState { system_identifier: 8, timeline: 1, ..DataState::default() });
        assert!(older_is_the_replica(state(3, false), state(2, false)));
        for (primary, replica) in [
            (state(2, false), state(2, false)),
            (state(2, false), state(3, false)),
            (state(3, false), state(2, true)),
            (state(3, true), state(2, false)),
            (state(3, false), stranger),
            (state(3, false), None),
        ] {
            assert!(!older_is_the_replica(primary, replica), "{primary:?} {replica:?}");
        }
    }
}
