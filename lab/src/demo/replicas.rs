//! Several replicas: each of them in the replica's part, whom each follows, and that there are as many as are wanted.

use std::time::Duration;

use crate::connect::Refusal;
use crate::demo::nodes::{Node, beside, find_native, is_of_a_further_replica};
use crate::demo::roles::DataState;
use crate::demo::servers::tell_to_stop;
use crate::demo::settings::{self, REPLICAS};
use crate::demo::{Demo, Programs, SLOT, Scheduler, folders, may_lose_what_only_it_has, timeline_of_wal};
use crate::error::{Context, DemoError, Error};
use crate::failover::{KeptRows, literal};
use crate::role::Role;
use crate::say::{say, warn};
use crate::server::try_wait;
use crate::target::Target;

/// How long a replica may take to stream from another server than before.
const STREAMS: Duration = Duration::from_secs(30);

/// How long a slot may be held by the sender of a replica that has just gone.
const RELEASED: Duration = Duration::from_secs(15);

/// The WAL that a replica needs is kept before it comes. One that is there keeps more.
const KEEP_WAL: &str = "\
    select pg_create_physical_replication_slot(SLOT, true) \
    where not exists (select from pg_replication_slots where slot_name = SLOT)";

const FOLLOWED: &str = "select current_setting('primary_conninfo') || ' ' || current_setting('primary_slot_name')";

/// What the name of data ends with that are being deleted.
const REMOVED: &str = "removed";

/// The slot that the replica of a number has natively.
fn native_slot(number: u8) -> String {
    match number {
        0 | 1 => SLOT.to_owned(),
        more => format!("{SLOT}_{more}"),
    }
}

/// The port of the server that a connection string of the replica's script leads to.
fn port_in(conninfo: &str) -> Option<u16> {
    let (_, rest) = conninfo.split_once(" port=")?;
    let digits = rest.trim_start_matches('\'');
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

/// The last of a setting's lines in `postgresql.auto.conf`, which is the one that counts.
fn last_line<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().rev().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('=')))
}

impl Demo {
    /// The same demo with the server of this place in the list in the replica's part. Place 0 is the primary's.
    #[must_use]
    pub fn replica(&self, place: usize) -> Self {
        let mut one = self.clone();
        if let (Some(primary), Some(node)) = (self.layout.nodes.first(), self.layout.nodes.get(place)) {
            one.layout.nodes = vec![primary.clone(), node.clone()];
            one.layout.upstream = self.upstream_of(place);
        }
        one
    }

    /// The same for each replica.
    #[must_use]
    pub fn replicas(&self) -> Vec<Self> {
        (1..self.layout.nodes.len()).map(|place| self.replica(place)).collect()
    }

    /// Each of its servers: the part that it has in which demo.
    #[must_use]
    pub fn servers(&self) -> Vec<(Role, Self)> {
        let replicas = self.replicas().into_iter().map(|one| (Role::Replica, one));
        std::iter::once((Role::Primary, self.clone())).chain(replicas).collect()
    }

    /// Whether one of its servers runs.
    #[must_use]
    pub fn any_runs(&self) -> bool {
        self.servers().iter().any(|(role, one)| one.is_running(*role))
    }

    /// The demo with the replica on this port in the replica's part; without a port the first. A small number, which is no port, is the
    /// place in `make status`.
    pub fn replica_on(&self, port: Option<&str>) -> Result<Self, Error> {
        let replicas = self.replicas();
        let ports: Vec<_> = replicas.iter().map(|one| one.port(Role::Replica).to_string()).collect();
        let by_port = |given: &str| ports.iter().position(|port| port == given);
        let by_place = |given: &str| (1..=ports.len()).position(|place| place.to_string() == given);
        let place = port.map_or(Some(0), |given| by_port(given).or_else(|| by_place(given)));
        let Some(one) = place.and_then(|place| replicas.get(place)) else {
            let given = port.unwrap_or_default().to_owned();
            return Err(DemoError::NoSuchReplica { given, ports: ports.join(", ") }.into());
        };
        match ports.len() > 1 && !one.is_running(Role::Replica) {
            true => Err(DemoError::ReplicaNotRunning { port: one.port(Role::Replica) }.into()),
            false => Ok(one.clone()),
        }
    }

    /// Whether there is more than one replica: then a message says which.
    pub(crate) fn has_several(&self) -> bool {
        self.layout.replicas() > 1 || self.settings.replicas > 1
    }

    /// The replica as messages call it.
    pub(crate) fn the_replica(&self) -> String {
        match self.has_several() {
            true => format!("the replica{}", self.place(Role::Replica).trim_end_matches(',')),
            false => "the replica".to_owned(),
        }
    }

    /// The command that opens a session on the replica on this port.
    pub(crate) fn session_on(&self, port: Option<&str>) -> String {
        match port.filter(|_| !self.layout.in_containers && self.has_several()) {
            Some(port) => format!("make psql-replica N={port}"),
            None => "make psql-replica".to_owned(),
        }
    }

    /// Where a statement for a server, as findings name it, is typed.
    pub(crate) fn where_to_type(&self, server: &str) -> String {
        format!("in {}", self.session_on(server.rsplit_once(':').map(|(_, port)| port)))
    }

    /// The replica's slot, which is its name for whom it follows, too.
    pub(crate) fn slot(&self) -> String {
        self.layout.node(Role::Replica).map_or_else(|| SLOT.to_owned(), |node| self.slot_of(node))
    }

    /// The server that was made as the primary has none of its own: once it follows, it has that of the one it has changed parts with.
    pub(crate) fn slot_of(&self, node: &Node) -> String {
        match (self.layout.in_containers, node.number) {
            (true, _) => node.name.clone(),
            (false, 0) => native_slot(self.layout.number(Role::Primary)),
            (false, number) => native_slot(number),
        }
    }

    /// Whom the replica at a place follows, if not the primary. With `CASCADE=on` that is the first replica, as long as both are
    /// replicas.
    fn upstream_of(&self, place: usize) -> Option<Node> {
        if !self.settings.cascades || self.layout.in_containers || place < 2 {
            return None;
        }
        let state = |place: usize| DataState::read(&self.layout.nodes.get(place)?.data, &self.layout.owner);
        let both = state(1).is_some_and(DataState::follows) && state(place).is_none_or(DataState::follows);
        self.layout.nodes.get(1).filter(|_| both).cloned()
    }

    fn upstream(&self) -> Target {
        match &self.layout.upstream {
            Some(node) => self.target_of(1, node),
            None => self.target(Role::Primary),
        }
    }

    /// The port of whom the replica follows.
    pub(crate) fn upstream_port(&self) -> u16 {
        match &self.layout.upstream {
            Some(node) => self.settings.port(node.number),
            None => self.port(Role::Primary),
        }
    }

    /// Asks whom the replica follows.
    pub(crate) fn ask_upstream(&self, query: &str) -> Result<String, Refusal> {
        super::servers::ask(&self.upstream(), query)
    }

    /// Has whom the replica follows keep the WAL that it needs, if it follows another server now: without a slot it would be
    /// cloned anew. By its data, so that it need not run.
    pub(crate) fn keep_wal_for_the_replica(&self) -> Result<(), Error> {
        let file = self.layout.data(Role::Replica).path().join("postgresql.auto.conf");
        let Ok(text) = self.layout.owner.read(&file) else {
            return Ok(());
        };
        let port = last_line(&text, "primary_conninfo").and_then(port_in);
        let slot =
            last_line(&text, "primary_slot_name").is_some_and(|line| line.ends_with(&format!("'{}'", self.slot())));
        match port.is_none() || (port == Some(self.upstream_port()) && slot) {
            true => Ok(()),
            false => self.make_slot(),
        }
    }

    fn make_slot(&self) -> Result<(), Error> {
        let server = if self.layout.upstream.is_some() { Role::Replica } else { Role::Primary };
        let refused = |refusal: Refusal| DemoError::NoAnswer { server, why: refusal.to_string() }.into();
        self.ask_upstream(&KEEP_WAL.replace("SLOT", &format!("'{}'", self.slot()))).map(drop).map_err(refused)
    }

    /// Whether a replica that runs follows whom it is to follow. One that does not say is left alone.
    fn follows_the_right_one(&self) -> bool {
        let Ok(answer) = self.ask(Role::Replica, FOLLOWED) else {
            return true;
        };
        let slot = answer.rsplit(' ').next().unwrap_or_default();
        port_in(&answer).is_none_or(|port| port == self.upstream_port() && slot == self.slot())
    }

    /// Whether a replica that runs is to follow another server than it does.
    pub(crate) fn is_to_move(&self) -> bool {
        self.is_running(Role::Replica)
            && !self.layout.has_old_primary()
            && !self.is_promoted()
            && !self.follows_the_right_one()
    }

    /// Has each replica that runs follow whom it is to follow: since a failover that is another server. One that cannot keeps no other
    /// from it.
    pub(crate) fn settle_replicas(&self, programs: &Programs, scheduler: &Scheduler) -> Result<(), Error> {
        let mut to_move = self.replicas();
        to_move.retain(Self::is_to_move);
        let mut failed = Vec::new();
        let mut has_failed = |one: &Self, error: &Error| failed.push(format!("{}: {error}", one.the_replica()));
        to_move.retain(|one| one.make_slot().map_err(|error| has_failed(one, &error)).is_ok());
        tell_to_stop(&to_move)?;
        for mut one in to_move {
            if let Err(error) = one.follow_another(programs, scheduler) {
                has_failed(&one, &error);
            }
        }
        if !failed.is_empty() {
            return Err(DemoError::NotAllFollow { failed: failed.join("; ") }.into());
        }
        self.drop_stray_slots();
        Ok(())
    }

    /// Its script and its server are started anew, for both know whom they follow from their start.
    fn follow_another(&mut self, programs: &Programs, scheduler: &Scheduler) -> Result<(), Error> {
        let (port, upstream) = (self.port(Role::Replica), self.upstream_port());
        say(&format!("The replica on port {port} is to follow the server on port {upstream}: restarting it"));
        self.stop_server(Role::Replica, &self.layout.data(Role::Replica))?;
        self.start_replica(programs, scheduler)?;
        self.clone_what_cannot_follow(programs, scheduler)
    }

    /// A replica that was away while another one was promoted may have more than that one had got, and cannot follow it.
    pub(crate) fn mend_what_missed_a_failover(
        &mut self,
        programs: &Programs,
        scheduler: &Scheduler,
    ) -> Result<(), Error> {
        let own = timeline_of_wal(self.layout.data(Role::Replica).path(), &self.layout.owner);
        let primary = self.layout.state_of(Role::Primary);
        match own.zip(primary).is_some_and(|(own, primary)| own < primary.timeline) {
            true => self.clone_what_cannot_follow(programs, scheduler),
            false => Ok(()),
        }
    }

    fn clone_what_cannot_follow(&mut self, programs: &Programs, scheduler: &Scheduler) -> Result<(), Error> {
        if self.streams_within(STREAMS) {
            return Ok(());
        }
        say(&format!("    it does not stream after {} s: a new clone is needed", STREAMS.as_secs()));
        self.stop_server(Role::Replica, &self.layout.data(Role::Replica))?;
        // It may be the only one that has what a primary acknowledged.
        if !may_lose_what_only_it_has() {
            KeptRows::keep(self, programs)?.say(self);
        }
        self.clone_replica(programs, scheduler)
    }

    /// Drops the slots that no replica has there any more: each would keep WAL for nobody. What cannot be asked now is looked at by
    /// the next start.
    pub(crate) fn drop_stray_slots(&self) {
        let replicas = self.replicas();
        // A slot of a number that the demo has not had is somebody else's.
        let found = find_native(&self.layout.folder, &self.layout.owner, self.settings.replicas);
        let saved = self.saved.get(REPLICAS).and_then(|saved| settings::replicas(saved).ok()).unwrap_or(1);
        let known = found.iter().map(|node| node.number).max().unwrap_or(1).max(saved);
        for (role, server) in self.servers() {
            let is_primary = role == Role::Primary;
            if !server.is_running(role) || (!is_primary && server.is_promoted()) {
                continue;
            }
            let own = server.port(role);
            let wanted: Vec<_> =
                replicas.iter().filter(|one| one.upstream_port() == own).map(|one| literal(&one.slot())).collect();
            let ours: Vec<_> = (1..=known).map(|number| literal(&native_slot(number))).collect();
            let stray = format!(
                "slot_type = 'physical' and slot_name in ({}) and not slot_name = any (array[{}]::name[])",
                ours.join(", "),
                wanted.join(", ")
            );
            let drop = format!(
                "select pg_drop_replication_slot(slot_name) from pg_replication_slots where {stray} and not active"
            );
            let left = format!("select slot_name from pg_replication_slots where {stray}");
            let dropped = try_wait("a slot to be released", RELEASED, || {
                let asked = server.ask(role, &drop).and_then(|_| server.ask(role, &left));
                match asked.map_err(|refusal| refusal.to_string())?.as_str() {
                    "" => Ok(()),
                    left => Err(left.replace('\n', ", ")),
                }
            });
            if let Err(error) = dropped {
                warn(&format!("The server on port {own} keeps a slot that no replica needs: {error}"));
            }
        }
    }

    /// The replicas that are more than are wanted, to be removed: REPLICAS was given. Of each it is certain that it is a replica of
    /// this primary.
    pub(crate) fn surplus(&self) -> Result<Vec<Self>, Error> {
        let wanted = self.settings.replicas;
        let primary = self.layout.state_of(Role::Primary);
        let mut surplus = Vec::new();
        for (place, node) in self.layout.nodes.iter().enumerate().filter(|(_, node)| node.number > wanted) {
            let one = self.replica(place.max(1));
            let keep = |why, next: String| {
                let port = self.settings.port(node.number);
                Err(DemoError::KeepsWrites { wanted, port, why, next }.into())
            };
            if place == 0 {
                let next = format!(
                    "give REPLICAS={} or more, or have another one promoted (make failover, make rejoin) first",
                    node.number
                );
                return keep("is the primary since a failover", next);
            }
            let state = DataState::read(&node.data, &self.layout.owner);
            if state.is_some_and(|state| !state.follows()) || (one.is_running(Role::Replica) && one.is_promoted()) {
                return keep("was the primary, and may hold rows that no other has", "make rejoin first".to_owned());
            }
            let of_primary =
                |state: DataState| primary.is_some_and(|of| of.system_identifier == state.system_identifier);
            if !state.is_some_and(of_primary) {
                let next = format!("look at {}, and delete or move it yourself", node.data.display());
                return keep("cannot be seen to be a replica of the primary", next);
            }
            surplus.push(one);
        }
        Ok(surplus)
    }

    /// Data of replicas that are not wanted are left alone where nobody has said so for this start; they are told.
    pub(crate) fn leave_what_is_not_wanted(&mut self) {
        let wanted = self.settings.replicas;
        let (mut place, folder) = (0, self.layout.folder.clone());
        self.layout.nodes.retain(|node| {
            place += 1;
            let stays = place == 1 || node.number <= wanted;
            if !stays {
                warn(&format!(
                    "Left alone: {} (REPLICAS={wanted}). make demo REPLICAS={} starts it, REPLICAS={wanted} removes a replica of this demo",
                    folder.join(&node.name).display(),
                    node.number
                ));
            }
            stays
        });
    }

    /// Stops a replica that is no longer wanted. Meanwhile it may have been promoted.
    pub(crate) fn stop_surplus(&self) -> Result<(), Error> {
        let data = self.layout.data(Role::Replica);
        self.stop_server(Role::Replica, &data)?;
        match DataState::read(data.path(), &self.layout.owner).is_some_and(DataState::follows) {
            true => Ok(()),
            false => Err(DemoError::KeepsWrites {
                wanted: self.settings.replicas,
                port: self.port(Role::Replica),
                why: "was promoted meanwhile",
                next: "make doctor says more".to_owned(),
            }
            .into()),
        }
    }

    /// Deletes the data of a replica that is stopped, and what is beside them. What is half deleted has another name, by which
    /// nobody takes it for a server.
    pub(crate) fn remove_surplus(&self) -> Result<(), Error> {
        let (owner, data) = (&self.layout.owner, self.layout.data(Role::Replica));
        let wanted = self.settings.replicas;
        say(&format!("Removing the replica on port {} (REPLICAS={wanted})", self.port(Role::Replica)));
        let name = data.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let gone = beside(data.path(), REMOVED);
        folders::remove(&gone, owner)?;
        let renamed = owner.files(|| std::fs::rename(data.path(), &gone));
        renamed.context(|| format!("rename {}", data.path().display()))?;
        for found in self.names_in_the_folder()? {
            if found.strip_prefix(&name).is_some_and(|rest| rest.starts_with('.')) {
                folders::remove(&self.layout.folder.join(found), owner)?;
            }
        }
        Ok(())
    }

    /// Deletes what a removal that was cut short has left.
    pub(crate) fn finish_removals(&self) -> Result<(), Error> {
        let is_left = |name: &String| is_of_a_further_replica(name) && name.ends_with(&format!(".{REMOVED}"));
        for name in self.names_in_the_folder()?.into_iter().filter(is_left) {
            folders::remove(&self.layout.folder.join(name), &self.layout.owner)?;
        }
        Ok(())
    }

    fn names_in_the_folder(&self) -> Result<Vec<String>, Error> {
        let folder = &self.layout.folder;
        let names = || {
            let entries = std::fs::read_dir(folder)?;
            entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<std::io::Result<_>>()
        };
        self.layout.owner.files(names).context(|| format!("read {}", folder.display()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::demo::{Layout, Named, Settings, make_up};

    /// A demo with the data of so many replicas, in a folder.
    fn demo(folder: &Path, replicas: u8, cascades: bool) -> Demo {
        for number in 0..=replicas {
            make_up(&crate::demo::nodes::native(folder, number).data, 7, 1, number > 0);
        }
        again(folder, replicas, cascades)
    }

    fn again(folder: &Path, replicas: u8, cascades: bool) -> Demo {
        let nothing = Named::default();
        let mut settings = Settings::of(&nothing, &nothing).unwrap();
        (settings.replicas, settings.cascades) = (replicas, cascades);
        let mut layout = Layout::of_its_owner(folder);
        layout.find_roles(replicas);
        Demo { layout, settings, saved: nothing }
    }

    fn slots(demo: &Demo) -> Vec<(u16, String, u16)> {
        let line = |one: Demo| (one.port(Role::Replica), one.slot(), one.upstream_port());
        demo.replicas().into_iter().map(line).collect()
    }

    fn line(port: u16, slot: &str, upstream: u16) -> (u16, String, u16) {
        (port, slot.to_owned(), upstream)
    }

    #[test]
    fn the_one_replica_is_called_as_ever() {
        let folder = tempfile::tempdir().unwrap();
        let one = demo(folder.path(), 1, false);
        assert_eq!(slots(&one), [line(5433, "operations_replica", 5432)]);
        assert_eq!(
            (one.the_replica().as_str(), one.where_to_type("x").as_str()),
            ("the replica", "in make psql-replica")
        );
        // A failover: the old primary has the slot of the one that it has changed parts with.
        std::fs::write(folder.path().join("primary/standby.signal"), "").unwrap();
        std::fs::remove_file(folder.path().join("replica/standby.signal")).unwrap();
        assert_eq!(slots(&again(folder.path(), 1, false)), [line(5432, "operations_replica", 5433)]);
    }

    #[test]
    fn each_replica_has_a_slot_and_a_port_by_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let three = demo(folder.path(), 3, false);
        let names = ["operations_replica", "operations_replica_2", "operations_replica_3"];
        let expected = [line(5433, names[0], 5432), line(5434, names[1], 5432), line(5435, names[2], 5432)];
        assert_eq!(slots(&three), expected);
        assert_eq!(three.where_to_type("replica 127.0.0.1:5434"), "in make psql-replica N=5434");
        // The second was promoted: the old primary has its slot.
        std::fs::write(folder.path().join("primary/standby.signal"), "").unwrap();
        std::fs::remove_file(folder.path().join("replica_2/standby.signal")).unwrap();
        let expected = [line(5432, names[1], 5434), line(5433, names[0], 5434), line(5435, names[2], 5434)];
        assert_eq!(slots(&again(folder.path(), 3, false)), expected);
    }

    #[test]
    fn the_further_replicas_cascade_only_behind_a_replica() {
        let folder = tempfile::tempdir().unwrap();
        let upstreams = |demo: &Demo| slots(demo).into_iter().map(|(_, _, upstream)| upstream).collect::<Vec<_>>();
        assert_eq!(upstreams(&demo(folder.path(), 3, true)), [5432, 5433, 5433]);
        // An old primary that was fenced off leads nobody.
        std::fs::write(folder.path().join("replica.fenced"), "").unwrap();
        assert_eq!(upstreams(&again(folder.path(), 3, true)), [5432, 5432, 5432]);
    }

    #[test]
    fn what_is_or_was_the_primary_is_no_surplus() {
        let folder = tempfile::tempdir().unwrap();
        let ports = |demo: &Demo| {
            let surplus = demo.surplus()?;
            Ok::<_, Error>(surplus.iter().map(|one| one.port(Role::Replica)).collect::<Vec<_>>())
        };
        demo(folder.path(), 3, false);
        assert_eq!(ports(&again(folder.path(), 1, false)).unwrap(), [5434, 5435]);
        assert_eq!(ports(&again(folder.path(), 2, false)).unwrap(), [5435]);
        std::fs::write(folder.path().join("replica_3.fenced"), "").unwrap();
        let refused = |replicas| ports(&again(folder.path(), replicas, false)).unwrap_err().to_string();
        let said = refused(1);
        assert!(said.starts_with("REPLICAS=1 would remove the server on port 5435, which was the primary"), "{said}");
        std::fs::remove_file(folder.path().join("replica_3.fenced")).unwrap();
        std::fs::write(folder.path().join("primary/standby.signal"), "").unwrap();
        std::fs::remove_file(folder.path().join("replica_3/standby.signal")).unwrap();
        let said = refused(2);
        assert!(said.contains("port 5435, which is the primary since a failover: give REPLICAS=3 or more"), "{said}");
        assert!(ports(&again(folder.path(), 3, false)).unwrap().is_empty());
    }

    #[test]
    fn only_a_replica_of_the_primary_is_surplus() {
        let folder = tempfile::tempdir().unwrap();
        let refused =
            || again(folder.path(), 1, false).surplus().map(|found| found.len()).map_err(|error| error.to_string());
        demo(folder.path(), 2, false);
        assert_eq!(refused(), Ok(1));
        // Of another cluster; without a control file; notes of somebody's.
        make_up(&folder.path().join("replica_2"), 8, 1, true);
        assert!(refused().unwrap_err().contains("which cannot be seen to be a replica of the primary"));
        std::fs::remove_file(folder.path().join("replica_2/global/pg_control")).unwrap();
        assert!(refused().unwrap_err().contains("delete or move it yourself"));
        std::fs::remove_dir_all(folder.path().join("replica_2")).unwrap();
        std::fs::create_dir(folder.path().join("replica_7")).unwrap();
        assert!(refused().is_err());
        std::fs::remove_dir(folder.path().join("replica_7")).unwrap();
        // Without a primary nothing is one of its replicas.
        demo(folder.path(), 2, false);
        std::fs::remove_dir_all(folder.path().join("primary")).unwrap();
        assert!(refused().is_err());
    }

    #[test]
    fn what_nobody_spoke_of_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        demo(folder.path(), 3, false);
        let mut one = again(folder.path(), 1, false);
        one.leave_what_is_not_wanted();
        let names: Vec<_> = one.layout.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["primary", "replica"]);
        assert!(folder.path().join("replica_3/global/pg_control").exists());
    }

    #[test]
    fn a_removal_that_was_cut_short_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        let one = demo(folder.path(), 1, false);
        for name in ["replica_2.removed", "replica.removed", "notes.removed"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        assert_eq!(one.layout.replicas(), 1);
        one.finish_removals().unwrap();
        let is_there =
            ["replica_2.removed", "replica.removed", "notes.removed"].map(|name| folder.path().join(name).exists());
        assert_eq!(is_there, [false, true, true]);
    }

    #[test]
    fn only_what_goes_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let two = demo(folder.path(), 2, false);
        for name in ["replica_2.log", "replica_2.clone", "replica_20", "replica.log"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        two.replica(2).remove_surplus().unwrap();
        let mut left: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["primary", "replica", "replica.log", "replica_20"]);
    }

    #[test]
    fn whom_a_replica_follows_is_read_from_its_settings() {
        let text = "port = 1\nprimary_conninfo = 'host=''a'' port=''1'''\nprimary_conninfo = 'host=''127.0.0.1'' port=''5433'' user=''r'''\n";
        assert_eq!(last_line(text, "primary_conninfo").and_then(port_in), Some(5433));
        assert_eq!(last_line(text, "primary_slot_name"), None);
        assert_eq!(port_in("host='127.0.0.1' port='5432' user='x port=9'"), Some(5432));
        assert_eq!(port_in("host=x"), None);
    }
}
