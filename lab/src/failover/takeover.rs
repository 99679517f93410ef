//! Failover: a replica becomes the primary.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::connect::{Refusal, session};
use crate::demo::{Demo, folders, lock_demo};
use crate::error::{DemoError, Error, FailoverError};
use crate::lsn::Lsn;
use crate::marks;
use crate::receipt::{self, Report};
use crate::role::Role;
use crate::say::{say, warn};
use crate::server::{text, try_wait};

/// How long another command may still work on the demo.
const LOCK: Duration = Duration::from_secs(10);

/// How long the replica may take to replay what it has received, and to be promoted.
const REPLAY: Duration = Duration::from_secs(60);

/// For how long replay must have found no more of a record whose end is missing.
const SETTLED: Duration = Duration::from_secs(1);

/// How long it may take until both jobs, and the client of the receipt, have written to the new primary.
const WORK: Duration = Duration::from_secs(30);

/// What was received and replayed; whether more is received; and what replay waits for.
const RECEIVED: &str = "\
    select coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text, pg_last_wal_replay_lsn()::text, \
           exists (select from pg_stat_wal_receiver where status = 'streaming'), \
           coalesce((select wait_event from pg_stat_activity where backend_type = 'startup'), '')";

const DELAY: &str = "select current_setting('recovery_min_apply_delay') \
                     where current_setting('recovery_min_apply_delay')::interval > '0'";

const STREAMS: &str = "\
    select state from pg_stat_replication join pg_replication_slots on active_pid = pid \
    where slot_name in (SLOTS) and usename = FOLLOWER and state = 'streaming'";

const FOLLOWS: &str = "\
    select status from pg_stat_wal_receiver where status = 'streaming' and slot_name = SLOT and sender_port = PORT";

const TIMELINE: &str = "select ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int";

/// KeptRows from the beginning for the server that is to follow: the WAL since the failover.
const MAKE_SLOT: &str = "\
    select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = SLOT and not active; \
    select pg_create_physical_replication_slot(SLOT, true) \
    where not exists (select from pg_replication_slots where slot_name = SLOT)";

const JOBS_LEFT: &str = "\
    select string_agg(wanted.name, ', ' order by wanted.name) \
    from unnest(array['change_status', 'operation_insert_one']) as wanted (name) \
    left join public.operations_jobs() as job on job.job_name = wanted.name \
    where not coalesce(job.last_status = 'succeeded' and job.last_finished_at > timestamptz 'SINCE', false)";

/// The variable that says to the lab that the primary is a coordinator of Citus.
const CITUS: &str = "LAB_CITUS";

/// Fences the primary of the demo in a folder off, and makes its replica the primary.
pub fn failover(folder: Option<&Path>) -> Result<(), Error> {
    crate::patroni::refuse("failover")?;
    if std::env::var_os(CITUS).is_some_and(|value| value == "on") {
        return Err(FailoverError::CoordinatorOfCitus.into());
    }
    let demo = Demo::as_started(folder)?;
    let _lock = lock_demo(&demo.layout, LOCK)?;
    let candidates = demo.candidates()?;
    let (began, mark) = (Instant::now(), receipt::mark(&demo)?);
    let from_to =
        |demo: &Demo| format!("failover from port {} to port {}", demo.port(Role::Primary), demo.port(Role::Replica));
    let mut noted = marks::Open::begin(&demo.layout, "failover", &from_to(&demo));

    say(&format!("Fencing the primary{} off", demo.place(Role::Primary)));
    let fenced = demo.fence(Role::Primary)?;
    let demo = demo.with_most_advanced(&candidates)?;
    say(&format!("Promoting the replica{}", demo.place(Role::Replica).trim_end_matches(',')));
    demo.wait_for_replay()?;
    // Before the promotion: whatever ends this command after it, there is one primary.
    demo.keep_fenced(Role::Primary)?;
    demo.promote()?;
    drop(fenced);
    let took = began.elapsed();
    let text = from_to(&demo);
    noted.ends_with(&format!("{text}: promoted after {:.1} s", took.as_secs_f32()));

    let now = Demo::as_started(folder)?;
    now.prove_that_it_works(&mark, &demo)?;
    now.lead_the_others();
    now.say_what_it_cost(&mark, took);
    Ok(())
}

impl Demo {
    /// Whether the replica may be promoted.
    pub(super) fn require_fit(&self) -> Result<(), Error> {
        if !self.is_running(Role::Replica) {
            return Err(DemoError::NotRunning { server: Role::Replica }.into());
        }
        self.require_replica()?;
        self.require_no_delay()?;
        self.require_stream()
    }

    fn require_replica(&self) -> Result<(), Error> {
        match self.ask(Role::Replica, "select pg_is_in_recovery()") {
            Ok(answer) if answer == "t" => Ok(()),
            Ok(_) => Err(DemoError::Promoted.into()),
            Err(refusal) => Err(DemoError::NoAnswer { server: Role::Replica, why: refusal.to_string() }.into()),
        }
    }

    /// What it has received it would replay only when the delay is over.
    fn require_no_delay(&self) -> Result<(), Error> {
        match self.ask_replica(DELAY)? {
            none if none.is_empty() => Ok(()),
            delay => {
                let session = self.session_on(Some(&self.port(Role::Replica).to_string()));
                Err(FailoverError::ReplicaDelays { replica: self.the_replica(), session, delay }.into())
            }
        }
    }

    /// A primary that lives is not given up for a replica that does not follow it. The primary sees a connection that calls itself
    /// the replica; the replica itself is ours, and must say the same.
    fn require_stream(&self) -> Result<(), Error> {
        let slots = self.replica_slots().join("', '");
        let streams = self.of_the_replica(&STREAMS.replace("SLOTS", &format!("'{slots}'")));
        match self.ask(Role::Primary, &streams) {
            Ok(answer) if answer.is_empty() => Err(FailoverError::ReplicaBehind { replica: self.the_replica() }.into()),
            Ok(_) => match self.follows()? {
                true => Ok(()),
                false => Err(FailoverError::ReplicaBehind { replica: self.the_replica() }.into()),
            },
            Err(Refusal::Down(_) | Refusal::Silent(_) | Refusal::Files(_)) => Ok(()),
            // Docker knows no name of a container that is stopped, or off the network.
            Err(Refusal::Other(why)) if self.layout.in_containers && why.contains("lookup address") => Ok(()),
            // It lives, and the replica tells whether it follows.
            Err(refusal) => match self.follows()? {
                false => {
                    Err(FailoverError::PrimaryNotAsked { replica: self.the_replica(), why: refusal.to_string() }.into())
                }
                true => Ok(()),
            },
        }
    }

    /// Whether the replica says that it receives from this primary.
    fn follows(&self) -> Result<bool, Error> {
        let query = FOLLOWS.replace("PORT", &self.port(Role::Primary).to_string());
        Ok(!self.ask_replica(&self.of_the_replica(&query))?.is_empty())
    }

    fn ask_replica(&self, query: &str) -> Result<String, Error> {
        let refused = |why: String| Error::Demo(DemoError::NoAnswer { server: Role::Replica, why });
        let limit = REPLAY + Duration::from_secs(10);
        let client = session(&self.target(Role::Replica), Duration::from_secs(5), limit);
        text(&mut client.map_err(|refusal| refused(refusal.to_string()))?, query)
    }

    /// What was received is replayed before it is promoted: nothing of it is left behind but the part of a record that a
    /// primary which died has not sent to its end.
    fn wait_for_replay(&self) -> Result<(), Error> {
        self.ask_replica("select pg_wal_replay_resume() where pg_is_wal_replay_paused()")?;
        let mut before = (Instant::now(), String::new());
        try_wait("the replica to replay what it has received", REPLAY, || {
            let answer = self.ask_replica(RECEIVED).map_err(|error| error.to_string())?;
            if answer != before.1 {
                before = (Instant::now(), answer.clone());
            }
            match is_replayed(&answer, before.0.elapsed()) {
                true => Ok(()),
                false => Err(format!("received, replayed, still receives, waits for: {}", answer.replace('|', ", "))),
            }
        })
    }

    fn promote(&self) -> Result<(), Error> {
        // Alone, it would wait for a synchronous replica for ever.
        self.ask_replica("alter system reset synchronous_standby_names")?;
        self.ask_replica("select pg_reload_conf()")?;
        // One that a rejoin has left that was ended: no server with it is the primary.
        folders::remove(&self.layout.fenced(Role::Replica), &self.layout.owner)?;
        let why = match self.ask_replica(&format!("select pg_promote(true, {})", REPLAY.as_secs())) {
            Ok(answer) if answer == "t" => None,
            Ok(_) => Some(format!("not within {} s", REPLAY.as_secs())),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = why {
            // Taken back if it was not heeded yet.
            folders::remove(&self.layout.data(Role::Replica).path().join("promote"), &self.layout.owner)?;
            return Err(FailoverError::NotPromoted { why }.into());
        }
        let old = self.old_slots();
        old.iter().try_for_each(|slot| self.ask_replica(&MAKE_SLOT.replace("SLOT", &format!("'{slot}'"))).map(drop))
    }

    /// Writes and both jobs go on on the new primary, and nobody listens where the old one did.
    fn prove_that_it_works(&self, mark: &receipt::Mark, before: &Self) -> Result<(), Error> {
        let since = self.ask_primary("select clock_timestamp()")?;
        let timeline = self.ask_primary(TIMELINE)?;
        let jobs = JOBS_LEFT.replace("SINCE", &since);
        try_wait("both jobs to run on the new primary", WORK, || {
            match self.ask_primary(&jobs).map_err(|error| error.to_string())?.as_str() {
                "NULL" | "" => Ok(()),
                left => Err(format!("{left} have not run yet")),
            }
        })?;
        if receipt::is_running(self) {
            let there = || receipt::last_timeline(self, mark).map_err(|error| error.to_string());
            try_wait("the client of the receipt to write to the new primary", WORK, || match there()? {
                Some(last) if last.to_string() == timeline => Ok(()),
                last => Err(format!("its last row is of timeline {last:?}")),
            })?;
        }
        // In containers, the lock of its data was held until the promotion, and the note is there since.
        let port = before.port(Role::Primary);
        if !self.layout.in_containers && crate::server::ports::listens(port) {
            let why = "somebody listens on its port again".to_owned();
            return Err(FailoverError::NotFenced { server: Role::Replica, port, why }.into());
        }
        Ok(())
    }

    pub(crate) fn ask_primary(&self, query: &str) -> Result<String, Error> {
        let refused = |why: String| Error::Demo(DemoError::NoAnswer { server: Role::Primary, why });
        self.ask(Role::Primary, query).map_err(|refusal| refused(refusal.to_string()))
    }

    fn say_what_it_cost(&self, mark: &receipt::Mark, took: Duration) {
        say(&format!(
            "
{} is the primary now; both jobs and all writes go on there, and on no other server.
    took              {:.1} s",
            capital(&self.called(Role::Primary)),
            took.as_secs_f32()
        ));
        // What was lost may have been written long before, if the primary was dead already.
        let seen = receipt::whole(self).and_then(|whole| {
            let watched = match whole.timeline.checked_sub(1) {
                Some(before) => receipt::watched(self, before)?,
                None => false,
            };
            Ok((whole, receipt::since(self, mark)?, watched))
        });
        match seen {
            Ok((whole, since, watched)) => say(&cost(&whole, &since, watched)),
            Err(error) => warn(&format!("The receipt cannot be read, so it is not known what is lost: {error}")),
        }
        if let Some(who) = self.who_follows() {
            say(&format!("    follow it         {who}"));
        }
        let makes = format!("makes the old primary, which is stopped, a replica ({})", self.old_primary());
        say(&match self.layout.in_containers {
            false => format!("    make rejoin       {makes}"),
            true => format!("    next              make rejoin {makes}"),
        });
    }
}

fn capital(name: &str) -> String {
    match name.strip_prefix("the ") {
        Some(rest) => format!("The {rest}"),
        None => name.to_owned(),
    }
}

/// Whether all is replayed that can be, by an answer to `RECEIVED` that has been the same for so long.
fn is_replayed(answer: &str, unchanged: Duration) -> bool {
    let fields: Vec<_> = answer.split('|').collect();
    let [received, replayed, receives, waits] = fields[..] else {
        return false;
    };
    let all = received
        .parse::<Lsn>()
        .ok()
        .zip(replayed.parse::<Lsn>().ok())
        .is_some_and(|(received, replayed)| replayed >= received);
    let finds_no_more = ["RecoveryRetrieveRetryInterval", "RecoveryWalStream"].contains(&waits) && unchanged >= SETTLED;
    receives == "f" && (all || (finds_no_more && replayed.parse::<Lsn>().is_ok()))
}

/// What the receipt tells of a failover. That nothing is lost it tells only if it was `watched`.
fn cost(whole: &Report, since: &Report, watched: bool) -> String {
    let of_the_last = |row: &&receipt::Row| row.timeline.checked_add(1) == Some(whole.timeline) && !row.is_there;
    let last = whole.forked.iter().filter(of_the_last).count() as u64;
    let mut lost = match last {
        0 if !watched => "not known: the receipt's client was not at work until the primary went".to_owned(),
        0 => "nothing".to_owned(),
        last if whole.lost == last => format!("{last} rows of the receipt (make receipt lists them)"),
        last => format!("{last} rows of the receipt"),
    };
    if whole.lost > last {
        lost.push_str(&format!("; {} rows in all (make receipt lists them)", whole.lost));
    }
    let gap = match since.acknowledged {
        0 => "not known".to_owned(),
        _ => receipt::seconds(since.longest_gap_ms),
    };
    format!("    no writes for     {gap}\n    lost              {lost}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_only_where_it_was_watched() {
        let row = |timeline| receipt::Row { sequence: 1, timeline, at_ms: 0, is_there: false };
        let since = Report { acknowledged: 1, longest_gap_ms: 1234, ..Report::default() };
        let whole = |lost, forked: &[u32]| Report {
            timeline: 3,
            lost,
            forked: forked.iter().copied().map(row).collect(),
            ..Report::default()
        };
        assert_eq!(cost(&whole(0, &[]), &since, true), "    no writes for     1.2 s\n    lost              nothing");
        let text = cost(&whole(0, &[]), &Report::default(), false);
        assert!(
            text.contains("no writes for     not known\n") && text.contains("lost              not known: "),
            "{text}"
        );
        assert!(cost(&whole(1, &[2]), &since, true).ends_with("1 rows of the receipt (make receipt lists them)"));
        assert!(
            cost(&whole(2, &[1, 2]), &since, true)
                .ends_with("1 rows of the receipt; 2 rows in all (make receipt lists them)")
        );
        assert!(cost(&whole(1, &[u32::MAX]), &since, true).contains("nothing; 1 rows in all"));
    }

    #[test]
    fn half_a_record_is_not_waited_for() {
        let (now, later) = (Duration::ZERO, Duration::from_secs(2));
        assert!(is_replayed("0/5000|0/5000|f|", now));
        assert!(is_replayed("0/5000|0/4F00|f|RecoveryRetrieveRetryInterval", later));
        for (answer, unchanged) in [
            ("0/5000|0/5000|t|RecoveryWalStream", later),
            ("0/5000|0/4F00|f|RecoveryRetrieveRetryInterval", now),
            ("0/5000|0/4F00|f|", later),
            ("0/5000|0/4F00|f|RecoveryPause", later),
            ("NULL|NULL|f|RecoveryWalStream", later),
            ("", later),
        ] {
            assert!(!is_replayed(answer, unchanged), "{answer}");
        }
    }
}
