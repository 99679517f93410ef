//! The table.

use super::Draw::{Age, Rate, Value};
use super::Kind::{Counter, Gauge, Info};
use super::Source::{Doctor, Program, Query, Runs, Watch};
use super::Unit::{self, Bytes, Euros, Seconds};
use super::{Draw, Kind, Metric, Plot, Source};

/// What most metrics are told by.
const SERVER: &[&str] = &["server"];
const SLOT: &[&str] = &["server", "slot"];
const JOB: &[&str] = &["server", "job"];
const TABLE: &[&str] = &["server", "relation"];
const COLLECTOR: &[&str] = &["server", "collector"];

const fn metric(
    name: &'static str,
    (kind, unit): (Kind, Unit),
    labels: &'static [&'static str],
    source: Source,
    help: &'static str,
    plots: &'static [Plot],
) -> Metric {
    Metric { name, kind, unit, help, labels, source, plots }
}

const fn plot(panel: &'static str, draw: Draw, label: &'static str) -> Plot {
    Plot { panel, draw, label }
}

const COUNT: (Kind, Unit) = (Counter, Unit::None);
const NUMBER: (Kind, Unit) = (Gauge, Unit::None);
const TIMESTAMP: (Kind, Unit) = (Gauge, Seconds);

/// All metrics, in the order in which they are shown.
pub static METRICS: &[Metric] = &[
    metric("build_info", (Info, Unit::None), &["version"], Program, "The program that tells these metrics.", &[]),
    // The servers -----------------------------------------------------------------------------------------------------
    metric(
        "up",
        NUMBER,
        SERVER,
        Watch,
        "Whether the server takes new connections and answers within 1.5 seconds.",
        &[],
    ),
    metric(
        "writable",
        NUMBER,
        SERVER,
        Watch,
        "Whether the server takes writes: 1 for a primary, 0 for a replica.",
        &[],
    ),
    metric("verdict", NUMBER, &["verdict"], Doctor, "1 for the doctor's verdict of now, 0 for the others.", &[]),
    metric(
        "findings",
        NUMBER,
        &["server", "code"],
        Doctor,
        "How many findings of this code there are that are worse than info; server is all for what concerns no single one.",
        &[],
    ),
    metric("doctor_last_look_timestamp_seconds", TIMESTAMP, &[], Doctor, "When the doctor's last look ended.", &[]),
    metric("server_start_timestamp_seconds", TIMESTAMP, SERVER, Query("position"), "When the server was started.", &[]),
    metric("timeline", NUMBER, SERVER, Query("position"), "The timeline that the server writes or follows.", &[]),
    // Replication -----------------------------------------------------------------------------------------------------
    metric(
        "replay_lag_bytes",
        (Gauge, Bytes),
        SERVER,
        Watch,
        "What the primary has written and the replica has not replayed, by the last answers of both.",
        &[plot("lag_bytes", Value, "not replayed")],
    ),
    metric(
        "last_replayed_commit_timestamp_seconds",
        TIMESTAMP,
        SERVER,
        Query("position"),
        "When the last transaction was committed that the replica has replayed.",
        &[plot("lag_seconds", Age, "last commit replayed")],
    ),
    metric(
        "receiver_last_message_timestamp_seconds",
        TIMESTAMP,
        SERVER,
        Query("position"),
        "When the replica's WAL receiver got its last message; none where no receiver runs.",
        &[plot("lag_seconds", Age, "last message received")],
    ),
    metric("replay_paused", NUMBER, SERVER, Query("position"), "Whether replay is paused.", &[]),
    metric(
        "slot_retained_bytes",
        (Gauge, Bytes),
        SLOT,
        Query("slots"),
        "The WAL that is kept for the slot.",
        &[plot("slot", Value, "kept")],
    ),
    metric(
        "slot_safe_bytes",
        (Gauge, Bytes),
        SLOT,
        Query("slots"),
        "How much WAL may still be written before the slot is lost; none where it is lost or has no limit.",
        &[plot("slot", Value, "until it is lost")],
    ),
    metric("slot_active", NUMBER, SLOT, Query("slots"), "Whether somebody uses the slot.", &[]),
    metric("slot_lost", NUMBER, SLOT, Query("slots"), "Whether WAL that the slot's replica needs is gone.", &[]),
    // WAL -------------------------------------------------------------------------------------------------------------
    metric(
        "wal_written_bytes_total",
        (Counter, Bytes),
        SERVER,
        Query("position"),
        "How much WAL the primary has written since the cluster was made: its position.",
        &[plot("wal", Rate, "written")],
    ),
    metric(
        "wal_received_bytes_total",
        (Counter, Bytes),
        SERVER,
        Query("position"),
        "The position up to which the replica has received WAL.",
        &[],
    ),
    metric(
        "wal_replayed_bytes_total",
        (Counter, Bytes),
        SERVER,
        Query("position"),
        "The position up to which the replica has replayed WAL.",
        &[plot("wal", Rate, "replayed")],
    ),
    metric(
        "checkpoints_total",
        COUNT,
        &["server", "kind"],
        Query("checkpoints"),
        "Checkpoints since the statistics were reset: timed by checkpoint_timeout, requested by max_wal_size or by hand.",
        &[plot("checkpoints", Rate, "checkpoints")],
    ),
    // Operations ------------------------------------------------------------------------------------------------------
    metric(
        "operations_inserted_total",
        COUNT,
        SERVER,
        Query("operations"),
        "The highest id of an operation. Ids are given in order, also to inserts that are rolled back.",
        &[plot("throughput", Rate, "new")],
    ),
    metric(
        "operations_done",
        NUMBER,
        SERVER,
        Query("operations"),
        "How many operations are done, by the rollups and what is not folded into them yet.",
        &[plot("throughput", Rate, "done")],
    ),
    metric(
        "unfolded_changes",
        NUMBER,
        SERVER,
        Query("operations"),
        "How many changes wait in operations_delta to be folded into the rollups.",
        &[],
    ),
    metric(
        "month_operations",
        NUMBER,
        &["server", "month", "status"],
        Query("months"),
        "Operations of a month by status, new or done. New ones of a month of more than a million rows are estimated.",
        &[],
    ),
    metric("partitions", NUMBER, SERVER, Query("partitions"), "How many months have a partition.", &[]),
    metric(
        "partitions_ahead",
        NUMBER,
        SERVER,
        Query("partitions"),
        "How many months after this one have a partition, up to the first that has none.",
        &[],
    ),
    metric(
        "partition_of_today_missing",
        NUMBER,
        SERVER,
        Query("partitions"),
        "Whether the current month has no partition.",
        &[],
    ),
    // Sums ------------------------------------------------------------------------------------------------------------
    metric(
        "sums_differing",
        NUMBER,
        SERVER,
        Query("sums"),
        "How many sums client_type_sum_mv holds otherwise than client_type_sum_live gives them.",
        &[plot("staleness", Value, "sums that differ")],
    ),
    metric(
        "sums_differing_euros",
        (Gauge, Euros),
        SERVER,
        Query("sums"),
        "By how much the sums of client_type_sum_mv differ from those of client_type_sum_live, without signs.",
        &[],
    ),
    // Jobs ------------------------------------------------------------------------------------------------------------
    metric(
        "job_runs_total",
        COUNT,
        &["server", "job", "status"],
        Runs,
        "Runs that ended while this program looked, succeeded or failed.",
        &[],
    ),
    metric("job_active", NUMBER, JOB, Query("jobs"), "Whether the job is switched on.", &[]),
    metric("job_last_start_timestamp_seconds", TIMESTAMP, JOB, Query("jobs"), "When the last run began.", &[]),
    metric("job_last_end_timestamp_seconds", TIMESTAMP, JOB, Query("jobs"), "When the last run ended.", &[]),
    metric(
        "job_last_success_timestamp_seconds",
        TIMESTAMP,
        JOB,
        Query("jobs"),
        "When the last run ended that succeeded.",
        &[],
    ),
    metric("job_last_run_succeeded", NUMBER, JOB, Query("jobs"), "Whether the last run succeeded.", &[]),
    // Loads -----------------------------------------------------------------------------------------------------------
    metric("loads_running", NUMBER, SERVER, Query("loads"), "How many calls of operations_test_data() run.", &[]),
    metric(
        "load_rows_done",
        NUMBER,
        SERVER,
        Query("loads"),
        "Rows that the running loads have written.",
        &[plot("loads", Value, "written")],
    ),
    metric(
        "load_rows_wanted",
        NUMBER,
        SERVER,
        Query("loads"),
        "Rows that the running loads were asked for.",
        &[plot("loads", Value, "asked for")],
    ),
    // Tables and sessions ---------------------------------------------------------------------------------------------
    metric("table_live_rows", NUMBER, TABLE, Query("tables"), "Rows of the table, by its statistics.", &[]),
    metric(
        "table_dead_rows",
        NUMBER,
        TABLE,
        Query("tables"),
        "Rows that vacuum has still to remove, by the table's statistics.",
        &[plot("vacuum", Value, "dead")],
    ),
    metric(
        "table_vacuums_total",
        COUNT,
        TABLE,
        Query("tables"),
        "How many times the table was vacuumed, by autovacuum or by hand.",
        &[plot("vacuums", Rate, "vacuums")],
    ),
    metric(
        "table_analyzes_total",
        COUNT,
        TABLE,
        Query("tables"),
        "How many times the table was analyzed, by autovacuum or by hand.",
        &[],
    ),
    metric("sessions", NUMBER, &["server", "state"], Query("sessions"), "Sessions of clients, by what they do.", &[]),
    metric("connections_limit", NUMBER, SERVER, Query("activity"), "max_connections.", &[]),
    metric(
        "sessions_waiting_for_locks",
        NUMBER,
        SERVER,
        Query("activity"),
        "Sessions that wait for a lock.",
        &[plot("locks", Value, "wait for a lock")],
    ),
    metric(
        "sessions_waiting_for_replicas",
        NUMBER,
        SERVER,
        Query("activity"),
        "Sessions whose commit waits for a synchronous replica.",
        &[plot("locks", Value, "wait for a replica")],
    ),
    metric(
        "oldest_transaction_start_timestamp_seconds",
        TIMESTAMP,
        SERVER,
        Query("activity"),
        "When the oldest open transaction of a client or of a job began; now, where none is open.",
        &[plot("transactions", Age, "oldest transaction")],
    ),
    // The program itself ----------------------------------------------------------------------------------------------
    metric(
        "collector_success",
        NUMBER,
        COLLECTOR,
        Watch,
        "Whether the last try of a collector worked. Where it is 0 there are no values of its metrics.",
        &[],
    ),
    metric(
        "collector_last_success_timestamp_seconds",
        TIMESTAMP,
        COLLECTOR,
        Watch,
        "When the collector last worked; none if it never did.",
        &[],
    ),
    metric("collector_duration_seconds", (Gauge, Seconds), COLLECTOR, Watch, "How long its last try took.", &[]),
    metric("page_readers", NUMBER, &[], Program, "How many pages are open and get events.", &[]),
];
