//! Brings up the primary and the replica, waits until they live, says how to connect.

use std::path::Path;
use std::time::Duration;

use crate::checkout;
use crate::connect::Refusal;
use crate::demo::lock::lock_demo;
use crate::demo::roles::DataState;
use crate::demo::settings::WAL_LEVEL;
use crate::demo::{Demo, Layout, Named, Programs, SERVERS, Settings, folders, port_variable};
use crate::error::Error;
use crate::failover::{rejoin_data, replace_data};
use crate::receipt;
use crate::role::Role;
use crate::say::{say, warn};
use crate::server::ports::{free_port, listens};

/// Starts the demo in a folder, whatever of it does not run yet.
pub fn start(folder: Option<&Path>) -> Result<(), Error> {
    let layout = Layout::find(folder)?;
    folders::check(&layout)?;
    let given = Named::given()?;
    folders::owned_folder(&layout.folder, &layout.owner)?;
    let _lock = lock_demo(&layout, Duration::from_secs(1))?;
    let saved = Named::saved(&layout)?;
    // What is to be started now goes to the ports that are named now, or to the usual ones.
    let settings = Settings::of(&given, &saved.clone().lasting())?;
    let mut demo = Demo { layout, settings, saved };
    demo.heed_reclone();
    demo.undo_half_a_failover()?;
    for role in SERVERS {
        demo.keep_port(role, &given)?;
    }
    demo.check_against_running_servers()?;
    if demo.is_made()
        && let Some(remark) = demo.settings.keep_test_rows(&given, &demo.saved)
    {
        say(&remark);
    }
    if let Some(remark) = demo.other_wal_level() {
        say(&remark);
    }
    if demo.is_running(Role::Primary) && demo.is_running(Role::Replica) && demo.lacks().reasons.is_empty() {
        demo.set_synchronous()?;
        demo.keep_settings()?;
        say("The demo is already running.");
        demo.start_receipt();
        demo.say_how_to_connect();
        return Ok(());
    }
    demo.start_what_is_missing()
}

impl Demo {
    /// What runs, runs where it was started.
    fn keep_port(&mut self, role: Role, given: &Named) -> Result<(), Error> {
        if !self.is_running(role) {
            return Ok(());
        }
        let seat = self.layout.seat(role);
        let port = self.saved.port(seat).unwrap_or(self.settings.port(seat));
        self.settings.set_port(seat, port);
        match given.port(seat) {
            Some(asked) if asked != port => {
                Err(Error::RunsElsewhere { server: role, port, variable: port_variable(seat), asked })
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
            format!(
                "{WAL_LEVEL}={asked} is not heeded: the demo runs with {}; make stop first",
                self.settings.wal_level
            )
        })
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
            return Err(Error::OtherPassword);
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
        let fenced = SERVERS.into_iter().find(|role| self.layout.fenced(*role).exists());
        let are_replicas = SERVERS.iter().all(|role| self.layout.state_of(*role).is_some_and(|state| state.is_replica));
        let Some(fenced) = fenced.filter(|_| are_replicas) else {
            let primary = self.layout.state_of(Role::Primary);
            return match primary.is_some_and(|primary| !primary.is_replica) {
                true => folders::remove(&self.layout.fenced(Role::Primary), &self.layout.owner),
                false => Ok(()),
            };
        };
        // It may be promoted at any moment.
        if SERVERS.into_iter().any(|role| self.is_running(role)) {
            return Err(Error::HalfFailedOver);
        }
        say("A failover broke off before anything was promoted: the old primary stays the primary");
        let signal = self.layout.data(fenced).path().join("standby.signal");
        folders::remove(&signal, &self.layout.owner)?;
        folders::remove(&self.layout.fenced(fenced), &self.layout.owner)?;
        self.layout.find_roles();
        Ok(())
    }

    /// An old primary that takes writes is not joined by another one.
    fn refuse_two_primaries(&self) -> Result<(), Error> {
        match self.is_running(Role::Replica) && self.is_promoted() && !may_lose_what_only_it_has() {
            true => Err(Error::Promoted),
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
        self.start_receipt();
        self.say_how_to_connect();
        Ok(())
    }

    /// The demo lives without it.
    pub(crate) fn start_receipt(&self) {
        if let Err(error) = receipt::start(self) {
            warn(&format!("The receipt is not written: {error}"));
        }
    }

    /// A replica that runs and does not stream gets a new start: the script that starts it finds out why, and mends what it can.
    fn make_way_for_the_replica(&self) -> Result<(), Error> {
        if !self.is_running(Role::Replica) {
            return Ok(());
        }
        let promoted = self.is_promoted();
        if promoted && !may_lose_what_only_it_has() {
            return Err(Error::Promoted);
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
        let free = free_port(&[self.settings.primary_port, self.settings.replica_port])?;
        Err(Error::PortTaken { port, server: role, variable: self.port_variable(role), free })
    }
}

/// Whether both are primaries, and the second of them is on the older timeline.
fn older_is_the_replica(primary: Option<DataState>, replica: Option<DataState>) -> bool {
    primary.zip(replica).is_some_and(|(primary, replica)| {
        let are_primaries = !primary.is_replica && !replica.is_replica;
        are_primaries && primary.system_identifier == replica.system_identifier && replica.timeline < primary.timeline
    })
}

/// Whether a server is to be thrown away though it was a primary, with the rows that only it has.
fn may_lose_what_only_it_has() -> bool {
    std::env::var("REPLICA_RECLONE").is_ok_and(|value| value == "promoted")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_primaries_the_one_promoted_last_is_thrown_away() {
        let state = |timeline, is_replica| Some(DataState { system_identifier: 7, timeline, is_replica });
        let stranger = Some(DataState { system_identifier: 8, timeline: 1, is_replica: false });
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
