//! The old primary becomes a replica of the new one.

use std::path::Path;
use std::time::Duration;

use super::kept_rows::KeptRows;
use super::rewind::Rewind;
use crate::demo::{Demo, Programs, Scheduler, folders, lock_demo};
use crate::error::{DemoError, Error};
use crate::marks;
use crate::role::Role;
use crate::say::say;

const LOCK: Duration = Duration::from_secs(10);

/// How long a replica may take to stream after it was started.
const STREAMS: Duration = Duration::from_secs(30);

/// Makes the old primary of the demo in a folder a replica of the new one.
pub fn rejoin(folder: Option<&Path>) -> Result<(), Error> {
    crate::patroni::refuse("rejoin")?;
    let mut demo = Demo::as_started(folder)?;
    let _lock = lock_demo(&demo.layout, LOCK)?;
    if demo.layout.in_containers {
        return super::containers::rejoin(&demo);
    }
    if !demo.is_running(Role::Primary) {
        return Err(DemoError::NotRunning { server: Role::Primary }.into());
    }
    let mut old = demo.replicas();
    old.retain(|one| one.layout.has_old_primary());
    if old.is_empty() {
        say("There is no old primary to be made a replica (make status shows all servers)");
        return Ok(());
    }
    let programs = Programs::make(&demo.layout, false)?;
    let scheduler = programs.scheduler(&demo.settings.database)?;
    for mut one in old {
        let text = format!("the server on port {} becomes a replica", one.port(Role::Replica));
        let _noted = marks::Open::begin(&one.layout, "failover", &text);
        rejoin_data(&mut one, &programs, &scheduler)?;
        say(&format!(
            "The server on port {} follows the primary on port {} now",
            one.port(Role::Replica),
            one.port(Role::Primary)
        ));
    }
    // With CASCADE=on the others may follow it now.
    demo.settle_replicas(&programs, &scheduler)?;
    demo.set_synchronous()?;
    demo.wait_until_live()
}

/// The same, once it is known that there is an old primary and that the new one runs. Starts it, too.
pub(crate) fn rejoin_data(demo: &mut Demo, programs: &Programs, scheduler: &Scheduler) -> Result<(), Error> {
    say(&format!("Making the old primary on port {} a replica", demo.port(Role::Replica)));
    drop(demo.fence(Role::Replica)?);
    demo.keep_fenced(Role::Replica)?;
    if demo.is_half_rewound() {
        say("    an earlier pg_rewind was ended before it was done: a new clone is needed");
        return replace_data(demo, programs, scheduler);
    }
    let kept = KeptRows::keep(demo, programs)?;
    kept.say(demo);
    // A server that was promoted by hand has none: without it the replica is cloned. Before the checkpoint that removes WAL.
    let slot = demo.slot();
    let keep_wal = format!(
        "select pg_create_physical_replication_slot('{slot}', true) \
         where not exists (select from pg_replication_slots where slot_name = '{slot}')"
    );
    demo.ask_primary(&keep_wal)?;
    let why = match demo.rewind(programs)? {
        Rewind::Rewound(said) => {
            say(&format!("    pg_rewind: {said}"));
            demo.start_replica(programs, scheduler)?;
            match demo.streams_within(STREAMS) {
                true => None,
                false => Some(format!("after pg_rewind it did not stream within {} s", STREAMS.as_secs())),
            }
        }
        Rewind::Clone(why) => Some(why),
    };
    if let Some(why) = why {
        say(&format!("    a new clone is needed: {why}"));
        return replace_data(demo, programs, scheduler);
    }
    // A slot of its time as the primary would keep WAL for nobody.
    let drop_slot = format!(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = '{slot}' and not active"
    );
    // What cannot be asked now is found by the doctor.
    let _ = demo.ask(Role::Replica, &drop_slot);
    is_no_old_primary(demo)
}

/// Throws an old primary's data away for a new clone. Until it is whole, the old data stay.
pub(crate) fn replace_data(demo: &mut Demo, programs: &Programs, scheduler: &Scheduler) -> Result<(), Error> {
    demo.stop_server(Role::Replica, &demo.layout.data(Role::Replica))?;
    demo.clone_replica(programs, scheduler)?;
    is_no_old_primary(demo)
}

fn is_no_old_primary(demo: &Demo) -> Result<(), Error> {
    folders::remove(&demo.layout.rewinding(Role::Replica), &demo.layout.owner)?;
    folders::remove(&demo.layout.fenced(Role::Replica), &demo.layout.owner)
}
