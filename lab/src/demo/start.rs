//! Brings up the primary and its replicas, waits until they live, says how to connect.

use std::path::Path;
use std::time::Duration;

use crate::checkout;
use crate::connect::Refusal;
use crate::demo::lock::lock_demo;
use crate::demo::roles::DataState;
use crate::demo::settings::{REPLICAS, WAL_LEVEL};
use crate::demo::{Demo, Layout, Named, Programs, Scheduler, Settings, folders, port_variable, servers};
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
    // What is to be started now goes to the ports that are named now, or to those of the last start.
    let settings = Settings::of(&given, &saved.clone().lasting())?;
    let mut demo = Demo { layout, settings, saved };
    // Those that are more than are wanted are there until they are removed.
    demo.layout.find_roles(demo.settings.replicas);
    demo.refuse_another_major()?;
    demo.heed_reclone();
    demo.undo_half_a_failover()?;
    for (role, one) in demo.servers() {
        demo.keep_port(role, &one, &given)?;
    }
    let surplus = match given.get(REPLICAS) {
        Some(_) => demo.surplus()?,
        None => Vec::new(),
    };
    if surplus.is_empty() {
        demo.leave_what_is_not_wanted();
    }
    demo.move_the_page(&given)?;
    demo.check_against_running_servers()?;
    if demo.is_made()
        && let Some(remark) = demo.settings.keep_test_rows(&given, &demo.saved)
    {
        say(&remark);
    }
    if let Some(remark) = demo.other_wal_level() {
        say(&remark);
    }
    let is_other = !surplus.is_empty() || demo.replicas().iter().any(Demo::is_to_move);
    let all_run = demo.servers().iter().all(|(role, one)| one.is_running(*role));
    if all_run && !is_other && demo.missing().reasons.is_empty() {
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
    demo.start_what_is_missing(surplus)
}

impl Demo {
    /// A server starts with data of its own major version only.
    fn refuse_another_major(&self) -> Result<(), Error> {
        let wanted = self.layout.state.major;
        for node in &self.layout.nodes {
            let file = node.data.join("PG_VERSION");
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
    fn keep_port(&mut self, role: Role, one: &Self, given: &Named) -> Result<(), Error> {
        if !one.is_running(role) {
            return Ok(());
        }
        let number = one.layout.number(role);
        let port = self.saved.base_port(number).unwrap_or(self.settings.base_port(number));
        self.settings.set_base_port(number, port);
        match given.base_port(number) {
            Some(asked) if asked != port => {
                Err(DemoError::RunsElsewhere { server: role, port, variable: port_variable(number), asked }.into())
            }
            _ => Ok(()),
        }
    }

    /// Servers that run have the `wal_level` that they were started with, and one that starts beside them must have the same.
    fn other_wal_level(&mut self) -> Option<String> {
        if !self.any_runs() {
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
        let mut running = self.servers();
        running.retain(|(role, one)| one.is_running(*role));
        if running.is_empty() {
            return Ok(());
        }
        // The ports of further replicas may have moved with those of servers that run.
        self.settings.check_ports()?;
        // Another user would be refused as if the password were wrong.
        self.settings.check_against_data(&self.saved)?;
        let refused = |(role, one): &(Role, Self)| matches!(one.ask(*role, "select 1"), Err(Refusal::Password(_)));
        if running.iter().any(refused) {
            return Err(SettingError::OtherPassword.into());
        }
        Ok(())
    }

    /// Throws away the server that was promoted last, if told so, instead of the older primary.
    fn heed_reclone(&mut self) {
        let states: Vec<_> = self.replicas().iter().map(|one| one.layout.state_of(Role::Replica)).collect();
        let primary = self.layout.state_of(Role::Primary);
        let older = states.iter().position(|state| older_is_the_replica(primary, *state));
        if let Some(older) = older.filter(|_| may_lose_what_only_it_has()) {
            let node = self.layout.nodes.remove(older + 1);
            self.layout.nodes.insert(0, node);
            if let Some((_, replicas)) = self.layout.nodes.split_first_mut() {
                replicas.sort_by_key(|node| node.number);
            }
        }
    }

    /// A failover that broke off before the promotion has left replicas only. The one that was fenced off is the primary still.
    fn undo_half_a_failover(&mut self) -> Result<(), Error> {
        let states: Vec<_> = self.servers().iter().map(|(role, one)| one.layout.state_of(*role)).collect();
        let takes_none = states.iter().flatten().all(|state| !state.opens_for_writes());
        let are_several = states.iter().flatten().count() > 1;
        let may_be_opened = states[0].is_some_and(|state| state.may_be_opened_again());
        if !takes_none || !are_several || !may_be_opened {
            return Ok(());
        }
        // One may be promoted at any moment.
        if self.any_runs() {
            return Err(FailoverError::HalfFailedOver.into());
        }
        say("A failover broke off before anything was promoted: the old primary stays the primary");
        let signal = self.layout.data(Role::Primary).path().join("standby.signal");
        folders::remove(&signal, &self.layout.owner)?;
        folders::remove(&self.layout.fenced(Role::Primary), &self.layout.owner)?;
        self.layout.find_roles(self.settings.replicas);
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

    fn start_what_is_missing(&mut self, surplus: Vec<Self>) -> Result<(), Error> {
        let owner = self.layout.owner.clone();
        folders::owned_folder(&self.layout.sockets(), &owner)?;
        let primary = self.layout.data(Role::Primary);
        let is_made = self.is_made();
        if is_made {
            self.settings.check_against_data(&self.saved)?;
        }
        self.replicas().iter().try_for_each(Self::refuse_two_primaries)?;
        let wanted = self.settings.replicas;
        for (place, (role, one)) in self.servers().iter().enumerate() {
            if place == 0 || one.layout.number(*role) <= wanted {
                one.require_free_port(*role)?;
            }
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
        self.finish_removals()?;
        servers::tell_to_stop(&surplus)?;
        surplus.iter().try_for_each(Self::stop_surplus)?;
        self.layout.nodes.retain(|node| node.number <= wanted);
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
        for place in 1..self.layout.nodes.len() {
            // Whom it follows may have been started only now.
            let mut one = self.replica(place);
            one.bring_up_the_replica(&programs, &scheduler)?;
        }
        self.settle_replicas(&programs, &scheduler)?;
        if self.settings.synchronous && self.any_streams_within(Duration::from_secs(15)) {
            self.set_synchronous()?;
        }
        self.wait_until_live()?;
        if !self.settings.synchronous {
            self.set_synchronous()?;
        }
        self.set_insert_batch()?;
        // Only now that the others are known to live.
        surplus.iter().try_for_each(Self::remove_surplus)?;
        self.start_receipt();
        self.watch_the_same_servers()?;
        self.start_page();
        self.say_how_to_connect();
        Ok(())
    }

    fn bring_up_the_replica(&mut self, programs: &Programs, scheduler: &Scheduler) -> Result<(), Error> {
        if self.is_to_move() {
            return Ok(());
        }
        self.make_way_for_the_replica()?;
        if self.is_running(Role::Replica) {
            return Ok(());
        }
        match self.layout.has_old_primary() {
            true if may_lose_what_only_it_has() => replace_data(self, programs, scheduler),
            true => rejoin_data(self, programs, scheduler),
            false => {
                self.keep_wal_for_the_replica()?;
                self.start_replica(programs, scheduler)?;
                self.mend_what_missed_a_failover(programs, scheduler)
            }
        }
    }

    /// A page that is served watches the servers that there were when it was begun: it is begun anew where they are others now.
    fn watch_the_same_servers(&self) -> Result<(), Error> {
        let watched = self.saved.get(REPLICAS).unwrap_or("1");
        match watched != self.settings.replicas.to_string() {
            true => serve::stop(&self.layout).map(drop),
            false => Ok(()),
        }
    }

    /// The demo lives without it.
    pub(crate) fn start_receipt(&self) {
        if let Err(error) = receipt::start(self) {
            warn(&format!("The receipt is not written: {error}"));
        }
    }

    /// A page stays where it is served, unless it is asked for elsewhere.
    fn move_the_page(&self, given: &Named) -> Result<(), Error> {
        let is_elsewhere =
            given.lab_port().is_some_and(|asked| self.saved.lab_port().is_some_and(|saved| saved != asked));
        match is_elsewhere && serve::is_running(&self.layout) {
            true => serve::stop(&self.layout).map(drop),
            false => Ok(()),
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
        let number = self.layout.number(role);
        let server = match (role, number) {
            (Role::Primary, 0) => "the primary".to_owned(),
            (Role::Replica, number) if number > 0 => replica_of_the_port(&self.settings, number),
            _ => format!("{}, which is the {role}'s since a failover", port_variable(number)),
        };
        Err(port_taken(&self.settings, number, server)?.into())
    }
}

fn replica_of_the_port(settings: &Settings, number: u8) -> String {
    match settings.replicas {
        1 => "the replica".to_owned(),
        replicas => format!("replica {number} of {replicas}"),
    }
}

/// What was typed after make, besides one setting and what is nobody's to read.
fn typed_besides(variable: &str) -> String {
    others(&std::env::var("MAKEFLAGS").unwrap_or_default(), variable)
}

/// make hands on what was typed after `--`, with a backslash before what a shell would take apart: such words are left out.
fn others(makeflags: &str, variable: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,=".contains(c);
    let typed = makeflags.split_once("-- ").map_or("", |(_, typed)| typed).split_whitespace();
    let is_told = |word: &&str| {
        let name = word.split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| name != variable && !name.contains("PASSWORD")) && word.chars().all(is_plain)
    };
    typed.filter(is_told).map(|word| format!(" {word}")).collect()
}

/// The replicas move together, so what is told is a port from which on all of theirs are free.
fn port_taken(settings: &Settings, number: u8, server: String) -> Result<DemoError, Error> {
    let ours = [settings.primary_port, settings.replica_port];
    let mut free = free_port(&ours)?;
    for _ in 0..100 {
        let mut all = (0..u16::from(settings.replicas)).map(|further| free.checked_add(further));
        if number == 0 || all.all(|port| port.is_some_and(|port| !listens(port) && port != settings.primary_port)) {
            break;
        }
        free = free_port(&ours)?;
    }
    let (port, variable) = (settings.port(number), port_variable(number));
    Ok(DemoError::PortTaken { port, server, variable, free, typed: typed_besides(variable) })
}

/// Where `STATE_DIR` names a folder that there is none of, the ports are looked at before anything makes it.
pub fn check_before_the_folder_is_made(folder: Option<&Path>) -> Result<(), Error> {
    let state = std::env::var_os("STATE_DIR").filter(|given| !given.is_empty());
    if folder.is_some() || state.is_none_or(|state| Path::new(&state).exists()) {
        return Ok(());
    }
    let settings = Settings::of(&Named::given()?, &Named::default())?;
    for number in 0..=settings.replicas {
        if listens(settings.port(number)) {
            let server = if number == 0 { "the primary".to_owned() } else { replica_of_the_port(&settings, number) };
            return Err(port_taken(&settings, number, server)?.into());
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
pub(crate) fn may_lose_what_only_it_has() -> bool {
    std::env::var(RECLONE).is_ok_and(|value| value == "promoted")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_told_by_the_setting_that_moves_it() {
        let mut settings = Settings::of(&Named::default(), &Named::default()).unwrap();
        let said = |settings: &Settings, number, server: &str| {
            port_taken(settings, number, server.to_owned()).unwrap().to_string()
        };
        let one = said(&settings, 1, &replica_of_the_port(&settings, 1));
        assert!(one.starts_with("port 5433 of 127.0.0.1, for the replica, is taken: "), "{one}");
        assert!(one.contains("make demo REPLICA_PORT="), "{one}");
        settings.replicas = 3;
        let third = said(&settings, 3, &replica_of_the_port(&settings, 3));
        assert!(third.starts_with("port 5435 of 127.0.0.1, for replica 3 of 3, is taken: "), "{third}");
        assert!(third.contains("make demo REPLICA_PORT="), "{third}");
    }

    #[test]
    fn what_else_was_typed_is_told() {
        let typed = |flags: &str| others(flags, "REPLICA_PORT");
        assert_eq!(
            typed("s --no-print-directory -- REPLICAS=3 REPLICA_PORT=7000 CASCADE=on"),
            " REPLICAS=3 CASCADE=on"
        );
        assert_eq!(typed(" -- POSTGRES_PASSWORD=secret PG=17 DEMO_DIR=/tmp/a\\ b X=`id` Y=$(id)"), " PG=17");
        assert_eq!(typed("s"), "");
        assert_eq!(typed(""), "");
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
