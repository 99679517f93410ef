//! All drills with their pass criteria.

use std::time::Duration;

use crate::drill::fault::{Drill, Length, anywhere};
use crate::drill::faults::clock::ClockJump;
use crate::drill::faults::clone::{CloneKilled, OtherPrimary, refuses_swapped_roles};
use crate::drill::faults::disk::WalFull;
use crate::drill::faults::failover::Failover;
use crate::drill::faults::network::NetworkCut;
use crate::drill::faults::processes::{Crash, StoppedProcess};
use crate::drill::faults::reader::LongReader;
use crate::drill::faults::replica_data::{DamagedPage, FilesGone, WrongPassword};
use crate::drill::faults::servers::{Killed, Stopped};
use crate::drill::faults::sessions::{AllConnections, FailingJob, HoldingSession};
use crate::drill::faults::slot::SlotLost;
use crate::drill::faults::statements::{MonthsDropped, ReplayDelayed, Statements};
use crate::role::Role::{Primary, Replica};

/// The doctor names a fault within ten seconds.
const SEEN: Duration = Duration::from_secs(10);

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Which end notices first is chance.
const NETWORK: &[(&str, crate::role::Role)] =
    &[("receiver_silent", Replica), ("sender_silent", Replica), ("follows_another", Replica)];

/// What most drills have in common.
const USUAL: Drill = Drill {
    name: "",
    line: "",
    expects: &[],
    evidence: "",
    seen_within: SEEN,
    green_within: seconds(20),
    length: Length::Quick,
    may_lose: false,
    over_sql: false,
    refuses: anywhere,
    fault: Stopped::fault,
};

/// All of them, in the order in which they are run.
pub const DRILLS: &[Drill] = &[
    Drill {
        name: "backend-killed",
        line: "a session of the primary is killed (SIGKILL); the server restarts all its processes by itself",
        expects: &[("crash_recovered", Primary), ("server_not_ready", Primary)],
        green_within: seconds(40),
        fault: Crash::of_a_backend,
        ..USUAL
    },
    Drill {
        name: "scheduler-killed",
        line: "the process that runs the jobs is killed (SIGKILL); the jobs run again within 10 s",
        expects: &[("crash_recovered", Primary), ("server_not_ready", Primary)],
        green_within: seconds(40),
        fault: Crash::of_the_scheduler,
        ..USUAL
    },
    Drill {
        name: "primary-killed",
        line: "the primary's postmaster is killed (SIGKILL) and started again",
        expects: &[("server_down", Primary)],
        green_within: seconds(40),
        fault: Killed::primary,
        ..USUAL
    },
    Drill {
        name: "replica-killed",
        line: "the replica's postmaster is killed (SIGKILL) and started again; no new clone is made",
        expects: &[("server_down", Replica)],
        green_within: seconds(40),
        fault: Killed::replica,
        ..USUAL
    },
    Drill {
        name: "stopped",
        line: "both servers are stopped while a job runs, and started again",
        expects: &[("demo_stopped", Primary)],
        green_within: seconds(40),
        fault: Stopped::fault,
        ..USUAL
    },
    Drill {
        name: "receiver-stopped",
        line: "the replica's WAL receiver is stopped (SIGSTOP): it says streaming and receives nothing",
        expects: &[("receiver_silent", Replica)],
        fault: StoppedProcess::receiver,
        ..USUAL
    },
    Drill {
        name: "replay-paused",
        line: "replay is paused on the replica",
        expects: &[("replay_paused", Replica)],
        over_sql: true,
        fault: Statements::replay_paused,
        ..USUAL
    },
    Drill {
        name: "replay-delayed",
        line: "the replica is told to replay 10 minutes late (recovery_min_apply_delay)",
        expects: &[("replay_stuck", Replica)],
        over_sql: true,
        fault: ReplayDelayed::fault,
        ..USUAL
    },
    Drill {
        name: "jobs-dropped",
        line: "the jobs are unscheduled",
        expects: &[("job_missing", Primary)],
        over_sql: true,
        fault: Statements::jobs_dropped,
        ..USUAL
    },
    Drill {
        name: "job-failing",
        line: "each run of change_status fails",
        expects: &[("job_failing", Primary)],
        over_sql: true,
        fault: FailingJob::fault,
        ..USUAL
    },
    Drill {
        name: "months-missing",
        line: "the partitions of the months ahead are gone, as after months without the daily job",
        expects: &[("months_missing", Primary)],
        over_sql: true,
        fault: MonthsDropped::fault,
        ..USUAL
    },
    Drill {
        name: "vacuum-held",
        line: "a long transaction keeps VACUUM from its work",
        expects: &[("vacuum_held_back", Primary)],
        // The replica's feedback lags behind, and may be found for a second, too.
        evidence: ", drill, idle in transaction",
        over_sql: true,
        fault: HoldingSession::of_a_snapshot,
        ..USUAL
    },
    Drill {
        name: "view-locked",
        line: "a transaction without an end locks the view against its readers",
        expects: &[("relation_locked", Primary)],
        over_sql: true,
        fault: HoldingSession::of_a_lock,
        ..USUAL
    },
    Drill {
        name: "connections-full",
        line: "idle sessions take every connection of the primary",
        expects: &[("connections_full", Primary)],
        over_sql: true,
        fault: AllConnections::fault,
        ..USUAL
    },
    Drill {
        name: "checkpointer-stopped",
        line: "the primary's checkpointer is stopped (SIGSTOP) while WAL is written: nothing removes the old WAL",
        expects: &[("wal_piles_up", Primary)],
        fault: StoppedProcess::checkpointer,
        ..USUAL
    },
    Drill {
        name: "password-wrong",
        line: "the replication role gets another password, and the replica must connect again",
        expects: &[("replication_refused", Replica)],
        fault: WrongPassword::fault,
        ..USUAL
    },
    Drill {
        name: "page-damaged",
        line: "a page on the replica's disk is damaged",
        expects: &[("checksum_failures", Replica)],
        green_within: seconds(120),
        fault: DamagedPage::fault,
        ..USUAL
    },
    Drill {
        name: "files-removed",
        line: "the replica's files under base/ are removed; it is cloned anew",
        expects: &[("files_missing", Replica)],
        green_within: seconds(120),
        fault: FilesGone::fault,
        ..USUAL
    },
    Drill {
        name: "slot-lost",
        line: "the replica is away until the primary has given up the WAL it needs; it is cloned anew",
        expects: &[("slot_lost", Primary)],
        green_within: seconds(120),
        fault: SlotLost::of_a_stopped_replica,
        ..USUAL
    },
    Drill {
        name: "slot-lost-running",
        line: "the replica runs and receives nothing until the primary has given up the WAL it needs; it clones itself anew",
        expects: &[("slot_lost", Primary)],
        green_within: seconds(120),
        fault: SlotLost::of_a_running_replica,
        ..USUAL
    },
    Drill {
        name: "clone-killed",
        line: "the replica's clone is killed (SIGKILL) at 10, 50 and 90 %; the next start makes it whole",
        expects: &[("server_down", Replica)],
        green_within: seconds(120),
        fault: CloneKilled::fault,
        ..USUAL
    },
    Drill {
        name: "network-cut",
        line: "all packets between the two servers are dropped until the doctor has named it",
        expects: NETWORK,
        refuses: NetworkCut::refuses,
        fault: NetworkCut::until_seen,
        ..USUAL
    },
    Drill {
        name: "clock-jump",
        line: "the replica's clock is an hour ahead",
        expects: &[("clock_skew", Replica)],
        green_within: seconds(40),
        refuses: ClockJump::refuses,
        fault: ClockJump::fault,
        ..USUAL
    },
    Drill {
        name: "primary-lost",
        line: "all of the primary is killed (SIGKILL); the replica takes over, and the old primary follows it",
        expects: &[("server_down", Primary)],
        green_within: seconds(60),
        may_lose: true,
        fault: Failover::of_a_lost_primary,
        ..USUAL
    },
    Drill {
        name: "two-primaries",
        line: "the replica is promoted while the primary lives; the old primary is fenced, and follows",
        expects: &[("two_writable_servers", Primary), ("two_writable_servers", Replica)],
        green_within: seconds(60),
        may_lose: true,
        over_sql: true,
        fault: Failover::with_a_living_primary,
        ..USUAL
    },
    Drill {
        name: "network-cut-30s",
        line: "all packets between the two servers are dropped for 30 s",
        expects: NETWORK,
        green_within: seconds(60),
        length: Length::Long,
        refuses: NetworkCut::refuses,
        fault: NetworkCut::for_30_seconds,
        ..USUAL
    },
    Drill {
        name: "wal-full",
        line: "the file system with the primary's WAL is full; once there is room, the primary goes on",
        expects: &[("disk_low", Primary)],
        green_within: seconds(90),
        length: Length::Long,
        refuses: WalFull::refuses,
        fault: WalFull::fault,
        ..USUAL
    },
    Drill {
        name: "other-primary",
        line: "a new primary stands where the old one was; the old replica is refused, and not touched",
        expects: &[("other_cluster", Replica)],
        seen_within: seconds(120),
        green_within: seconds(90),
        length: Length::Long,
        refuses: refuses_swapped_roles,
        fault: OtherPrimary::fault,
        ..USUAL
    },
    Drill {
        name: "replica-away",
        line: "the replica is killed (SIGKILL), and started again after 60 s; no new clone is made",
        expects: &[("server_down", Replica)],
        green_within: seconds(60),
        length: Length::Long,
        fault: Killed::replica_for_a_minute,
        ..USUAL
    },
    Drill {
        name: "long-reader",
        line: "a reader keeps one snapshot on the replica for 60 s, through 18 refreshes and a new month; it is not cancelled",
        expects: &[],
        green_within: seconds(90),
        length: Length::Long,
        over_sql: true,
        fault: LongReader::fault,
        ..USUAL
    },
];
