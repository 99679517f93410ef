//! A replica that is away for so long that its primary gives up the WAL it needs.

use std::time::Duration;

use crate::doctor::Finding;
use crate::drill::fault::{Fault, Healed, make_demo};
use crate::drill::faults::processes::write_wal;
use crate::drill::faults::servers::inode;
use crate::drill::scene::Scene;
use crate::error::Error;
use crate::role::Role;
use crate::server::{LIMIT, Stop};

// What is kept for pg_rewind is no reason to keep a slot's WAL.
const CAP: [(&str, &str); 2] = [("max_slot_wal_keep_size", "64MB"), ("wal_keep_size", "0")];

/// What pg_wal may hold beyond the cap: the segments that are kept for reuse, and those written since.
const BOUND: &str = "\
    SELECT sum(size) <= 1024 * 1024 * (SELECT sum(setting::bigint) FROM pg_settings \
                                       WHERE name IN ('min_wal_size', 'max_slot_wal_keep_size')) + 6 * 16 * 1024 * 1024 \
    FROM pg_ls_waldir()";

/// Stops the replica, caps what its slot may keep, and writes more.
#[derive(Default)]
pub struct SlotLost {
    data: u64,
    is_bounded: String,
}

impl SlotLost {
    /// The fault.
    pub fn fault() -> Box<dyn Fault> {
        Box::new(Self::default())
    }
}

impl Fault for SlotLost {
    fn prepare(&mut self, scene: &Scene) -> Result<(), Error> {
        self.data = inode(scene, Role::Replica)?;
        scene.set_and_undo(Role::Primary, &CAP)
    }

    fn cause(&mut self, scene: &Scene) -> Result<String, Error> {
        scene.data(Role::Replica).stop(Stop::Fast, LIMIT)?;
        write_wal(scene, 128)?;
        scene.run(Role::Primary, &["CHECKPOINT"])?;
        scene.becomes(Role::Primary, "SELECT wal_status FROM pg_replication_slots", "lost", Duration::from_secs(10))?;
        scene.run(Role::Primary, &["CHECKPOINT"])?;
        self.is_bounded = scene.ask(Role::Primary, BOUND)?;
        Ok("the replica was stopped, and 128 MB of WAL written with max_slot_wal_keep_size = 64MB".to_owned())
    }

    fn heal(&mut self, scene: &Scene, _seen: &Finding) -> Result<Healed, Error> {
        // The new clone has the primary's settings, and shall not have the drill's.
        let left = scene.undo();
        if !left.is_empty() {
            return Err(Error::Environment(left.join("; ")));
        }
        make_demo(scene)
    }

    fn check(&mut self, scene: &Scene) -> Result<Vec<String>, Error> {
        let mut wrong = Vec::new();
        if self.is_bounded != "t" {
            wrong.push("pg_wal grew beyond min_wal_size and max_slot_wal_keep_size".to_owned());
        }
        if inode(scene, Role::Replica)? == self.data {
            wrong.push("the replica was not cloned anew".to_owned());
        }
        Ok(wrong)
    }
}
