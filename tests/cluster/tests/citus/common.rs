//! A coordinator and its workers.

use operations_cluster::expect::{run, skipped};
use operations_cluster::{DATABASE, Server, ServerBuilder, db_error, missing_citus, text, value};
use postgres::Client;
use postgres::error::DbError;

/// SQLSTATE feature_not_supported
pub const NOT_SUPPORTED: &[&str] = &["0A000"];

/// What lets Citus distribute the table: it refuses one with triggers, and its key must have the column.
pub const PREPARE: &str = "
    DROP TRIGGER operations_count_insert ON operations;
    DROP TRIGGER operations_count_delete ON operations;
    DROP TRIGGER operations_count_update ON operations;
    ALTER TABLE operations DROP CONSTRAINT operations_pkey, ADD PRIMARY KEY (operation_date, client_id, id);";

/// Distributes it.
pub const DISTRIBUTE: &str = "SELECT create_distributed_table('operations', 'client_id')";

/// How many shards a table has.
pub const SHARDS: i32 = 4;

/// A server of a cluster, of which shards can be moved by logical replication.
pub fn node() -> ServerBuilder {
    let shards = SHARDS.to_string();
    Server::primary().with_citus().setting("citus.shard_count", &shards).setting("wal_level", "logical")
}

/// A coordinator and two workers.
pub struct Cluster {
    pub coordinator: Server,
    pub workers: [Server; 2],
}

impl Cluster {
    /// With the extension and without a table; or, where there is no Citus, nothing but a word on it.
    pub fn start(test: &str) -> Option<Self> {
        if let Some(why) = missing_citus().unwrap() {
            skipped(test, &why);
            return None;
        }
        let [coordinator, first, second] = [(); 3].map(|()| node().start().unwrap());
        let mut session = coordinator.session().unwrap();
        let port = coordinator.port();
        run(&mut session, &format!("SELECT citus_set_coordinator_host('127.0.0.1', {port})"));
        for worker in [&first, &second] {
            run(&mut session, &format!("SELECT citus_add_node('127.0.0.1', {})", worker.port()));
        }
        // Citus makes it on the workers, too.
        run(&mut session, "CREATE EXTENSION operations_ext");
        Some(Self { coordinator, workers: [first, second] })
    }

    /// With 2,000 operations, 200 of them done, in a table of PostgreSQL.
    pub fn with_rows(test: &str) -> Option<(Self, Client)> {
        let cluster = Self::start(test)?;
        let mut session = cluster.session();
        run(&mut session, "CALL operations_setup()");
        run(&mut session, "CALL operations_test_data('2025-08-01', '2025-11-30', 2000, 1)");
        run(&mut session, "UPDATE operations SET status = 1 WHERE id % 10 = 0");
        run(&mut session, "CALL change_status(1)");
        Some((cluster, session))
    }

    /// The same, distributed by client_id.
    pub fn distributed(test: &str) -> Option<(Self, Client)> {
        let (cluster, mut session) = Self::with_rows(test)?;
        run(&mut session, PREPARE);
        run(&mut session, DISTRIBUTE);
        Some((cluster, session))
    }

    /// The same, distributed by `operations_distribute()`.
    pub fn sharded(test: &str) -> Option<(Self, Client)> {
        let (cluster, mut session) = Self::with_rows(test)?;
        run(&mut session, "CALL operations_distribute()");
        Some((cluster, session))
    }

    /// A session of the coordinator.
    pub fn session(&self) -> Client {
        self.coordinator.connect(DATABASE).unwrap()
    }
}

/// Checks what a refusal says.
#[track_caller]
pub fn expect_says(error: &DbError, message: &str, detail: &str, hint: &str) {
    for (part, expected) in [
        (error.message(), message),
        (error.detail().unwrap_or_default(), detail),
        (error.hint().unwrap_or_default(), hint),
    ] {
        assert!(part.contains(expected), "{part:?} does not say {expected:?}: {error:?}");
    }
}

/// What the doctor finds of Citus.
pub fn findings(session: &mut Client) -> String {
    let codes =
        "'citus_table', 'citus_worker', 'hidden_rows', 'setup_missing', 'sums_differ', 'view_stale', 'check_failed'";
    text(session, &format!("SELECT code, severity FROM operations_doctor(true) WHERE code IN ({codes}) ORDER BY code"))
        .unwrap()
}

/// The next command of a finding.
pub fn next_command(session: &mut Client, code: &str) -> String {
    value(session, &format!("SELECT next_command FROM operations_doctor() WHERE code = '{code}'")).unwrap()
}

/// Runs a script as psql does, which goes on after errors, and returns the last one.
pub fn run_as_psql(session: &mut Client, script: &str) -> Option<DbError> {
    let mut statement = String::new();
    let mut last = None;
    let script: Vec<_> = script.lines().filter(|line| !line.starts_with("--")).collect();
    for part in script.join("\n").split_inclusive(';') {
        statement.push_str(part);
        // The body of a DO has semicolons of its own.
        if statement.matches("$$").count().is_multiple_of(2) {
            last = db_error(session.batch_execute(&statement)).or(last);
            statement.clear();
        }
    }
    last
}

/// How many operations a query finds.
pub fn operations(session: &mut Client) -> i64 {
    value(session, "SELECT count(*) FROM operations").unwrap()
}

/// How many operations are done.
pub fn done(session: &mut Client) -> i64 {
    value(session, "SELECT count(*) FROM operations WHERE status = 1").unwrap()
}

/// Checks the sums against the rows.
#[track_caller]
pub fn expect_sums(session: &mut Client, after: &str) {
    let sums =
        |session: &mut Client, of: &str| text(session, &format!("SELECT * FROM ({of}) s ORDER BY 1, 2")).unwrap();
    let rows = sums(
        session,
        "SELECT client_id, operation_type, sum(amount) FROM operations WHERE status = 1 GROUP BY client_id, operation_type",
    );
    assert_eq!(sums(session, "SELECT * FROM client_type_sum_live"), rows, "{after}");
    assert_eq!(text(session, "SELECT * FROM operations_verify_rollup()").unwrap(), "", "{after}");
}

/// Calls `change_status()`, and checks the sums, those that the materialized view holds, too.
#[track_caller]
pub fn flip(session: &mut Client, batch: i32) {
    run(session, &format!("CALL change_status({batch})"));
    expect_sums(session, "change_status()");
    let held = "SELECT count(*) FROM operations_stale_sums()";
    assert_eq!(value::<i64>(session, held).unwrap(), 0, "client_type_sum_mv is up to date");
}

/// Checks that the sums follow all months, so that none is read from its rows.
#[track_caller]
pub fn expect_all_followed(session: &mut Client, after: &str) {
    let followed = "SELECT from_day IS NULL FROM operations_shard_state";
    assert!(value::<bool>(session, followed).unwrap(), "all months are followed: {after}");
}

/// Inserts so many operations of the first clients.
pub fn insert(session: &mut Client, rows: i32, clients: i32, status: i16) {
    run(
        session,
        &format!(
            "INSERT INTO operations (operation_date, operation_guid, client_id, operation_type, amount, status, message)
             SELECT date '2025-10-10' + n % 20, gen_random_uuid(), 1 + n % {clients}, 'online', 1 + n % 7, {status}, '{{}}'
             FROM generate_series(1, {rows}) n"
        ),
    );
}
