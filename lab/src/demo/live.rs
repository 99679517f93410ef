//! Whether the demo lives, and how to use it.

use std::time::{Duration, Instant};

use crate::connect::Refusal;
use crate::demo::Demo;
use crate::error::{DemoError, Error, SettingError};
use crate::role::Role;
use crate::say::say;
use crate::serve;

/// How long a demo may take from the start of its servers until it lives.
const LIMIT: Duration = Duration::from_secs(60);

/// What the primary still lacks: the replica's stream, and a good run of both jobs since its start.
const PRIMARY_MISSING: &str = include_str!("primary_missing.sql");

/// What whom a further replica follows still lacks.
const STREAM_MISSING: &str = "\
    select 'does not stream yet' where not exists ( \
        select from pg_stat_replication join pg_replication_slots on active_pid = pid \
        where slot_name = SLOT and usename = FOLLOWER and state = 'streaming')";

const REPLICA_MISSING: &str = "\
    select case when pg_is_in_recovery() then 'the replica receives nothing yet' \
                else 'two servers take writes: make rejoin makes the one on the older timeline a replica' end \
    where not exists (select from pg_stat_wal_receiver where status = 'streaming')";

/// Why a demo does not live; no reasons when it does.
pub(crate) struct Missing {
    /// One after the other.
    pub reasons: Vec<String>,
    /// Whether a server does not take our password.
    pub password_refused: bool,
}

impl Missing {
    /// The reasons that a server gives, or that it gives none.
    fn take(&mut self, name: &str, place: &str, answer: Result<String, Refusal>) {
        match answer {
            Ok(answer) => self.reasons.extend(answer.lines().map(|line| format!("{line}{place}"))),
            Err(refusal) => {
                self.password_refused |= matches!(refusal, Refusal::Password(_));
                self.reasons.push(format!("{name} does not answer: {refusal}"));
            }
        }
    }

    /// All in one line.
    pub fn line(&self) -> String {
        self.reasons.join("; ")
    }
}

impl Demo {
    /// What is still missing.
    pub(crate) fn missing(&self) -> Missing {
        let mut missing = Missing { reasons: Vec::new(), password_refused: false };
        missing.take("the primary", "", self.ask(Role::Primary, &self.of_the_replica(PRIMARY_MISSING)));
        for (index, one) in self.replicas().iter().enumerate() {
            let name = one.the_replica();
            // What the first one lacks of the primary was asked above.
            if index > 0
                && let Ok(answer) = one.ask_upstream(&one.of_the_replica(STREAM_MISSING))
            {
                missing.reasons.extend(answer.lines().map(|line| format!("{name} {line}")));
            }
            let place = if one.has_several() { format!(" ({})", one.port(Role::Replica)) } else { String::new() };
            missing.take(&name, &place, one.ask(Role::Replica, REPLICA_MISSING));
        }
        missing
    }

    pub(crate) fn streams_within(&self, limit: Duration) -> bool {
        one_streams_within(std::slice::from_ref(self), limit)
    }

    /// Whether one of the replicas that follow the primary itself streams by then, with which a commit can wait for it.
    pub(crate) fn any_streams_within(&self, limit: Duration) -> bool {
        let mut direct = self.replicas();
        direct.retain(|one| one.layout.upstream.is_none());
        one_streams_within(&direct, limit)
    }

    /// Waits until the demo lives, and says every few seconds what is missing.
    pub(crate) fn wait_until_live(&mut self) -> Result<(), Error> {
        say(match self.has_several() {
            true => "Waiting for the replicas to stream and for both jobs to run",
            false => "Waiting for the replica to stream and for both jobs to run",
        });
        let start = Instant::now();
        let mut reported = start;
        loop {
            let missing = self.missing();
            if missing.reasons.is_empty() {
                return Ok(());
            }
            if missing.password_refused {
                self.restore_passwords()?;
                return Err(SettingError::OtherPassword.into());
            }
            if start.elapsed() >= LIMIT {
                let logs = self.servers().iter().map(|(role, one)| one.layout.log(*role)).collect();
                return Err(DemoError::NotLive { seconds: LIMIT.as_secs(), missing: missing.line(), logs }.into());
            }
            if reported.elapsed() >= Duration::from_secs(5) {
                reported = Instant::now();
                say(&format!("    {} s: {}", start.elapsed().as_secs(), missing.line()));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// After a start that failed on a password: the one that worked before is the one to keep.
    pub(crate) fn restore_passwords(&mut self) -> Result<(), Error> {
        self.settings.restore_passwords(&self.saved);
        self.settings.save(&self.layout)
    }

    pub(crate) fn say_how_to_connect(&self) {
        let settings = &self.settings;
        let password = if settings.password == "postgres" { "postgres" } else { "as you set it" };
        let ports: Vec<_> = self.replicas().iter().map(|one| one.port(Role::Replica).to_string()).collect();
        let (primary, replica) = (self.port(Role::Primary), ports.join(", "));
        let (database, user) = (&settings.database, &settings.user);
        let (other, all) = match ports.as_slice() {
            [_, second, ..] => (format!("the same on a replica, read-only (N={second}: the one on that port)"), "all"),
            _ => ("the same on the replica, read-only".to_owned(), "both"),
        };
        let operations = match settings.insert_batch {
            1 => "one new operation".to_owned(),
            more => format!("{more} new operations"),
        };
        let page = match settings.lab_port.filter(|_| serve::is_running(&self.layout)) {
            Some(port) => format!("\n    page     http://127.0.0.1:{port}/"),
            None => String::new(),
        };
        say(&format!(
            "
The demo lives: {operations} every 5 s, a batch of status changes every 3 s.
    primary  127.0.0.1:{primary}    replica  127.0.0.1:{replica}    database {database}, user {user}, password {password}{page}

    make status         what lives, in one screen
    make psql           a session on the primary, for example:
                            select * from client_type_sum_mv order by total_amount desc limit 5;
                            call operations_test_data('2025-08-01', '2025-11-30', 50000);
                            select * from operations_jobs();
    make psql-replica   {other}
    make stop           stop {all}; make demo goes on with the same data
    make clean          stop {all} and delete the demo's data"
        ));
    }
}

/// Whether one of these replicas streams by then.
fn one_streams_within(replicas: &[Demo], limit: Duration) -> bool {
    let start = Instant::now();
    loop {
        let mut may_come = false;
        for one in replicas {
            match one.ask(Role::Replica, REPLICA_MISSING) {
                Ok(missing) if missing.is_empty() => return true,
                // No wait brings them back.
                Err(Refusal::Files(_)) => {}
                _ => may_come = true,
            }
        }
        if !may_come || start.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}
