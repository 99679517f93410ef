//! The aggregate that is kept up as rows change: `client_type_sum_live` equals the full query after every single thing that
//! a user can do, and the partitions are not read for it; `client_type_sum_mv` follows with `change_status`.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::io::Write;

use operations_cluster::expect::{
    AGGREGATE_DIFFERENCE, SOON, expect_exact, fill_with_sums, run, tick, wait_blocked, wait_for_text,
};
use operations_cluster::{DATABASE, Server, db_error, finish, text, value, wait_until};
use postgres::Client;

const COLUMNS: &str = "operation_date, operation_guid, client_id, operation_type, amount, status, message";

/// A row of August 2025, of status 1.
const ROW: &str = "('2025-08-05', gen_random_uuid(), 1, 'online', 12.34, 1, '{}')";

/// What reading the live view reads of the partitions, counted inside a transaction.
const SCANS: &str = "SELECT coalesce(sum(seq_scan + coalesce(idx_scan, 0)), 0)::bigint FROM pg_stat_xact_user_tables \
    WHERE relid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'operations'::regclass)";

/// A server with rows, half of them done, all of them in the sums.
fn server() -> Server {
    let server = Server::primary().with_extension().start().unwrap();
    fill_with_sums(&mut server.session().unwrap());
    server
}

/// The live view is right, and does not read the partitions for it.
#[track_caller]
fn expect_kept_up(session: &mut Client, after: &str) {
    expect_exact(session, after);
    run(session, "BEGIN");
    // What earlier transactions of the session counted may still be in it.
    let before = value::<i64>(session, SCANS).unwrap();
    text(session, "SELECT * FROM client_type_sum_live").unwrap();
    let scans = value::<i64>(session, SCANS).unwrap() - before;
    run(session, "COMMIT");
    assert_eq!(scans, 0, "the live view reads the partitions after {after}");
}

/// After the calls that come every 3 seconds everything is right and as cheap as ever.
#[track_caller]
fn expect_recovered(session: &mut Client, after: &str) {
    expect_exact(session, after);
    tick(session);
    expect_kept_up(session, after);
    assert_eq!(text(session, AGGREGATE_DIFFERENCE).unwrap(), "", "{after}");
    assert_eq!(text(session, "SELECT * FROM operations_verify_rollup()").unwrap(), "", "{after}");
}

/// Runs the statement at every isolation level, once rolled back to a savepoint, once rolled back, once committed.
#[track_caller]
fn expect_kept_up_by(session: &mut Client, statement: &str) {
    for level in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        for end in ["ROLLBACK", "COMMIT"] {
            let when = format!("{statement} ({level}, {end})");
            run(session, &format!("BEGIN ISOLATION LEVEL {level}; SAVEPOINT here"));
            run(session, statement);
            expect_exact(session, &when);
            run(session, "ROLLBACK TO here");
            expect_exact(session, &when);
            run(session, statement);
            expect_exact(session, &when);
            run(session, end);
            expect_kept_up(session, &when);
        }
    }
}

fn copy(session: &mut Client, table: &str, with_id: bool) {
    let columns = if with_id { format!("id, {COLUMNS}") } else { COLUMNS.to_owned() };
    let mut writer = session.copy_in(&format!("COPY {table} ({columns}) FROM STDIN")).unwrap();
    for number in 0..300 {
        let id = if with_id { format!("{}\t", 5_000_000 + number) } else { String::new() };
        let (client, status) = (number % 7, number % 2);
        let line = format!(
            "{id}2025-09-{:02}\t{:08x}-0000-4000-8000-000000000000\t{client}\tonline\t{number}.50\t{status}\t{{}}\n",
            number % 28 + 1,
            number + 1
        );
        writer.write_all(line.as_bytes()).unwrap();
    }
    writer.finish().unwrap();
}

/// Amounts and groups change, so that a row that is counted twice, or not, shows.
fn insert_into(partition: &str, id: i64, date: &str) -> String {
    format!(
        "INSERT INTO {partition} (id, {COLUMNS}) VALUES ({id}, '{date}', gen_random_uuid(), 3, 'online', 7.77, 1, '{{}}')"
    )
}

#[test]
fn inserts_are_kept_up_with() {
    let server = server();
    let mut session = server.session().unwrap();
    expect_kept_up(&mut session, "the setup");
    expect_kept_up_by(&mut session, &format!("INSERT INTO operations ({COLUMNS}) VALUES {ROW}"));
    expect_kept_up_by(
        &mut session,
        &format!(
            "INSERT INTO operations ({COLUMNS}) SELECT date '2025-08-01' + g % 120, gen_random_uuid(), g % 50, \
                  'offline', g, g % 2, '{{}}' FROM generate_series(1, 200) g"
        ),
    );
    expect_kept_up_by(&mut session, "CALL operations_test_data('2025-08-01', '2025-11-30', 100, 3)");
    expect_kept_up_by(&mut session, "CALL operation_insert_one()");
    expect_recovered(&mut session, "inserts");
}

#[test]
fn on_conflict_is_kept_up_with() {
    let server = server();
    let mut session = server.session().unwrap();
    for action in [
        "NOTHING",
        "UPDATE SET status = 1 - operations.status",
        "UPDATE SET amount = excluded.amount + 1, client_id = 77",
        "UPDATE SET operation_type = 'offline' WHERE operations.id % 3 = 0",
    ] {
        expect_kept_up_by(
            &mut session,
            &format!(
                "INSERT INTO operations (id, {COLUMNS}) OVERRIDING SYSTEM VALUE \
                 SELECT id, {COLUMNS} FROM operations WHERE id % 10 = 0 \
                 UNION ALL SELECT id + 10000000, {COLUMNS} FROM operations WHERE id % 100 = 1 AND id < 1000000 \
                 ON CONFLICT (operation_date, id) DO {action}"
            ),
        );
    }
    expect_recovered(&mut session, "ON CONFLICT");
}

#[test]
fn updates_are_kept_up_with() {
    let server = server();
    let mut session = server.session().unwrap();
    for assignment in [
        "status = 1",
        "status = 0",
        "status = 1 - status",
        "amount = amount + 1.01",
        "client_id = client_id + 1",
        "operation_type = CASE operation_type WHEN 'online' THEN 'offline' ELSE 'online' END::operation_type_enum",
        "message = '{\"a\": 1}'",
        "operation_guid = gen_random_uuid()",
        // To another day, to another partition, and back.
        "operation_date = CASE WHEN operation_date < '2025-10-01' THEN operation_date + 61 ELSE operation_date - 61 END",
        "operation_date = date '2025-08-01' + (id % 100)::integer, amount = amount + 2, client_id = 9, status = 1 - status",
    ] {
        expect_kept_up_by(&mut session, &format!("UPDATE operations SET {assignment} WHERE id % 3 = 0"));
    }
    expect_recovered(&mut session, "updates");
}

#[test]
fn deletes_and_merges_are_kept_up_with() {
    let server = server();
    let mut session = server.session().unwrap();
    expect_kept_up_by(&mut session, "DELETE FROM operations WHERE id % 11 = 0");
    expect_kept_up_by(
        &mut session,
        &format!(
            "MERGE INTO operations o USING (SELECT * FROM operations WHERE id % 5 = 0 UNION ALL \
             SELECT operation_date, id + 20000000 FROM operations WHERE id % 50 = 1 AND id < 20000000) s \
             ON o.operation_date = s.operation_date AND o.id = s.id \
             WHEN MATCHED AND s.id % 3 = 0 THEN DELETE \
             WHEN MATCHED AND s.id % 3 = 1 THEN UPDATE SET status = 1 - o.status \
             WHEN MATCHED THEN UPDATE SET operation_date = date '2025-11-01', amount = o.amount + 3 \
             WHEN NOT MATCHED THEN INSERT (id, {COLUMNS}) OVERRIDING SYSTEM VALUE \
             VALUES (s.id, s.operation_date, gen_random_uuid(), 4, 'online', 5, 1, '{{}}')"
        )
        .replace("SELECT * FROM operations WHERE id % 5", "SELECT operation_date, id FROM operations WHERE id % 5"),
    );
    expect_kept_up_by(
        &mut session,
        &format!(
            "WITH gone AS (DELETE FROM operations WHERE id % 13 = 0 RETURNING *) \
                  INSERT INTO operations ({COLUMNS}) SELECT {COLUMNS} FROM gone"
        ),
    );
    expect_recovered(&mut session, "deletes and merges");
}

#[test]
fn copy_is_kept_up_with() {
    let server = server();
    let mut session = server.session().unwrap();
    for (table, with_id) in [("operations", false), ("operations_2025_09", true)] {
        for end in ["ROLLBACK", "COMMIT"] {
            run(&mut session, "BEGIN");
            copy(&mut session, table, with_id);
            expect_exact(&mut session, table);
            run(&mut session, end);
            expect_kept_up(&mut session, table);
        }
    }
    expect_recovered(&mut session, "COPY");
}

#[test]
fn statements_aimed_at_a_partition_are_kept_up_with() {
    let server = server();
    let mut session = server.session().unwrap();
    run(&mut session, "CREATE SEQUENCE own_ids START 30000000");
    for statement in [
        // Since PostgreSQL 17 partitions have their parent's identity.
        format!(
            "INSERT INTO operations_2025_08 (id, {COLUMNS}) OVERRIDING SYSTEM VALUE VALUES (nextval('own_ids'), {}",
            &ROW[1..]
        ),
        format!(
            "INSERT INTO operations_2025_08 (id, {COLUMNS}) OVERRIDING SYSTEM VALUE SELECT id, {COLUMNS} FROM operations_2025_08 \
                 WHERE id % 4 = 0 ON CONFLICT (operation_date, id) DO UPDATE SET amount = excluded.amount + 1"
        ),
        "UPDATE operations_2025_08 SET status = 1 - status WHERE id % 4 = 0".to_owned(),
        "UPDATE operations_2025_08 SET amount = amount + 1, client_id = 5 WHERE id % 4 = 1".to_owned(),
        "DELETE FROM operations_2025_08 WHERE id % 7 = 0".to_owned(),
        "MERGE INTO operations_2025_09 o USING (SELECT 1) s ON o.id % 3 = 0 \
         WHEN MATCHED AND o.status = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET status = 1"
            .to_owned(),
    ] {
        expect_kept_up_by(&mut session, &statement);
    }
    expect_recovered(&mut session, "statements aimed at a partition");
}

#[test]
fn truncate_is_noticed() {
    let server = server();
    let mut session = server.session().unwrap();
    for table in ["operations_2025_08", "operations", "operations_2025_09, operations_2025_10"] {
        let truncate = format!("TRUNCATE {table}");
        for end in ["ROLLBACK TO here; COMMIT", "ROLLBACK", "COMMIT"] {
            run(&mut session, "BEGIN; SAVEPOINT here");
            run(&mut session, &truncate);
            expect_exact(&mut session, &truncate);
            run(&mut session, &format!("INSERT INTO operations ({COLUMNS}) VALUES {ROW}, {ROW}"));
            expect_exact(&mut session, &truncate);
            run(&mut session, end);
            expect_recovered(&mut session, &format!("{truncate}; {end}"));
        }
        run(
            &mut session,
            "CALL operations_test_data('2025-08-01', '2025-11-30', 500, 8); UPDATE operations SET status = 1",
        );
        expect_recovered(&mut session, "a load after it");
    }
}

/// A second TRUNCATE of a file that the transaction itself made empties it in place.
#[test]
fn truncate_in_place_is_noticed() {
    let server = server();
    let mut session = server.session().unwrap();
    let insert = format!("INSERT INTO operations ({COLUMNS}) VALUES {ROW}, {ROW}");
    for first in [
        "TRUNCATE operations_2025_08".to_owned(),
        "DROP TABLE operations_2025_08; CREATE TABLE operations_2025_08 PARTITION OF operations \
         FOR VALUES FROM ('2025-08-01') TO ('2025-09-01')"
            .to_owned(),
        "ALTER TABLE operations ADD COLUMN rewritten double precision DEFAULT random()".to_owned(),
        "SAVEPOINT inner_one; TRUNCATE operations_2025_08; RELEASE inner_one".to_owned(),
    ] {
        run(&mut session, "BEGIN");
        for step in
            [&first, &insert, "CALL change_status(1)", "CALL change_status(1)", "TRUNCATE operations_2025_08", &insert]
        {
            run(&mut session, step);
            expect_exact(&mut session, &format!("{first}: {step}"));
        }
        run(&mut session, "COMMIT");
        expect_recovered(&mut session, &first);
    }
}

#[test]
fn attach_and_detach_are_noticed() {
    let server = server();
    let mut session = server.session().unwrap();
    let attach =
        "ALTER TABLE operations ATTACH PARTITION operations_2025_08 FOR VALUES FROM ('2025-08-01') TO ('2025-09-01')";
    for detach in [
        "ALTER TABLE operations DETACH PARTITION operations_2025_08",
        "ALTER TABLE operations DETACH PARTITION operations_2025_08 CONCURRENTLY",
    ] {
        for between in ["", "CALL change_status(1)", "CALL change_status(1); CALL change_status(1)"] {
            for change in [
                "SELECT",
                "UPDATE operations_2025_08 SET amount = amount + 1",
                "DELETE FROM operations_2025_08 WHERE id % 9 = 0",
                &insert_into("operations_2025_08", 40_000_000, "2025-08-09"),
            ] {
                let what = format!("{detach}; {between}; {change}");
                run(&mut session, detach);
                expect_exact(&mut session, &what);
                run(&mut session, between);
                run(&mut session, change);
                expect_exact(&mut session, &what);
                run(&mut session, attach);
                expect_exact(&mut session, &what);
                // Written to before the sums know it again.
                run(&mut session, "UPDATE operations SET amount = amount + 1, status = 1 - status WHERE id % 4 = 0");
                expect_recovered(&mut session, &what);
                run(&mut session, "DELETE FROM operations WHERE id = 40000000");
            }
        }
    }
    // All in one transaction, rolled back and not.
    for end in ["ROLLBACK", "COMMIT"] {
        run(&mut session, "BEGIN; ALTER TABLE operations DETACH PARTITION operations_2025_08");
        run(&mut session, "UPDATE operations_2025_08 SET amount = amount + 1");
        run(&mut session, attach);
        expect_exact(&mut session, "within a transaction");
        run(&mut session, end);
        expect_recovered(&mut session, end);
    }
}

/// Between its two transactions, and for ever if it is cancelled there.
#[test]
fn a_partition_that_is_being_detached_takes_writes() {
    let server = server();
    let mut admin = server.session().unwrap();
    for end in ["cancelled", "finished"] {
        let mut reader = server.session().unwrap();
        run(&mut reader, "BEGIN; SELECT count(*) FROM operations");
        let mut detacher = server.session().unwrap();
        let pid = value::<i32>(&mut detacher, "SELECT pg_backend_pid()").unwrap();
        let detach = std::thread::spawn(move || {
            db_error(detacher.batch_execute("ALTER TABLE operations DETACH PARTITION operations_2025_08 CONCURRENTLY"))
        });
        wait_blocked(&server, &[pid]);
        let writes = |session: &mut Client| {
            for statement in [
                "UPDATE operations_2025_08 SET amount = amount + 1, status = 1 - status WHERE id % 3 = 0",
                "DELETE FROM operations_2025_08 WHERE id % 31 = 0",
                "UPDATE operations SET amount = amount + 1, status = 1 - status WHERE id % 3 = 0",
            ] {
                run(session, statement);
                expect_exact(session, statement);
            }
        };
        writes(&mut admin);
        tick(&mut admin);
        writes(&mut admin);
        if end == "cancelled" {
            run(&mut admin, &format!("SELECT pg_cancel_backend({pid})"));
            assert!(detach.join().unwrap().is_some());
            writes(&mut admin);
            tick(&mut admin);
            run(&mut reader, "COMMIT");
            run(&mut admin, "ALTER TABLE operations DETACH PARTITION operations_2025_08 FINALIZE");
        } else {
            run(&mut reader, "COMMIT");
            assert!(detach.join().unwrap().is_none());
        }
        expect_exact(&mut admin, end);
        run(
            &mut admin,
            "ALTER TABLE operations ATTACH PARTITION operations_2025_08 FOR VALUES FROM ('2025-08-01') TO ('2025-09-01')",
        );
        writes(&mut admin);
        expect_recovered(&mut admin, end);
    }
}

#[test]
fn a_partition_attached_with_rows_or_dropped_is_noticed() {
    let server = server();
    let mut session = server.session().unwrap();
    for end in ["ROLLBACK", "COMMIT"] {
        run(&mut session, "BEGIN; CREATE TABLE extra (LIKE operations INCLUDING CONSTRAINTS)");
        run(&mut session, &insert_into("extra", 1, "2031-01-05"));
        run(
            &mut session,
            "ALTER TABLE operations ATTACH PARTITION extra FOR VALUES FROM ('2031-01-01') TO ('2031-02-01')",
        );
        expect_exact(&mut session, "ATTACH with rows");
        run(&mut session, "UPDATE operations SET amount = amount + 1 WHERE operation_date > '2031-01-01'");
        expect_exact(&mut session, "ATTACH with rows and a write");
        run(&mut session, end);
        expect_recovered(&mut session, &format!("ATTACH with rows: {end}"));
    }
    for end in ["ROLLBACK", "COMMIT"] {
        run(&mut session, "BEGIN; DROP TABLE operations_2025_08, extra");
        expect_exact(&mut session, "DROP");
        run(&mut session, end);
        expect_recovered(&mut session, &format!("DROP: {end}"));
    }
    run(&mut session, "CALL operations_maintain_partitions(8, 13)");
    expect_recovered(&mut session, "maintenance and retention");
}

#[test]
fn rewrites_are_survived() {
    let server = server();
    let mut session = server.session().unwrap();
    for statement in [
        "ALTER TABLE operations ADD COLUMN cheap integer DEFAULT 3",
        "ALTER TABLE operations ADD COLUMN dear double precision DEFAULT random()",
        "ALTER TABLE operations DROP COLUMN cheap, DROP COLUMN dear",
        "VACUUM FULL operations_2025_08",
        "CLUSTER operations_2025_09 USING operations_2025_09_pkey",
        "VACUUM operations",
        "ALTER TABLE operations_2025_10 SET UNLOGGED",
        "ALTER TABLE operations_2025_10 SET LOGGED",
    ] {
        run(&mut session, statement);
        expect_exact(&mut session, statement);
        run(&mut session, "UPDATE operations SET amount = amount + 1, status = 1 - status WHERE id % 4 = 0");
        expect_exact(&mut session, statement);
        tick(&mut session);
        expect_exact(&mut session, statement);
    }
    expect_recovered(&mut session, "rewrites");
}

#[test]
fn triggers_that_were_off_are_noticed() {
    let server = server();
    let mut session = server.session().unwrap();
    let write = "UPDATE operations SET amount = amount + 1, status = 1 - status WHERE id % 4 = 0";
    for (off, on) in [
        ("ALTER TABLE operations_2025_08 DISABLE TRIGGER USER", "ALTER TABLE operations_2025_08 ENABLE TRIGGER USER"),
        ("ALTER TABLE operations_2025_08 DISABLE TRIGGER ALL", "ALTER TABLE operations_2025_08 ENABLE TRIGGER ALL"),
        ("ALTER TABLE operations DISABLE TRIGGER USER", "ALTER TABLE operations ENABLE TRIGGER USER"),
        ("ALTER TABLE operations DISABLE TRIGGER USER", "ALTER TABLE operations ENABLE REPLICA TRIGGER USER"),
        ("SET session_replication_role = replica", "SET session_replication_role = origin"),
    ] {
        let on = if on.contains("REPLICA TRIGGER USER") { enable(&mut session, "REPLICA") } else { on.to_owned() };
        run(&mut session, off);
        run(&mut session, write);
        expect_exact(&mut session, off);
        tick(&mut session);
        run(&mut session, write);
        expect_exact(&mut session, off);
        run(&mut session, &on);
        expect_exact(&mut session, &on);
        run(&mut session, write);
        expect_exact(&mut session, &on);
        tick(&mut session);
        // However the triggers were enabled, sessions of both kinds are seen.
        for role in ["replica", "origin"] {
            run(&mut session, &format!("SET session_replication_role = {role}"));
            run(&mut session, write);
            expect_exact(&mut session, &format!("{on}, as {role}"));
        }
    }
    let always = enable(&mut session, "ALWAYS");
    run(&mut session, &always);
    expect_recovered(&mut session, &always);
    // Gone altogether: right all the same, and setup makes them anew.
    run(&mut session, &triggers(&mut server.session().unwrap(), "DROP TRIGGER %I ON operations"));
    for statement in [write, "CALL change_status(1)", write, "CALL operations_setup()", write] {
        run(&mut session, statement);
        expect_exact(&mut session, statement);
    }
    expect_recovered(&mut session, "setup");
}

/// A statement for each trigger of `operations`.
fn triggers(session: &mut Client, format: &str) -> String {
    let query = format!(
        "SELECT string_agg(format('{format}', tgname), '; ') FROM pg_trigger \
         WHERE tgrelid = 'operations'::regclass AND NOT tgisinternal"
    );
    text(session, &query).unwrap()
}

fn enable(session: &mut Client, how: &str) -> String {
    triggers(session, &format!("ALTER TABLE operations ENABLE {how} TRIGGER %I"))
}

/// Triggers fire, and rows are found, by the catalogs as they are now, also for a transaction whose snapshot is older.
#[test]
fn a_transaction_with_an_older_snapshot_sees_its_own_changes_counted() {
    let server = server();
    let (mut old, mut other) = (server.session().unwrap(), server.session().unwrap());
    let always = enable(&mut other, "ALWAYS");
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        for (ddl, undo) in [
            ("ALTER TABLE operations DISABLE TRIGGER USER", always.as_str()),
            ("ALTER TABLE operations_2025_09 DISABLE TRIGGER ALL", &always),
            ("ALTER TABLE operations ENABLE TRIGGER USER", &always),
            ("CALL operations_maintain_partitions(9)", "CALL operations_maintain_partitions(3)"),
            (
                "CREATE TABLE later PARTITION OF operations FOR VALUES FROM ('2032-01-01') TO ('2032-02-01')",
                "DROP TABLE later",
            ),
            ("TRUNCATE operations_2025_10", "SELECT"),
            (
                "ALTER TABLE operations ADD COLUMN rewritten double precision DEFAULT random()",
                "ALTER TABLE operations DROP COLUMN rewritten",
            ),
            ("VACUUM FULL operations_2025_08", "SELECT"),
            (
                "ALTER TABLE operations DETACH PARTITION operations_2025_11",
                "DROP TABLE operations_2025_11; CALL operations_maintain_partitions()",
            ),
        ] {
            let what = format!("{level}: {ddl}");
            // Any query takes the snapshot; this one leaves the tables unlocked.
            run(&mut old, &format!("BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM pg_class"));
            run(&mut other, ddl);
            expect_exact(&mut old, &what);
            for statement in [
                "UPDATE operations SET amount = amount + 1, status = 1 WHERE id % 3 = 0 AND operation_date < '2025-10-01'",
                &format!(
                    "INSERT INTO operations ({COLUMNS}) SELECT lower, gen_random_uuid(), 2, 'online', 9, 1, '{{}}' \
                     FROM (VALUES (date '2025-08-01'), (date '2025-09-01'), (date '2025-10-01')) d (lower)"
                ),
                if ddl.contains("later") {
                    "UPDATE operations SET operation_date = '2032-01-05' WHERE id % 7 = 0"
                } else {
                    "SELECT"
                },
            ] {
                // What another transaction has rewritten, this one may not update.
                if let Some(error) = db_error(old.batch_execute(&format!("SAVEPOINT before; {statement}"))) {
                    assert_eq!(error.code().code(), "40001", "{what}: {statement}: {error:?}");
                    run(&mut old, "ROLLBACK TO before");
                }
                expect_exact(&mut old, &format!("{what}: {statement}"));
            }
            run(&mut old, "COMMIT");
            expect_exact(&mut other, &what);
            run(&mut other, undo);
            expect_recovered(&mut other, &what);
        }
    }
}

#[test]
fn a_role_that_may_write_operations_needs_no_right_on_the_rollup() {
    let server = server();
    let mut admin = server.session().unwrap();
    run(
        &mut admin,
        &format!(
            "CREATE ROLE writer LOGIN PASSWORD '{}'; GRANT SELECT, INSERT, UPDATE, DELETE ON operations TO writer; \
                  GRANT SELECT ON client_type_sum_live TO writer",
            server.password()
        ),
    );
    let mut writer = server.connect_as("writer", DATABASE).unwrap();
    expect_kept_up_by(&mut writer, &format!("INSERT INTO operations ({COLUMNS}) VALUES {ROW}"));
    expect_kept_up_by(&mut writer, "UPDATE operations SET status = 1 - status, amount = amount + 1 WHERE id % 5 = 0");
    expect_kept_up_by(&mut writer, "DELETE FROM operations WHERE id % 17 = 0");
    copy(&mut writer, "operations", false);
    expect_kept_up(&mut writer, "COPY");
    // It reads the view also when the sums of a partition are not kept.
    run(&mut admin, "VACUUM FULL operations_2025_08; ");
    expect_exact(&mut writer, "VACUUM FULL");
    for table in ["operations_delta", "operations_rollup_partition"] {
        for statement in
            [format!("TABLE {table}"), format!("DELETE FROM {table}"), format!("INSERT INTO {table} DEFAULT VALUES")]
        {
            let error = db_error(writer.batch_execute(&statement)).unwrap();
            assert_eq!(error.code().code(), "42501", "{statement}");
        }
    }
    for statement in ["CALL change_status()", "SELECT operations_verify_rollup(true)"] {
        let error = db_error(writer.batch_execute(statement)).unwrap();
        assert_eq!(error.code().code(), "42501", "{statement}");
    }
    expect_recovered(&mut admin, "the writer");
}

/// Whoever may read the view may do so also while its sums come from the rows; whoever may not has no other way to them.
#[test]
fn the_sums_are_for_those_who_may_read_the_view() {
    let server = server();
    let mut admin = server.session().unwrap();
    let password = server.password();
    run(
        &mut admin,
        &format!(
            "CREATE ROLE reader LOGIN PASSWORD '{password}'; CREATE ROLE stranger LOGIN PASSWORD '{password}'; \
             GRANT SELECT ON client_type_sum_live TO reader"
        ),
    );
    run(&mut admin, "VACUUM FULL operations_2025_08");
    let sums = "SELECT count(*), sum(total_amount) FROM client_type_sum_live";
    let expected = text(&mut admin, sums).unwrap();
    let mut reader = server.connect_as("reader", DATABASE).unwrap();
    assert_eq!(text(&mut reader, sums).unwrap(), expected);
    tick(&mut admin);
    let expected = text(&mut admin, sums).unwrap();
    assert_eq!(text(&mut reader, sums).unwrap(), expected);
    run(&mut admin, "VACUUM FULL operations_2025_08");

    let mut stranger = server.connect_as("stranger", DATABASE).unwrap();
    let functions = "SELECT string_agg(format('SELECT %s(%s)', p.oid::regproc, \
        (SELECT string_agg('NULL', ', ') FROM generate_series(1, p.pronargs))), E'\\n' ORDER BY p.proname) FROM pg_proc p \
        JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' \
        JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'operations_ext' WHERE p.proretset";
    let relations = "SELECT string_agg('SELECT FROM ' || c.oid::regclass, E'\\n') FROM pg_class c \
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')";
    for query in [functions, relations] {
        for statement in text(&mut admin, query).unwrap().lines() {
            // They show no sum, and only what the catalogs show to all.
            if ["operations_partitions_now(", "operations_citus_tables("].iter().any(|name| statement.contains(name)) {
                continue;
            }
            let error = db_error(stranger.batch_execute(statement));
            let code = error.as_ref().map(|error| error.code().code().to_owned());
            assert_eq!(code.as_deref(), Some("42501"), "{statement}: {error:?}");
        }
    }
}

#[test]
fn whatever_order_sessions_commit_in() {
    let server = server();
    let mut sessions: Vec<_> = (0..3).map(|_| server.session().unwrap()).collect();
    let mut ticker = server.session().unwrap();
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        for level in ["READ COMMITTED", "REPEATABLE READ"] {
            for (number, session) in sessions.iter_mut().enumerate() {
                run(session, &format!("SET lock_timeout = '5s'; BEGIN ISOLATION LEVEL {level}"));
                // The same sums for all, and nobody waits for anybody.
                run(
                    session,
                    &format!(
                        "UPDATE operations SET client_id = 1, amount = amount + 1, status = 1 WHERE id % 3 = {number} AND id % 5 = 0"
                    ),
                );
                run(session, &format!("INSERT INTO operations ({COLUMNS}) VALUES {ROW}"));
                tick(&mut ticker);
                expect_exact(session, "a tick beside an open transaction");
            }
            for number in order {
                run(&mut sessions[number], "COMMIT");
                expect_exact(&mut ticker, "a commit");
                tick(&mut ticker);
                expect_kept_up(&mut ticker, "a commit and a tick");
            }
        }
    }
    expect_recovered(&mut ticker, "sessions in every order");
}

/// A fold that is open makes no writer and no reader wait, and what they wrote meanwhile is not lost.
#[test]
fn nobody_waits_for_a_change_status_that_is_under_way() {
    let server = server();
    let mut ticker = server.session().unwrap();
    let mut other = server.session().unwrap();
    run(&mut other, "SET lock_timeout = '1ms'");
    for end in ["ROLLBACK", "COMMIT"] {
        run(&mut ticker, "BEGIN; CALL change_status(100)");
        for statement in [
            "TABLE client_type_sum_mv",
            "TABLE client_type_sum_live",
            &format!("INSERT INTO operations ({COLUMNS}) VALUES {ROW}"),
            "UPDATE operations SET amount = amount + 1 WHERE id IN (SELECT id FROM operations WHERE status = 1 LIMIT 50)",
            "DELETE FROM operations WHERE id IN (SELECT id FROM operations WHERE status = 1 LIMIT 5)",
            "BEGIN ISOLATION LEVEL REPEATABLE READ; TABLE client_type_sum_live; TABLE client_type_sum_mv; COMMIT",
        ] {
            run(&mut other, statement);
            expect_exact(&mut other, statement);
            expect_exact(&mut ticker, statement);
        }
        run(&mut ticker, end);
        expect_recovered(&mut ticker, end);
    }
    // Nor does it wait for readers of the views.
    run(&mut other, "BEGIN; TABLE client_type_sum_mv; TABLE client_type_sum_live");
    run(&mut ticker, "SET lock_timeout = '5s'; CALL change_status(100)");
    run(&mut other, "COMMIT");
}

#[test]
fn two_calls_at_once_leave_the_sums_right() {
    let server = server();
    let (mut first, mut second) = (server.session().unwrap(), server.session().unwrap());
    for (level, end) in [("READ COMMITTED", "COMMIT"), ("READ COMMITTED", "ROLLBACK"), ("REPEATABLE READ", "COMMIT")] {
        run(&mut first, "BEGIN; UPDATE operations SET status = 0 WHERE id % 4 = 0; CALL change_status(50)");
        let pid = value::<i32>(&mut second, "SELECT pg_backend_pid()").unwrap();
        let call =
            format!("BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM operations; CALL change_status(50); COMMIT");
        let waiting = std::thread::spawn(move || {
            let result = db_error(second.batch_execute(&call));
            second.batch_execute("ROLLBACK").unwrap();
            (second, result)
        });
        wait_blocked(&server, &[pid]);
        run(&mut first, end);
        let (again, error) = waiting.join().unwrap();
        second = again;
        let code = error.map(|error| error.code().code().to_owned());
        assert!(
            code.is_none() || (level == "REPEATABLE READ" && code.as_deref() == Some("40001")),
            "{level}: {code:?}"
        );
        expect_recovered(&mut first, &format!("{level}, {end}"));
    }
}

#[test]
fn a_killed_server_comes_back_with_right_sums() {
    let mut server = server();
    let mut session = server.session().unwrap();
    run(&mut session, "CHECKPOINT; ALTER TABLE operations_2025_10 SET UNLOGGED");
    tick(&mut session);
    // Of each kind: folded, not yet folded, and not committed.
    run(&mut session, "UPDATE operations SET status = 1, amount = amount + 1 WHERE id % 7 = 0");
    tick(&mut session);
    run(&mut session, "UPDATE operations SET status = 1, amount = amount + 1 WHERE id % 9 = 0");
    run(&mut session, "BEGIN; UPDATE operations SET status = 1 - status; CALL change_status(100)");
    server.kill_all().unwrap();
    server.start().unwrap();
    let mut session = server.session().unwrap();
    assert_eq!(text(&mut session, "SELECT count(*) FROM operations_2025_10").unwrap(), "0");
    expect_exact(&mut session, "the crash");
    run(&mut session, "ALTER TABLE operations_2025_10 SET LOGGED");
    expect_recovered(&mut session, "the crash");
}

#[test]
fn a_restored_dump_counts_nothing_twice() {
    let server = server();
    let mut session = server.session().unwrap();
    // Some of it is folded, some is not.
    run(&mut session, "UPDATE operations SET status = 1, amount = amount + 1 WHERE id % 9 = 0");
    let live = "SELECT count(*), sum(total_amount) FROM client_type_sum_live";
    let before = text(&mut session, live).unwrap();
    server.copy_database(DATABASE, &server, "restored").unwrap();
    let mut copy = server.connect("restored").unwrap();
    expect_exact(&mut copy, "the restore");
    assert_eq!(text(&mut copy, live).unwrap(), before);
    assert_eq!(text(&mut copy, AGGREGATE_DIFFERENCE).unwrap(), "");
    run(
        &mut copy,
        "SET session_replication_role = replica; UPDATE operations SET amount = amount + 1 WHERE id % 5 = 0; RESET ALL",
    );
    expect_exact(&mut copy, "a write after the restore");
    expect_recovered(&mut copy, "the restore");
    run(
        &mut copy,
        "SET session_replication_role = replica; UPDATE operations SET amount = amount + 1 WHERE id % 5 = 0; RESET ALL",
    );
    expect_kept_up(&mut copy, "a write after the restore");
}

#[test]
fn a_data_only_restore_counts_nothing_twice() {
    let server = server();
    let mut session = server.session().unwrap();
    run(&mut session, "UPDATE operations SET status = 1, amount = amount + 1 WHERE id % 9 = 0");
    let live = "SELECT count(*), sum(total_amount) FROM client_type_sum_live";
    let before = text(&mut session, live).unwrap();
    let file = server.folder().join("data.dump");
    let mut dump = server.client_program("pg_dump", DATABASE).unwrap();
    dump.args(["--format=custom", "--data-only", "--file"]).arg(&file);
    finish(dump).unwrap().success().unwrap();
    for (name, option) in [("plain", "--exit-on-error"), ("disabled", "--disable-triggers"), ("parallel", "--jobs=3")] {
        server.create_database(name).unwrap();
        let mut copy = server.connect(name).unwrap();
        run(&mut copy, "CREATE EXTENSION operations_ext");
        run(&mut copy, "CALL operations_setup()");
        tick(&mut copy);
        let mut restore = server.client_program("pg_restore", name).unwrap();
        restore.args([option, "--exit-on-error", "--data-only", "--dbname", name]).arg(&file);
        finish(restore).unwrap().success().unwrap();
        expect_exact(&mut copy, name);
        assert_eq!(text(&mut copy, live).unwrap(), before, "{name}");
        run(&mut copy, "UPDATE operations SET amount = amount + 1 WHERE id % 5 = 0");
        expect_exact(&mut copy, name);
        tick(&mut copy);
        expect_exact(&mut copy, name);
        assert_eq!(text(&mut copy, AGGREGATE_DIFFERENCE).unwrap(), "", "{name}");
    }
}

/// How many rows a call writes to pg_class, which a refresh that makes a table would, and to the materialized view.
#[track_caller]
fn rows_written_by_a_call(session: &mut Client) -> (i64, i64) {
    let written = "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_stat_xact_all_tables \
                   WHERE relname = ";
    let count = |session: &mut Client| {
        ["'pg_class'", "'client_type_sum_mv'"].map(|name| value::<i64>(session, &format!("{written}{name}")).unwrap())
    };
    run(session, "BEGIN");
    let before = count(session);
    run(session, "CALL change_status(1)");
    let after = count(session);
    run(session, "COMMIT");
    (after[0] - before[0], after[1] - before[1])
}

#[test]
fn a_refresh_that_would_change_nothing_is_not_run() {
    let server = server();
    let mut session = server.session().unwrap();
    run(&mut session, "UPDATE operations SET status = 1");
    tick(&mut session);
    assert_eq!(rows_written_by_a_call(&mut session), (0, 0), "nothing happened");
    for statements in [
        "CALL operations_test_data('2025-08-01', '2025-11-30', 100, 3); DELETE FROM operations WHERE status = 0",
        "UPDATE operations SET message = '{}' WHERE id % 3 = 0",
        "BEGIN; UPDATE operations SET amount = amount + 1; ROLLBACK",
        "UPDATE operations SET amount = amount + 1; UPDATE operations SET amount = amount - 1",
        "UPDATE operations SET operation_date = '2025-09-09' WHERE operation_date < '2025-09-01' AND id % 3 = 0",
    ] {
        run(&mut session, statements);
        assert_eq!(rows_written_by_a_call(&mut session), (0, 0), "{statements}");
        expect_kept_up(&mut session, statements);
    }
    // Only the sums that changed are written, and nothing to the catalogs.
    run(&mut session, "UPDATE operations SET amount = amount + 1 WHERE id % 100 = 0");
    let changed = "SELECT count(DISTINCT (client_id, operation_type)) FROM operations WHERE id % 100 = 0";
    let changed = value::<i64>(&mut session, changed).unwrap();
    assert!(changed > 5);
    assert_eq!(rows_written_by_a_call(&mut session), (0, changed));
    assert_eq!(text(&mut session, AGGREGATE_DIFFERENCE).unwrap(), "");
    // An empty view is filled whatever else is to do.
    run(&mut session, "REFRESH MATERIALIZED VIEW client_type_sum_mv WITH NO DATA");
    run(&mut session, "CALL change_status(1)");
    assert_eq!(text(&mut session, AGGREGATE_DIFFERENCE).unwrap(), "");
}

/// As many calls as come in 2.5 hours, in half a minute; vacuum comes as often for each call as it does in a day.
#[test]
fn thousands_of_calls_leave_catalogs_and_tables_small() {
    const CALLS: u32 = 3_000;
    let server = Server::primary().with_extension().setting("autovacuum_naptime", "1s").start().unwrap();
    let mut session = server.session().unwrap();
    // Few sums, so that a call takes milliseconds.
    run(
        &mut session,
        &format!(
            "INSERT INTO operations ({COLUMNS}) SELECT date '2025-08-01' + g % 120, gen_random_uuid(), g % 60, 'online', 1, 0, '{{}}' \
             FROM generate_series(1, 25000) g"
        ),
    );
    let sizes = "SELECT greatest(max(pg_table_size(oid)) FILTER (WHERE relnamespace = 'pg_catalog'::regnamespace), 0)::bigint, \
                 max(pg_table_size(oid)) FILTER (WHERE relname LIKE 'operations_delta%' OR relname LIKE 'operations_rollup%' \
                 OR relname LIKE 'client_type_sum%')::bigint FROM pg_class WHERE relkind IN ('r', 'm')";
    let (mut middle, mut last) = ((0, 0), (0, 0));
    for call in 1..=CALLS {
        run(&mut session, "CALL change_status(10)");
        if call % 10 == 0 {
            run(&mut session, "CALL operation_insert_one()");
        }
        if call == CALLS / 3 || call == CALLS {
            let row = session.query_one(sizes, &[]).unwrap();
            middle = last;
            last = (row.get::<_, i64>(0), row.get::<_, i64>(1));
        }
    }
    eprintln!(
        "largest catalog and largest table of ours, after a third of {CALLS} calls and after all: {middle:?}, {last:?}"
    );
    expect_kept_up(&mut session, "many calls");
    // Three times the calls, and not much more than the space.
    assert!(last.0 < middle.0 * 2, "{middle:?} {last:?}");
    assert!(last.1 < middle.1 * 2 + 1_000_000, "{middle:?} {last:?}");
    // What was left can all be used again.
    wait_until("autovacuum to have cleaned up", SOON, || {
        let dead = "SELECT coalesce(string_agg(format('%s %s', relname, n_dead_tup), ', '), '') FROM pg_stat_all_tables \
                    WHERE n_dead_tup > 20000 AND relname NOT LIKE 'operations_2%'";
        match text(&mut session, dead).unwrap() {
            none if none.is_empty() => Ok(()),
            left => Err(left),
        }
    });
    assert!(value::<i64>(&mut session, "SELECT count(*) FROM operations_delta").unwrap() <= 20);
}

#[test]
fn verification_finds_and_repairs_what_somebody_broke() {
    let server = server();
    let mut session = server.session().unwrap();
    let verify = "SELECT * FROM operations_verify_rollup()";
    assert_eq!(text(&mut session, verify).unwrap(), "");
    run(
        &mut session,
        "INSERT INTO operations_delta (partition, client_id, operation_type, rows, amount) \
         SELECT tableoid, client_id, operation_type, 1, 5 FROM operations LIMIT 1",
    );
    let found = text(&mut session, verify).unwrap();
    assert_ne!(found, "");
    // Looking changes nothing.
    assert_eq!(text(&mut session, verify).unwrap(), found);
    tick(&mut session);
    assert_ne!(text(&mut session, verify).unwrap(), "", "folded");
    text(&mut session, "SELECT * FROM operations_verify_rollup(true)").unwrap();
    assert_eq!(text(&mut session, verify).unwrap(), "");
    expect_recovered(&mut session, "the repair");
}

/// R12, and stricter: whatever conflicts with the reader cancels it at once.
#[test]
fn r12_a_long_reader_on_the_replica_outlasts_refreshes_and_vacuum() {
    let server = server();
    let mut session = server.session().unwrap();
    // The end of each table is empty from here on: a vacuum that gives the space back takes a lock that the replica takes, too.
    run(
        &mut session,
        "CALL operations_test_data('2025-08-01', '2025-11-30', 20000, 5); UPDATE operations SET status = 1",
    );
    tick(&mut session);
    run(&mut session, "DELETE FROM operations WHERE id > 200 AND operation_date < '2025-11-01'");
    tick(&mut session);
    let replica = server.replica().setting("max_standby_streaming_delay", "0").start().unwrap();
    server.wait_for_catchup(&replica).unwrap();
    let mut reader = replica.session().unwrap();
    run(&mut reader, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    let sums = ["client_type_sum_mv", "client_type_sum_live"]
        .map(|view| format!("SELECT count(*), sum(total_amount), sum(hashtext(v::text)) FROM {view} v"));
    let seen = sums.each_ref().map(|query| text(&mut reader, query).unwrap());
    expect_exact(&mut reader, "on the replica");
    wait_for_text(
        &mut session,
        "the replica's feedback",
        "SELECT bool_or(xmin IS NOT NULL) FROM pg_replication_slots",
        "t",
    );
    for ahead in 4..24 {
        run(&mut session, &format!("UPDATE operations SET amount = amount + 1 WHERE id % 20 = {ahead} - 4"));
        run(&mut session, &format!("CALL change_status(50); CALL operations_maintain_partitions({ahead})"));
        assert_eq!(text(&mut session, AGGREGATE_DIFFERENCE).unwrap(), "");
    }
    tick(&mut session);
    // One by one: in older minor releases (seen with 16.6) VACUUM takes the vacuum_truncate of the first table for all.
    let tables =
        "SELECT oid::regclass FROM pg_class WHERE relkind IN ('r', 'm') AND relnamespace = 'public'::regnamespace";
    let tables = text(&mut session, tables).unwrap();
    assert!(tables.lines().count() > 8, "{tables}");
    for table in tables.lines() {
        run(&mut session, &format!("VACUUM {table}"));
    }
    server.wait_for_catchup(&replica).unwrap();
    for (query, seen) in sums.iter().zip(&seen) {
        assert_eq!(&text(&mut reader, query).unwrap(), seen);
    }
    run(&mut reader, "COMMIT");
    assert!(!replica.log_contains("conflict with recovery").unwrap());
    expect_kept_up(&mut reader, "on the replica, later");
}
