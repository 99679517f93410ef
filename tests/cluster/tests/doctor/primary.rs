//! What a primary finds by itself.

use operations_cluster::expect::{SOON, run};
use operations_cluster::{DATABASE, Server, Stop, finish, text, try_wait, value};
use operations_lab::doctor::Severity::{Broken, Degraded, Info, Unknown};
use operations_lab::doctor::{Finding, Options, Sums, examine};

use crate::both::stop_process;
use crate::common::{Pair, live, look_until, set, target};

#[test]
fn jobs_and_months() {
    let pair = Pair::start();
    let primary = &pair.primary;
    let mut session = primary.session().unwrap();

    run(&mut session, "CALL operations_unschedule()");
    let finding = pair.sees("job_missing", Broken, primary);
    assert!(finding.evidence.contains(DATABASE), "{finding:?}");
    run(&mut session, "CALL operations_schedule()");
    pair.expect_well();

    set(primary, "operations_ext.change_status_interval", "0");
    assert!(pair.sees("job_inactive", Broken, primary).evidence.contains("change_status"));
    set(primary, "operations_ext.change_status_interval", "1s");
    pair.expect_well();

    set(primary, "operations_ext.database", "postgres");
    assert!(pair.sees("job_wrong_database", Broken, primary).evidence.contains("postgres"));
    set(primary, "operations_ext.database", DATABASE);
    pair.expect_well();

    let worker = stop_process(primary, "operations_ext operation_insert_one");
    pair.sees_naming("job_late", primary, "operation_insert_one");
    worker.go_on();
    pair.expect_well();

    run(&mut session, "ALTER TABLE operations ADD CONSTRAINT never CHECK (amount < 0) NOT VALID");
    assert!(pair.sees("job_failing", Broken, primary).evidence.contains("never"));
    run(&mut session, "ALTER TABLE operations DROP CONSTRAINT never");
    pair.expect_well();

    // pg_cron's tables, as far as they are read: no pg_cron is on the test server.
    run(
        &mut session,
        "CREATE SCHEMA cron; \
         CREATE TABLE cron.job (jobid bigint, schedule text, command text, nodename text, nodeport int, database text, \
                                username text, active boolean, jobname text); \
         CREATE TABLE cron.job_run_details (jobid bigint, runid bigint, job_pid int, database text, username text, \
                                            command text, status text, return_message text, start_time timestamptz, \
                                            end_time timestamptz); \
         SET allow_system_table_mods = on; \
         INSERT INTO pg_extension SELECT 4000000000, 'pg_cron', 10, oid, false, '1.6' FROM pg_namespace WHERE nspname = 'cron'; \
         RESET allow_system_table_mods; \
         ALTER EXTENSION pg_cron ADD TABLE cron.job; \
         ALTER EXTENSION pg_cron ADD TABLE cron.job_run_details; \
         INSERT INTO cron.job VALUES (1, '1 second', 'call public.change_status()', '', 0, current_database(), 'second', true, \
                                      'change_status'); \
         CREATE ROLE second SUPERUSER; \
         INSERT INTO cron.job_run_details SELECT 1, r, pid, '', '', '', 'running', '', now(), null \
         FROM (SELECT pid, row_number() OVER () AS r FROM pg_stat_activity LIMIT 2) a",
    );
    pair.sees("job_two_schedulers", Broken, primary);
    pair.sees("job_overlaps", Degraded, primary);
    assert!(pair.sees("scheduler_missing", Broken, primary).evidence.contains("pg_cron"));
    run(&mut session, "UPDATE cron.job SET database = 'elsewhere'");
    assert!(pair.sees("job_wrong_database", Broken, primary).evidence.contains("elsewhere"));
    run(&mut session, "DROP EXTENSION pg_cron; DROP SCHEMA cron; DROP ROLE second");
    pair.expect_well();

    let next = "operations_' || to_char(date_trunc('month', current_date) + interval '1 month', 'YYYY_MM')";
    run(&mut session, &format!("DO $$ BEGIN EXECUTE 'DROP TABLE {next}; END $$"));
    pair.sees("months_missing", Degraded, primary);
    run(&mut session, "CREATE TABLE rest PARTITION OF operations DEFAULT");
    run(
        &mut session,
        "INSERT INTO operations (operation_date, operation_guid, client_id, operation_type, amount, message) \
         VALUES ('2020-01-01', gen_random_uuid(), 1, 'online', 1, '{}')",
    );
    assert!(pair.sees("default_partition_rows", Degraded, primary).evidence.contains("rest"));
    run(&mut session, "DROP TABLE rest; CALL operations_maintain_partitions()");
    pair.expect_well();
}

#[test]
fn sums_locks_and_growth() {
    let pair = Pair::start();
    let primary = &pair.primary;
    let mut session = primary.session().unwrap();

    run(
        &mut session,
        "UPDATE operations_rollup_total SET amount = amount + 1 WHERE client_id = (SELECT min(client_id) FROM operations_rollup_total)",
    );
    assert!(pair.sees("sums_differ", Broken, primary).evidence.contains("client"));
    // The replica sees the same in its copy.
    pair.sees("sums_differ", Broken, &pair.replica);
    let without_sums = || examine(&pair.targets(), &Options { sums: Sums::Skip, ..Options::default() });
    let report = without_sums();
    assert!(!report.findings.iter().any(Finding::is_of_sums), "{}", report.text());
    run(&mut session, "SELECT * FROM operations_verify_rollup(true)");
    pair.expect_well();

    run(&mut session, "CALL operations_unschedule()");
    // A run that had begun before that holds a lock on its registration until it ends.
    run(&mut session, "BEGIN; LOCK TABLE operations_job IN ACCESS EXCLUSIVE MODE; COMMIT");
    // The jobs may have left none that is new.
    run(
        &mut session,
        "CALL operation_insert_one(); \
         UPDATE operations SET status = 1 WHERE id = (SELECT min(id) FROM operations WHERE status = 0)",
    );
    pair.sees("view_stale", Degraded, primary);
    let report = without_sums();
    assert!(!report.findings.iter().any(Finding::is_of_sums), "{}", report.text());
    assert!(report.findings.iter().any(|finding| finding.code == "job_missing"), "{}", report.text());
    run(&mut session, "CALL operations_schedule()");
    pair.expect_well();

    let mut locker = primary.session().unwrap();
    run(&mut locker, "BEGIN; REFRESH MATERIALIZED VIEW client_type_sum_mv");
    assert!(pair.sees("relation_locked", Broken, primary).evidence.contains("client_type_sum_mv"));
    run(&mut locker, "ROLLBACK");
    pair.expect_well();

    run(
        &mut session,
        "UPDATE operations_job_run_details SET finished_at = now() - interval '20 days' WHERE run_id = 1",
    );
    pair.sees("history_grows", Degraded, primary);
    run(&mut session, "CALL operations_prune_job_history()");
    pair.expect_well();

    run(&mut session, "INSERT INTO operations_delta SELECT 0, 1, 'online', 0, 0 FROM generate_series(1, 1000001)");
    pair.sees("delta_grows", Degraded, primary);
    run(&mut session, "DELETE FROM operations_delta WHERE partition = 0");
    // A look of the doctor that goes on meanwhile keeps them from being removed.
    let dead = "SELECT n_dead_tup FROM pg_stat_all_tables WHERE relid = 'operations_delta'::regclass";
    try_wait("vacuum to remove the rows", SOON, || {
        run(&mut session, "VACUUM operations_delta");
        match value::<i64>(&mut session, dead) {
            Ok(few) if few < 1000 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .unwrap();
    pair.expect_well();
}

#[test]
fn vacuum_and_settings() {
    let pair = Pair::of(live().setting("max_prepared_transactions", "5"), &[("max_prepared_transactions", "5")]);
    let primary = &pair.primary;
    let mut session = primary.session().unwrap();

    for (name, value, code, severity) in [
        ("autovacuum", "off", "autovacuum_off", Degraded),
        ("track_counts", "off", "settings_contradict", Degraded),
        ("full_page_writes", "off", "not_durable", Degraded),
        ("fsync", "off", "not_durable", Degraded),
    ] {
        set(primary, name, value);
        pair.sees(code, severity, primary);
        set(primary, name, "on");
        pair.expect_well();
    }
    set(primary, "default_transaction_read_only", "on");
    pair.sees("writes_refused", Broken, primary);
    run(&mut session, "SET default_transaction_read_only = off");
    set(primary, "default_transaction_read_only", "off");
    pair.expect_well();

    run(&mut session, "BEGIN; CREATE TABLE held (n int); PREPARE TRANSACTION 'left_over'");
    assert!(pair.sees("prepared_transaction", Degraded, primary).evidence.contains("left_over"));
    run(&mut session, "ROLLBACK PREPARED 'left_over'");
    pair.expect_well();

    let mut holder = primary.session().unwrap();
    run(&mut holder, "SET application_name = 'holder'; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
    let mut reader = pair.replica.session().unwrap();
    run(&mut reader, "SET application_name = 'reader'; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
    burn_transactions(primary, 110_000);
    pair.sees_naming("vacuum_held_back", primary, "holder");
    pair.sees_naming("vacuum_held_back", primary, "slot replica_slot");
    pair.sees_naming("vacuum_held_back", &pair.replica, "reader");
    run(&mut holder, "ROLLBACK");
    run(&mut reader, "ROLLBACK");
    pair.expect_well();
}

#[test]
fn a_server_that_was_not_set_up_or_is_full() {
    let server = Server::primary().setting("max_connections", "20").setting("fsync", "on").start().unwrap();
    let targets = [target(operations_lab::role::Role::Primary, &server)];
    let sees = |code, severity| crate::common::sees(&targets, code, severity, &server);
    sees("extension_missing", Degraded);
    let mut session = server.session().unwrap();
    run(&mut session, "CREATE EXTENSION operations_ext");
    sees("setup_missing", Broken);
    sees("job_missing", Broken);
    sees("no_replica", Degraded);
    run(&mut session, "CALL operations_setup()");
    run(&mut session, &format!("CREATE ROLE watcher LOGIN PASSWORD '{}'", server.password()));
    let url = format!("postgresql://watcher@127.0.0.1:{}/{DATABASE}", server.port());
    let role = operations_lab::role::Role::Primary;
    let watched = operations_lab::target::Target::from_url(role, &url).unwrap().with_password(server.password());
    crate::common::sees(&[watched], "question_failed", Unknown, &server);
    run(&mut session, "GRANT EXECUTE ON FUNCTION operations_doctor(boolean) TO watcher");
    let mut watcher = server.connect_as("watcher", DATABASE).unwrap();
    let seen =
        operations_cluster::text(&mut watcher, "SELECT DISTINCT code, severity FROM operations_doctor()").unwrap();
    assert_eq!(seen, "not_permitted|unknown");

    let idle: Vec<_> = (0..15).map(|_| server.connect_as("watcher", DATABASE).unwrap()).collect();
    sees("connections_nearly_full", Degraded);
    let mut more = Vec::new();
    while let Ok(session) = server.session() {
        more.push(session);
    }
    sees("connections_full", Broken);
    drop((idle, more));
    gone(&targets, "connections");
}

#[test]
fn wraparound_and_catalogs() {
    let builder = Server::primary().setting("fsync", "on").setting("autovacuum", "off");
    let server = builder.with_extension().setting("autovacuum_freeze_max_age", "100000").start().unwrap();
    let targets = [target(operations_lab::role::Role::Primary, &server)];
    let sees = |code, severity| crate::common::sees(&targets, code, severity, &server);
    let mut session = server.session().unwrap();

    run(
        &mut session,
        "DO $$ DECLARE columns text := (SELECT string_agg(format('c%s int', i), ',') FROM generate_series(1, 1500) i); \
         BEGIN FOR i IN 1..60 LOOP EXECUTE format('CREATE TABLE wide (%s)', columns); DROP TABLE wide; END LOOP; END $$",
    );
    assert!(sees("catalogs_grow", Degraded).evidence.contains("pg_attribute"));
    run(&mut session, "VACUUM pg_attribute");
    gone(&targets, "catalogs_grow");

    let mut holder = server.session().unwrap();
    run(&mut holder, "BEGIN; CREATE TABLE held (n int)");
    burn_transactions(&server, 210_000);
    assert!(sees("wraparound", Degraded).evidence.contains("xid"));
    run(&mut holder, "ROLLBACK");
    for database in [DATABASE, "postgres", "template1"] {
        run(&mut server.connect(database).unwrap(), "VACUUM (FREEZE)");
    }
    gone(&targets, "wraparound");
}

#[test]
fn damaged_pages() {
    let mut server = Server::primary().setting("fsync", "on").setting("wal_log_hints", "off").start().unwrap();
    let targets = [target(operations_lab::role::Role::Primary, &server)];
    run(&mut server.session().unwrap(), "CREATE EXTENSION operations_ext");
    crate::common::sees(&targets, "checksums_off", Info, &server);
    crate::common::sees(&targets, "rewind_impossible", Info, &server);
    server.stop(Stop::Fast).unwrap();
    let mut enable = server.client_program("pg_checksums", "postgres").unwrap();
    enable.arg("--enable").arg("--no-sync").arg("--pgdata").arg(server.data());
    finish(enable).unwrap().success().unwrap();
    server.start().unwrap();
    let mut session = server.session().unwrap();
    run(&mut session, "CREATE TABLE damaged AS SELECT generate_series(1, 1000) AS n");
    gone(&targets, "checksums_off");
    let file: String = operations_cluster::value(&mut session, "SELECT pg_relation_filepath('damaged')").unwrap();
    drop(session);
    server.stop(Stop::Fast).unwrap();
    let path = server.data().join(file);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    server.start().unwrap();
    let mut session = server.session().unwrap();
    assert!(session.batch_execute("SELECT count(*) FROM damaged").is_err());
    let finding = crate::common::sees(&targets, "checksum_failures", Broken, &server);
    assert!(finding.evidence.contains(DATABASE), "{finding:?}");
    run(&mut session, "DROP TABLE damaged; SELECT pg_stat_reset()");
    gone(&targets, "checksum_failures");
}

/// Waits until the doctor no longer finds this, whatever else it finds.
fn gone(targets: &[operations_lab::target::Target], code: &str) {
    look_until(&format!("{code} to be gone"), || {
        let report = examine(targets, &Options::default());
        match report.findings.iter().any(|finding| finding.code.starts_with(code)) {
            true => Err(report.text()),
            false => Ok(()),
        }
    });
}

/// Each subtransaction that writes takes an xid.
fn burn_transactions(server: &Server, count: u32) {
    run(
        &mut server.session().unwrap(),
        &format!(
            "CREATE TEMP TABLE burnt (n int); \
             DO $$ BEGIN FOR i IN 1..{count} LOOP BEGIN INSERT INTO burnt VALUES (i); \
                 EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$"
        ),
    );
}

/// PostgreSQL lets nobody make them, but for a race that cannot be won to order: the catalog is written instead.
#[test]
fn partitions_that_overlap() {
    let server = Server::primary().with_rows().start().unwrap();
    let mut session = server.session().unwrap();
    let found = "SELECT severity, evidence FROM operations_doctor_partitions() WHERE code = 'partitions_overlap'";
    let rows = "SELECT count(*) FROM operations WHERE operation_date < '2025-09-01'";
    assert_eq!(text(&mut session, found).unwrap(), "");
    let before: i64 = value(&mut session, rows).unwrap();
    run(
        &mut session,
        "CREATE TABLE operations_2025_08_2 (LIKE operations INCLUDING ALL EXCLUDING IDENTITY); \
         INSERT INTO operations_2025_08_2 SELECT 1000000 + id, date '2030-01-05', operation_guid, client_id, operation_type, amount, status, message \
         FROM operations_2025_08 LIMIT 3; \
         ALTER TABLE operations ATTACH PARTITION operations_2025_08_2 FOR VALUES FROM ('2030-01-01') TO ('2030-02-01'); \
         UPDATE operations_2025_08_2 SET operation_date = '2030-01-06'; \
         CREATE TABLE bounds (d date) PARTITION BY RANGE (d); \
         CREATE TABLE part PARTITION OF bounds FOR VALUES FROM ('2025-08-01') TO ('2025-08-20'); \
         UPDATE pg_class SET relpartbound = (SELECT relpartbound FROM pg_class WHERE relname = 'part') WHERE relname = 'operations_2025_08_2'",
    );
    for style in ["ISO, MDY", "SQL, DMY", "German"] {
        run(&mut session, &format!("SET datestyle = '{style}'"));
        let told = text(&mut session, found).unwrap();
        assert!(
            told.starts_with(
                "broken|partitions public.operations_2025_08 and public.operations_2025_08_2 overlap from "
            ),
            "{told}"
        );
    }
    run(&mut session, "RESET datestyle");
    let next = "SELECT next_command FROM operations_doctor_partitions() WHERE code = 'partitions_overlap'";
    let next = text(&mut session, next).unwrap();
    run(&mut session, &next);
    run(
        &mut session,
        "UPDATE operations_2025_08_2 SET operation_date = '2025-08-06'; \
         INSERT INTO operations OVERRIDING SYSTEM VALUE SELECT * FROM operations_2025_08_2",
    );
    assert_eq!(text(&mut session, found).unwrap(), "");
    assert_eq!(value::<i64>(&mut session, rows).unwrap(), before + 3);
}
