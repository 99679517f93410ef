//! When somebody is to be called.

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something does not do its duty now.
    Critical,
    /// It gets worse, or will be needed and is missing.
    Warning,
}

impl Severity {
    /// As the label has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
        }
    }
}

/// An alert.
#[derive(Clone, Copy, Debug)]
pub struct Alert {
    /// Its name.
    pub name: &'static str,
    /// It has samples while it is so.
    pub expression: &'static str,
    /// It must have been so for this many seconds.
    pub hold: u32,
    /// How bad it is.
    pub severity: Severity,
    /// What is so.
    pub summary: &'static str,
    /// What to do.
    pub action: &'static str,
}

const fn critical(
    name: &'static str,
    hold: u32,
    expression: &'static str,
    summary: &'static str,
    action: &'static str,
) -> Alert {
    Alert { name, expression, hold, severity: Severity::Critical, summary, action }
}

const fn warning(
    name: &'static str,
    hold: u32,
    expression: &'static str,
    summary: &'static str,
    action: &'static str,
) -> Alert {
    Alert { name, expression, hold, severity: Severity::Warning, summary, action }
}

/// All alerts. What must not be silent has an `absent()`: a value that is missing crosses no threshold.
pub const ALERTS: &[Alert] = &[
    // Who watches ------------------------------------------------------------------------------------------------------
    critical(
        "OperationsLabSilent",
        30,
        "absent(operations_lab_build_info)",
        "Nobody tells the metrics of the operations lab.",
        "See whether operations-lab serve runs, and whether Prometheus reaches it.",
    ),
    critical(
        "OperationsServersUnwatched",
        30,
        "absent(operations_lab_up)",
        "No server is watched.",
        "See which servers operations-lab serve was told of.",
    ),
    critical(
        "OperationsDoctorSilent",
        30,
        "absent(operations_lab_verdict == 1) or time() - operations_lab_doctor_last_look_timestamp_seconds > 60",
        "The doctor gives no verdict.",
        "Run operations-lab doctor by hand.",
    ),
    warning(
        "OperationsCollectorFailing",
        30,
        "operations_lab_collector_success == 0",
        "The collector {{ $labels.collector }} gets no values of {{ $labels.server }}.",
        "Run operations-lab doctor; it says why a server does not answer.",
    ),
    // The servers ------------------------------------------------------------------------------------------------------
    critical(
        "OperationsServerDown",
        10,
        "operations_lab_up == 0",
        "{{ $labels.server }} takes no connections, or does not answer.",
        "Run operations-lab doctor; of the demo, make demo starts what is down.",
    ),
    critical(
        "OperationsNoWriter",
        15,
        "absent(operations_lab_writable == 1)",
        "No server takes writes.",
        "Start the primary, or promote the replica: make failover.",
    ),
    critical(
        "OperationsTwoWriters",
        10,
        "sum(operations_lab_writable) > 1",
        "More than one server takes writes.",
        "Run make rejoin, in Compose operations-lab rejoin: it stops the one on the older timeline and makes it a replica.",
    ),
    critical(
        "OperationsBroken",
        15,
        "operations_lab_verdict{verdict=\"broken\"} == 1",
        "The doctor's verdict is broken.",
        "Run operations-lab doctor; it says what is, and what to type.",
    ),
    critical(
        "OperationsUnknown",
        30,
        "operations_lab_verdict{verdict=\"unknown\"} == 1",
        "It cannot be seen whether all is well.",
        "Run operations-lab doctor; it says what it could not see.",
    ),
    warning(
        "OperationsDegraded",
        120,
        "operations_lab_verdict{verdict=\"degraded\"} == 1",
        "The doctor's verdict is degraded.",
        "Run operations-lab doctor; it says what gets worse.",
    ),
    // Replication ------------------------------------------------------------------------------------------------------
    critical(
        "OperationsReplicaNotReceiving",
        20,
        "operations_lab_writable == 0 unless on (server) operations_lab_receiver_last_message_timestamp_seconds",
        "{{ $labels.server }} follows nobody: its WAL receiver does not run.",
        "Read in its log why it cannot connect; make demo heals the replica of the demo.",
    ),
    critical(
        "OperationsReceiverSilent",
        10,
        "time() - operations_lab_receiver_last_message_timestamp_seconds > 15",
        "{{ $labels.server }} has heard nothing of its primary for more than 15 seconds.",
        "See the network, and the walsender of the primary.",
    ),
    critical(
        "OperationsReplayPaused",
        10,
        "operations_lab_replay_paused == 1",
        "Replay is paused on {{ $labels.server }}.",
        "Run select pg_wal_replay_resume(); on it.",
    ),
    critical(
        "OperationsReplayStands",
        15,
        "operations_lab_replay_lag_bytes > 0 and on (server) changes(operations_lab_wal_replayed_bytes_total[1m]) == 0",
        "{{ $labels.server }} lacks WAL of its primary, and has replayed none for a minute.",
        "Run operations-lab doctor; it says what replay waits for.",
    ),
    warning(
        "OperationsReplicaBehind",
        60,
        "operations_lab_replay_lag_bytes > 256 * 1024 * 1024",
        "{{ $labels.server }} is more than 256 MB of WAL behind.",
        "See what loads the primary, and what replay waits for.",
    ),
    critical(
        "OperationsSlotLost",
        5,
        "operations_lab_slot_lost == 1",
        "WAL that slot {{ $labels.slot }} of {{ $labels.server }} was kept for is gone.",
        "Clone its replica anew; make demo does it for the demo.",
    ),
    warning(
        "OperationsSlotLow",
        10,
        "operations_lab_slot_safe_bytes < 0.5 * operations_lab_slot_retained_bytes",
        "Of what slot {{ $labels.slot }} of {{ $labels.server }} may keep, two thirds are used.",
        "Bring its replica back, or drop the slot.",
    ),
    warning(
        "OperationsSlotInactive",
        60,
        "operations_lab_slot_active == 0",
        "Nobody uses slot {{ $labels.slot }} of {{ $labels.server }}, and WAL is kept for it.",
        "Bring its replica back, or drop the slot.",
    ),
    critical(
        "OperationsCommitsWait",
        15,
        "operations_lab_sessions_waiting_for_replicas > 0",
        "Commits on {{ $labels.server }} wait for a synchronous replica.",
        "Bring the replica back, or reset synchronous_standby_names.",
    ),
    // Jobs and rows ----------------------------------------------------------------------------------------------------
    critical(
        "OperationsJobMissing",
        30,
        "absent(operations_lab_job_active{job=\"operation_insert_one\"}) or absent(operations_lab_job_active{job=\"change_status\"})",
        "The job {{ $labels.job }} is not scheduled.",
        "Run call operations_schedule(); on the primary.",
    ),
    critical(
        "OperationsJobOff",
        30,
        "operations_lab_job_active == 0",
        "The job {{ $labels.job }} is switched off.",
        "Run operations-lab doctor; it says how to switch it on.",
    ),
    critical(
        "OperationsJobFailing",
        5,
        "operations_lab_job_last_run_succeeded == 0",
        "The last run of the job {{ $labels.job }} failed.",
        "Run select * from operations_jobs(); it has the error.",
    ),
    critical(
        "OperationsJobLate",
        10,
        "time() - operations_lab_job_last_success_timestamp_seconds{job=~\"operation_insert_one|change_status\"} > 60",
        "The job {{ $labels.job }} has not succeeded for more than a minute.",
        "Run operations-lab doctor; it says what it waits for.",
    ),
    critical(
        "OperationsSumsDiffer",
        10,
        "operations_lab_findings{code=\"sums_differ\"} > 0",
        "The sums are not those of the rows.",
        "Run select * from operations_verify_rollup(true); it repairs them, and says which they were.",
    ),
    warning(
        "OperationsViewStale",
        30,
        "operations_lab_findings{code=\"view_stale\"} > 0",
        "client_type_sum_mv is not brought up to date.",
        "See the job change_status.",
    ),
    critical(
        "OperationsMonthMissing",
        60,
        "operations_lab_partition_of_today_missing == 1",
        "The current month has no partition.",
        "Run call operations_maintain_partitions(); on the primary.",
    ),
    warning(
        "OperationsMonthsAheadMissing",
        300,
        "operations_lab_partitions_ahead < 1",
        "The next month has no partition.",
        "Run call operations_maintain_partitions(); on the primary.",
    ),
    // Sessions ---------------------------------------------------------------------------------------------------------
    warning(
        "OperationsConnectionsNearlyFull",
        30,
        "sum by (server) (operations_lab_sessions) > on (server) 0.9 * operations_lab_connections_limit",
        "More than nine tenths of the connections of {{ $labels.server }} are taken.",
        "End idle sessions, or raise max_connections.",
    ),
    warning(
        "OperationsOldTransaction",
        30,
        "time() - operations_lab_oldest_transaction_start_timestamp_seconds > 900",
        "A transaction on {{ $labels.server }} is open for more than 15 minutes.",
        "Find it in pg_stat_activity, and end it: it holds up vacuum.",
    ),
];
