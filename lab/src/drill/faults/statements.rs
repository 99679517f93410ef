//! What somebody with psql can break, and mend by typing what the doctor says.

use crate::doctor::Finding;
use crate::drill::fault::{Fault, Healed, type_next_command};
use crate::drill::faults::months;
use crate::drill::scene::Scene;
use crate::error::Error;
use crate::role::Role;

/// Statements on one server that break something, others that undo it, and what is said of it.
pub struct Statements {
    role: Role,
    what: &'static str,
    breaks: &'static [&'static str],
    undo: &'static [&'static str],
}

impl Statements {
    /// Replay paused by hand.
    pub fn replay_paused() -> Box<dyn Fault> {
        Box::new(Self {
            role: Role::Replica,
            what: "replay was paused on the replica: `select pg_wal_replay_pause();`",
            breaks: &["SELECT pg_wal_replay_pause()"],
            undo: &["SELECT pg_wal_replay_resume() WHERE pg_get_wal_replay_pause_state() <> 'not paused'"],
        })
    }

    /// All jobs dropped.
    pub fn jobs_dropped() -> Box<dyn Fault> {
        Box::new(Self {
            role: Role::Primary,
            what: "all jobs were dropped on the primary: `call operations_unschedule();`",
            breaks: &["CALL public.operations_unschedule()"],
            undo: &["CALL public.operations_schedule()"],
        })
    }
}

impl Fault for Statements {
    fn cause(&mut self, scene: &Scene) -> Result<String, Error> {
        scene.run_and_undo(self.role, self.breaks, self.undo)?;
        Ok(self.what.to_owned())
    }

    fn heal(&mut self, scene: &Scene, seen: &Finding) -> Result<Healed, Error> {
        type_next_command(scene, seen)
    }
}

/// Partitions of the months ahead dropped: as after a start that comes months after the last one.
#[derive(Default)]
pub struct MonthsDropped;

impl MonthsDropped {
    /// The fault.
    pub fn fault() -> Box<dyn Fault> {
        Box::new(Self)
    }
}

impl Fault for MonthsDropped {
    fn cause(&mut self, scene: &Scene) -> Result<String, Error> {
        // As many as there were.
        let again = format!("CALL public.operations_maintain_partitions({})", months::ahead(scene)?);
        scene.run_and_undo(Role::Primary, &[&months::drop_empty("{}")], &[&again])?;
        Ok("the empty partitions of the months ahead were dropped, as if the demo had slept through the months"
            .to_owned())
    }

    fn heal(&mut self, scene: &Scene, seen: &Finding) -> Result<Healed, Error> {
        type_next_command(scene, seen)
    }
}

/// Replay that lags on purpose.
#[derive(Default)]
pub struct ReplayDelayed;

impl ReplayDelayed {
    /// The fault.
    pub fn fault() -> Box<dyn Fault> {
        Box::new(Self)
    }
}

impl Fault for ReplayDelayed {
    fn cause(&mut self, scene: &Scene) -> Result<String, Error> {
        scene.set_and_undo(Role::Replica, &[("recovery_min_apply_delay", "10min")])?;
        Ok("replay was delayed on the replica: `recovery_min_apply_delay = 10min`".to_owned())
    }

    fn heal(&mut self, scene: &Scene, seen: &Finding) -> Result<Healed, Error> {
        type_next_command(scene, seen)
    }
}
