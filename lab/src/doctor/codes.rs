//! The codes of what the program finds by asking more than one server, or by not being answered. Those of what one server
//! finds by itself are in `src/doctor/sql/`. docs/doctor.md explains all of them.

/// The demo was stopped, or never made.
pub const DEMO_STOPPED: &str = "demo_stopped";
/// Nothing answers there.
pub const SERVER_DOWN: &str = "server_down";
/// Something is there and does not answer in time.
pub const SERVER_SILENT: &str = "server_silent";
/// It starts, stops or recovers.
pub const SERVER_NOT_READY: &str = "server_not_ready";
/// The password is wrong or missing.
pub const PASSWORD_REFUSED: &str = "password_refused";
/// pg_hba.conf does not let us in.
pub const HBA_REFUSED: &str = "hba_refused";
/// No connection is left.
pub const CONNECTIONS_FULL: &str = "connections_full";
/// Files of the server are gone.
pub const FILES_MISSING: &str = "files_missing";
/// Refused for another reason.
pub const CONNECTION_REFUSED: &str = "connection_refused";
/// A question failed.
pub const QUESTION_FAILED: &str = "question_failed";
/// The extension is not in the database, or older than the doctor.
pub const EXTENSION_MISSING: &str = "extension_missing";
/// The servers are not of one cluster.
pub const OTHER_CLUSTER: &str = "other_cluster";
/// More than one server takes writes.
pub const TWO_WRITABLE_SERVERS: &str = "two_writable_servers";
/// Commits wait for a synchronous replica that does not follow.
pub const WRITES_WAIT: &str = "writes_wait";
/// No server takes writes.
pub const NO_WRITABLE_SERVER: &str = "no_writable_server";
/// The server that takes writes is not the one that was named as the primary.
pub const ROLES_SWAPPED: &str = "roles_swapped";
/// The replica's history is not the primary's.
pub const TIMELINE_DIFFERS: &str = "timeline_differs";
/// The primary has no sender for a replica whose receiver says that it streams.
pub const FOLLOWS_ANOTHER: &str = "follows_another";
/// The primary has not heard from a replica for long.
pub const SENDER_SILENT: &str = "sender_silent";
/// What the primary writes does not arrive; found by one server, too.
pub const RECEIVER_SILENT: &str = "receiver_silent";
/// The replica that this one follows does not answer, so nothing arrives.
pub const UPSTREAM_GONE: &str = "upstream_gone";
/// The primary does not let the replica in; its log says why.
pub const REPLICATION_REFUSED: &str = "replication_refused";
/// Replay does not advance.
pub const REPLAY_STUCK: &str = "replay_stuck";
/// Replay waits for a reader; found by one server, too.
pub const REPLAY_WAITS: &str = "replay_waits";
/// Replay advances and is behind.
pub const CATCHING_UP: &str = "catching_up";
/// A setting that must not be lower on a replica is.
pub const STANDBY_SETTING_LOWER: &str = "standby_setting_lower";
/// The servers' clocks differ.
pub const CLOCK_SKEW: &str = "clock_skew";
/// Patroni was told to leave all as it is.
pub const PATRONI_PAUSED: &str = "patroni_paused";
/// A server answers, and its Patroni does not.
pub const PATRONI_SILENT: &str = "patroni_silent";
/// Patroni reaches no majority of etcd.
pub const ETCD_UNREACHABLE: &str = "etcd_unreachable";
/// Little disk space is left.
pub const DISK_LOW: &str = "disk_low";

/// All of them.
pub const ALL: &[&str] = &[
    DEMO_STOPPED,
    SERVER_DOWN,
    SERVER_SILENT,
    SERVER_NOT_READY,
    PASSWORD_REFUSED,
    HBA_REFUSED,
    CONNECTIONS_FULL,
    FILES_MISSING,
    CONNECTION_REFUSED,
    QUESTION_FAILED,
    EXTENSION_MISSING,
    OTHER_CLUSTER,
    TWO_WRITABLE_SERVERS,
    WRITES_WAIT,
    NO_WRITABLE_SERVER,
    ROLES_SWAPPED,
    TIMELINE_DIFFERS,
    FOLLOWS_ANOTHER,
    SENDER_SILENT,
    RECEIVER_SILENT,
    UPSTREAM_GONE,
    REPLICATION_REFUSED,
    REPLAY_STUCK,
    REPLAY_WAITS,
    CATCHING_UP,
    STANDBY_SETTING_LOWER,
    CLOCK_SKEW,
    PATRONI_PAUSED,
    PATRONI_SILENT,
    ETCD_UNREACHABLE,
    DISK_LOW,
];

/// The codes that one server finds by itself and this program does not: `src/doctor/sql/`.
pub const OF_A_SERVER: &[&str] = &[
    "autovacuum_off",
    "catalogs_grow",
    "check_failed",
    "checksum_failures",
    "checksums_off",
    "citus_node_away",
    "citus_table",
    "citus_worker",
    "connections_nearly_full",
    "crash_recovered",
    "default_partition_rows",
    "delta_grows",
    "hidden_rows",
    "history_grows",
    "job_failing",
    "job_inactive",
    "job_late",
    "job_missing",
    "job_overlaps",
    "job_two_schedulers",
    "job_wrong_database",
    "months_missing",
    "no_replica",
    "not_durable",
    "not_permitted",
    "partitions_overlap",
    "prepared_transaction",
    "receiver_missing",
    "relation_locked",
    "replay_paused",
    "replica_behind",
    "restart_pending",
    "rewind_impossible",
    "scheduler_missing",
    "settings_contradict",
    "setup_missing",
    "slot_inactive",
    "slot_lost",
    "slot_nearly_lost",
    "sums_differ",
    "vacuum_held_back",
    "view_stale",
    "wal_piles_up",
    "wraparound",
    "writes_refused",
];
