//! Single processes of a server that are killed, or stopped where they stand.

use std::time::Duration;

use postgres::Client;

use crate::doctor::Finding;
use crate::drill::fault::{Fault, Healed, type_next_command};
use crate::drill::scene::Scene;
use crate::error::Error;
use crate::role::Role;
use crate::server::{Signal, value};

/// How long the server may take to recover.
const RECOVERY: Duration = Duration::from_secs(20);

/// How long the jobs may take to run again.
const JOBS: Duration = Duration::from_secs(10);

const SCHEDULER: &str = "\
    SELECT pid FROM pg_stat_activity \
    WHERE backend_type IN ('operations_ext change_status', 'pg_cron launcher') ORDER BY backend_type DESC LIMIT 1";

const JOBS_AFTER_CRASH: &str = "\
    SELECT count(*) FILTER (WHERE j.last_status = 'succeeded' AND j.last_started_at > c.backend_start) = 2 \
    FROM public.operations_jobs() j, pg_stat_activity c \
    WHERE j.job_name IN ('operation_insert_one', 'change_status') AND c.backend_type = 'checkpointer'";

/// SIGKILLs a process of the primary: the postmaster then ends all others, and starts them again.
pub struct Crash {
    what: &'static str,
    find: Option<&'static str>,
    victim: Option<Client>,
}

impl Crash {
    /// A session at work.
    pub fn of_a_backend() -> Box<dyn Fault> {
        Box::new(Self { what: "a session at work", find: None, victim: None })
    }

    /// The process that runs the jobs.
    pub fn of_the_scheduler() -> Box<dyn Fault> {
        let what = "the process that runs the jobs";
        Box::new(Self { what, find: Some(SCHEDULER), victim: None })
    }
}

impl Fault for Crash {
    fn prepare(&mut self, scene: &Scene) -> Result<(), Error> {
        if self.find.is_none() {
            let mut victim = scene.session(Role::Primary)?;
            victim.batch_execute("BEGIN; CREATE TEMP TABLE at_work AS SELECT generate_series(1, 1000) AS n")?;
            self.victim = Some(victim);
        }
        // A crash is told from the server's own start once that is seconds ago.
        let up = "SELECT clock_timestamp() > pg_postmaster_start_time() + interval '12 s'";
        scene.becomes(Role::Primary, up, "t", Duration::from_secs(15))
    }

    fn cause(&mut self, scene: &Scene) -> Result<String, Error> {
        let pid: i32 = match (self.find, &mut self.victim) {
            (Some(query), _) => value(&mut scene.session(Role::Primary)?, query)?,
            (None, Some(victim)) => value(victim, "SELECT pg_backend_pid()")?,
            (None, None) => return Err(Error::Environment("there is no session to kill".to_owned())),
        };
        scene.data(Role::Primary).signal_process(pid, Signal::KILL)?;
        Ok(format!("{} of the primary (process {pid}) was killed (SIGKILL)", self.what))
    }

    fn heal(&mut self, scene: &Scene, _seen: &Finding) -> Result<Healed, Error> {
        // How long it recovers depends on the disk.
        scene.becomes(Role::Primary, "SELECT 1", "1", RECOVERY)?;
        scene.becomes(Role::Primary, JOBS_AFTER_CRASH, "t", JOBS)?;
        Ok(Healed::ByItself)
    }
}

/// Stops a process where it stands: it lives and does nothing.
pub struct StoppedProcess {
    role: Role,
    process: &'static str,
    file: bool,
}

impl StoppedProcess {
    /// The replica's WAL receiver.
    pub fn receiver() -> Box<dyn Fault> {
        Box::new(Self { role: Role::Replica, process: "walreceiver", file: false })
    }

    /// The primary's checkpointer, while WAL is written: nothing removes old WAL then.
    pub fn checkpointer() -> Box<dyn Fault> {
        Box::new(Self { role: Role::Primary, process: "checkpointer", file: true })
    }
}

const SMALL_WAL: [(&str, &str); 4] =
    [("wal_keep_size", "0"), ("min_wal_size", "32MB"), ("max_wal_size", "64MB"), ("max_slot_wal_keep_size", "64MB")];

impl Fault for StoppedProcess {
    fn prepare(&mut self, scene: &Scene) -> Result<(), Error> {
        match self.file {
            true => scene.set_and_undo(self.role, &SMALL_WAL),
            false => Ok(()),
        }
    }

    fn cause(&mut self, scene: &Scene) -> Result<String, Error> {
        let pid = freeze(scene, self.role, self.process)?;
        if self.file {
            write_wal(scene, 224)?;
        }
        let wrote = if self.file { ", and 224 MB of WAL were written with max_wal_size = 64MB" } else { "" };
        Ok(format!("the {} of the {} (process {pid}) was stopped (SIGSTOP){wrote}", self.process, self.role))
    }

    fn heal(&mut self, scene: &Scene, seen: &Finding) -> Result<Healed, Error> {
        if !self.file {
            return type_next_command(scene, seen);
        }
        let query = format!("SELECT pid FROM pg_stat_activity WHERE backend_type = '{}'", self.process);
        let pid: i32 = value(&mut scene.session(self.role)?, &query)?;
        scene.data(self.role).signal_process(pid, Signal::CONT)?;
        scene.run(self.role, &["CHECKPOINT"])?;
        Ok(Healed::Typed(format!("kill -CONT {pid}; checkpoint;")))
    }
}

/// Stops the process of a kind until the end of the drill at the latest; returns its number.
pub fn freeze(scene: &Scene, role: Role, process: &str) -> Result<i32, Error> {
    let query = format!("SELECT pid FROM pg_stat_activity WHERE backend_type = '{process}'");
    let pid: i32 = value(&mut scene.session(role)?, &query)?;
    let data = scene.data(role);
    // It may be gone by then, and that is as good.
    scene.later(&format!("kill -CONT {pid}"), move || {
        let _ = data.signal_process(pid, Signal::CONT);
        Ok(())
    });
    scene.data(role).signal_process(pid, Signal::STOP)?;
    Ok(pid)
}

/// Writes so many megabytes of WAL that change nothing.
pub fn write_wal(scene: &Scene, megabytes: u32) -> Result<(), Error> {
    let mut session = scene.session(Role::Primary)?;
    for _ in 0..megabytes.div_ceil(8) {
        scene.go_on()?;
        let write = "SELECT pg_logical_emit_message(false, 'drill', repeat('x', 8 * 1024 * 1024))";
        session.simple_query(write).map_err(|source| Error::Statement { statement: write.to_owned(), source })?;
    }
    Ok(())
}
