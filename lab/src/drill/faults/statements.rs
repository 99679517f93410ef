//! What somebody with psql can break, and mend by typing what the doctor says.

use crate::doctor::Finding;
use crate::drill::fault::{Fault, Healed, type_next_command};
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
            what: "select pg_wal_replay_pause(); on the replica",
            breaks: &["SELECT pg_wal_replay_pause()"],
            undo: &["SELECT pg_wal_replay_resume() WHERE pg_get_wal_replay_pause_state() <> 'not paused'"],
        })
    }

    /// Replay that lags on purpose.
    pub fn replay_delayed() -> Box<dyn Fault> {
        Box::new(Self {
            role: Role::Replica,
            what: "recovery_min_apply_delay = 10min on the replica",
            breaks: &["ALTER SYSTEM SET recovery_min_apply_delay = '10min'", "SELECT pg_reload_conf()"],
            undo: &["ALTER SYSTEM RESET recovery_min_apply_delay", "SELECT pg_reload_conf()"],
        })
    }

    /// All jobs dropped.
    pub fn jobs_dropped() -> Box<dyn Fault> {
        Box::new(Self {
            role: Role::Primary,
            what: "call operations_unschedule(); on the primary",
            breaks: &["CALL public.operations_unschedule()"],
            undo: &["CALL public.operations_schedule()"],
        })
    }

    /// Partitions of the months ahead dropped: as after a start that comes months after the last one.
    pub fn months_dropped() -> Box<dyn Fault> {
        Box::new(Self {
            role: Role::Primary,
            what: "the empty partitions of the months ahead were dropped, as if the demo had slept through the months",
            breaks: &[DROP_MONTHS],
            undo: &["CALL public.operations_maintain_partitions()"],
        })
    }
}

/// Those with rows stay.
const DROP_MONTHS: &str = "\
    DO $$ \
    DECLARE \
        month regclass; \
        holds_rows boolean; \
    BEGIN \
        SET LOCAL lock_timeout = '10s'; \
        FOR month IN SELECT i.inhrelid::regclass FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
                     WHERE i.inhparent = 'public.operations'::regclass \
                       AND c.relname > to_char(current_date, '\"operations_\"YYYY_MM') LOOP \
            EXECUTE format('SELECT EXISTS (SELECT FROM %s)', month) INTO holds_rows; \
            IF NOT holds_rows THEN EXECUTE format('DROP TABLE %s', month); END IF; \
        END LOOP; \
    END $$";

impl Fault for Statements {
    fn cause(&mut self, scene: &Scene) -> Result<String, Error> {
        scene.run_and_undo(self.role, self.breaks, self.undo)?;
        Ok(self.what.to_owned())
    }

    fn heal(&mut self, scene: &Scene, seen: &Finding) -> Result<Healed, Error> {
        type_next_command(scene, seen)
    }
}
