//! A replica that is away, or takes nothing, for so long that its primary gives up the WAL it needs.

use std::time::{Duration, Instant};

use crate::doctor::Finding;
use crate::drill::fault::{Fault, Healed, make_demo};
use crate::drill::faults::processes::{freeze, write_wal};
use crate::drill::faults::servers::inode;
use crate::drill::scene::Scene;
use crate::error::Error;
use crate::role::Role;
use crate::server::{LIMIT, Signal, Stop};

// What is kept for pg_rewind is no reason to keep a slot's WAL.
const CAP: [(&str, &str); 2] = [("max_slot_wal_keep_size", "64MB"), ("wal_keep_size", "0")];

/// How much is written, in MB: far more than the slot may keep.
const WRITTEN: u32 = 320;

/// What pg_wal holds up to the present segment, in MB. Those beyond it are kept for reuse, up to max_wal_size.
const SIZE: &str = "\
    SELECT (sum(size) / 1024 / 1024)::bigint FROM pg_ls_waldir() \
    WHERE name ~ '^[0-9A-F]{24}$' AND name <= pg_walfile_name(pg_current_wal_lsn())";

/// What it may hold more than before: what the slot keeps, and what was written since the checkpoint before the last.
const MORE: i64 = 64 + 6 * 16;

/// Keeps the replica from receiving, caps what its slot may keep, and writes more.
pub struct SlotLost {
    /// Whether the replica runs meanwhile.
    runs: bool,
    data: u64,
    before: i64,
    after: i64,
    lost: Option<Instant>,
}

impl SlotLost {
    /// The replica is stopped, and started again by a hand.
    pub fn of_a_stopped_replica() -> Box<dyn Fault> {
        Box::new(Self { runs: false, data: 0, before: 0, after: 0, lost: None })
    }

    /// The replica serves readers all the time, and nobody does anything.
    pub fn of_a_running_replica() -> Box<dyn Fault> {
        Box::new(Self { runs: true, data: 0, before: 0, after: 0, lost: None })
    }
}

impl Fault for SlotLost {
    fn prepare(&mut self, scene: &Scene) -> Result<(), Error> {
        self.data = inode(scene, Role::Replica)?;
        scene.set_and_undo(Role::Primary, &CAP)
    }

    fn cause(&mut self, scene: &Scene) -> Result<String, Error> {
        let receiver = match self.runs {
            true => Some(freeze(scene, Role::Replica, "walreceiver")?),
            false => scene.data(Role::Replica).stop(Stop::Fast, LIMIT).map(|_| None)?,
        };
        self.before = size(scene)?;
        write_wal(scene, WRITTEN)?;
        scene.run(Role::Primary, &["CHECKPOINT"])?;
        scene.becomes(Role::Primary, "SELECT wal_status FROM pg_replication_slots", "lost", Duration::from_secs(10))?;
        self.lost = Some(Instant::now());
        scene.run(Role::Primary, &["CHECKPOINT"])?;
        self.after = size(scene)?;
        let what = match receiver {
            Some(pid) => {
                scene.data(Role::Replica).signal_process(pid, Signal::CONT)?;
                format!("the replica's WAL receiver (process {pid}) was stopped (SIGSTOP) for a while")
            }
            None => "the replica was stopped".to_owned(),
        };
        Ok(format!("{what}, and {WRITTEN} MB of WAL were written with max_slot_wal_keep_size = 64MB"))
    }

    fn began(&self) -> Option<Instant> {
        self.lost
    }

    fn heal(&mut self, scene: &Scene, _seen: &Finding) -> Result<Healed, Error> {
        // The new clone has the primary's settings, and shall not have the drill's.
        let left = scene.undo();
        if !left.is_empty() {
            return Err(Error::Environment(left.join("; ")));
        }
        if self.runs { Ok(Healed::ByItself) } else { make_demo(scene) }
    }

    fn check(&mut self, scene: &Scene) -> Result<Vec<String>, Error> {
        let mut wrong = Vec::new();
        if self.after - self.before > MORE {
            wrong.push(format!("pg_wal grew from {} MB to {} MB", self.before, self.after));
        }
        if inode(scene, Role::Replica)? == self.data {
            wrong.push("the replica was not cloned anew".to_owned());
        }
        Ok(wrong)
    }
}

fn size(scene: &Scene) -> Result<i64, Error> {
    let size = scene.ask(Role::Primary, SIZE)?;
    size.parse().map_err(|_| Error::Environment(format!("pg_wal is of \"{size}\" MB")))
}
