//! The sums after what is done to the table and its triggers: columns that change places, triggers that are replaced, another
//! name or schema, functions that look in the middle of a statement.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use operations_cluster::expect::{AGGREGATE_DIFFERENCE, LIVE_DIFFERENCE, expect_exact, fill_with_sums, run, tick};
use operations_cluster::{Server, db_error, text, value};
use postgres::Client;

const COLUMNS: &str = "operation_date, operation_guid, client_id, operation_type, amount, status, message";
const WRITE: &str = "UPDATE operations SET amount = amount + 1, status = 1 - status WHERE id % 4 = 0";

fn server() -> Server {
    let server = Server::primary().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    fill_with_sums(&mut session);
    server
}

/// Exact, also in the materialized view and by the rollups, and no partition is read for it.
#[track_caller]
fn expect_recovered(session: &mut Client, after: &str) {
    expect_exact(session, after);
    tick(session);
    expect_exact(session, after);
    assert_eq!(text(session, AGGREGATE_DIFFERENCE).unwrap(), "", "{after}");
    assert_eq!(text(session, "SELECT * FROM operations_verify_rollup()").unwrap(), "", "{after}");
    let untracked = "SELECT count(*) FROM operations_partition_version v LEFT JOIN operations_rollup_partition r \
        USING (partition, version) WHERE r.partition IS NULL OR NOT v.counted";
    assert_eq!(text(session, untracked).unwrap(), "0", "{after}");
}

/// The usual online migration: a column of another type takes the place of the old one.
#[test]
fn columns_that_change_places_are_followed() {
    let server = server();
    let mut session = server.session().unwrap();
    let mut old = server.session().unwrap();
    run(
        &mut session,
        "ALTER TABLE operations ADD COLUMN a2 numeric(14, 4), ADD COLUMN c2 integer, ADD COLUMN s2 smallint DEFAULT 0 NOT NULL; \
         UPDATE operations SET a2 = amount * 2, c2 = client_id + 1, s2 = (id % 3 = 0)::integer",
    );
    tick(&mut session);
    for (column, other) in [("amount", "a2"), ("client_id", "c2"), ("status", "s2")] {
        let exchange = format!(
            "ALTER TABLE operations RENAME {column} TO aside; ALTER TABLE operations RENAME {other} TO {column}; \
             ALTER TABLE operations RENAME aside TO {other}"
        );
        let other_write = format!("UPDATE operations SET {other} = 1 WHERE id % 6 = 0");
        for statements in [
            // There and back with nothing between; with writes; with calls.
            vec![exchange.as_str(), &exchange],
            vec![&exchange, WRITE, &other_write, &exchange],
            vec![&exchange, WRITE, "CALL change_status(5)", WRITE, &exchange, WRITE],
            vec![&exchange, "CALL change_status(5)", WRITE, "CALL change_status(5)", &other_write, WRITE, &exchange],
        ] {
            run(&mut old, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class");
            for statement in statements {
                run(&mut session, statement);
                expect_exact(&mut session, &format!("{column}: {statement}"));
                expect_exact(&mut old, &format!("{column}: {statement}, with an older snapshot"));
                // What reads a table keeps others from altering it.
                run(&mut old, "COMMIT; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class");
            }
            run(&mut old, "COMMIT");
            expect_recovered(&mut session, column);
        }
        // For good: set-up puts triggers and views right.
        run(&mut session, &exchange);
        run(&mut session, WRITE);
        expect_exact(&mut session, column);
        run(&mut session, "CALL operations_setup()");
        run(&mut session, WRITE);
        run(&mut session, &other_write);
        expect_recovered(&mut session, column);
        run(&mut session, &exchange);
        run(&mut session, "CALL operations_setup()");
        expect_recovered(&mut session, column);
    }
}

/// The function of the triggers is there three times, always enabled; and yet not all changes are counted.
#[test]
fn triggers_that_were_replaced_are_noticed() {
    let server = server();
    let mut session = server.session().unwrap();
    run(&mut session, "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'");
    let delete = "DELETE FROM operations WHERE id % 37 = 0";
    let insert = format!(
        "INSERT INTO operations ({COLUMNS}) SELECT date '2025-08-01' + g % 120, gen_random_uuid(), g % 9, 'online', g, 1, '{{}}' \
         FROM generate_series(1, 50) g"
    );
    for trigger in [
        "update AFTER UPDATE ON operations FOR EACH ROW WHEN (old.client_id = 3) EXECUTE FUNCTION operations_count_change()",
        "update AFTER UPDATE ON operations FOR EACH ROW WHEN (new.status = 1) EXECUTE FUNCTION operations_count_change()",
        "update AFTER UPDATE OF message ON operations FOR EACH ROW WHEN (old.status = 1 OR new.status = 1) \
         EXECUTE FUNCTION operations_count_change()",
        "update AFTER UPDATE ON operations FOR EACH ROW WHEN (old.status = 1 OR new.status = 1) EXECUTE FUNCTION nothing()",
        "update AFTER UPDATE ON operations FOR EACH ROW EXECUTE FUNCTION operations_count_change()",
        "insert AFTER INSERT ON operations FOR EACH ROW WHEN (new.status = 0) EXECUTE FUNCTION operations_count_change()",
        "insert AFTER UPDATE ON operations FOR EACH ROW WHEN (new.status = 1) EXECUTE FUNCTION operations_count_change()",
        "delete AFTER DELETE ON operations FOR EACH ROW WHEN (old.status = 2) EXECUTE FUNCTION operations_count_change()",
        "delete AFTER DELETE ON operations FOR EACH ROW WHEN (old.status = 1) EXECUTE FUNCTION operations_count_change('x')",
        "insert AFTER INSERT OR DELETE ON operations FOR EACH ROW EXECUTE FUNCTION operations_count_change()",
    ] {
        for enable in [
            "SELECT",
            "ALTER TABLE operations ENABLE ALWAYS TRIGGER operations_count_insert, \
             ENABLE ALWAYS TRIGGER operations_count_update, ENABLE ALWAYS TRIGGER operations_count_delete",
        ] {
            run(&mut session, &format!("CREATE OR REPLACE TRIGGER operations_count_{trigger}"));
            run(&mut session, enable);
            for statement in [
                WRITE,
                delete,
                &insert,
                "CALL change_status(1)",
                WRITE,
                delete,
                &insert,
                "CALL change_status(1)",
                WRITE,
            ] {
                run(&mut session, statement);
                expect_exact(&mut session, &format!("{trigger}: {statement}"));
            }
            run(&mut session, "CALL operations_setup()");
            expect_recovered(&mut session, trigger);
        }
    }
    // Deferred: what an open transaction changed is counted when it commits.
    run(
        &mut session,
        "DROP TRIGGER operations_count_update ON operations; \
         CREATE CONSTRAINT TRIGGER operations_count_update AFTER UPDATE ON operations DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW WHEN (old.status = 1 OR new.status = 1) EXECUTE FUNCTION operations_count_change(); \
         ALTER TABLE operations ENABLE ALWAYS TRIGGER operations_count_update",
    );
    tick(&mut session);
    run(&mut session, "BEGIN");
    run(&mut session, WRITE);
    expect_exact(&mut session, "a deferred trigger");
    run(&mut session, "COMMIT");
    expect_exact(&mut session, "a deferred trigger");
    run(&mut session, "DROP TRIGGER operations_count_update ON operations; CALL operations_setup()");
    expect_recovered(&mut session, "a deferred trigger");
}

/// What was never tracked is in the materialized view, and goes.
#[test]
fn a_partition_that_was_never_tracked_leaves_the_materialized_view_when_it_goes() {
    let server = server();
    let mut session = server.session().unwrap();
    for (number, go) in
        ["DROP TABLE extra", "ALTER TABLE operations DETACH PARTITION extra", "TRUNCATE extra"].iter().enumerate()
    {
        run(
            &mut session,
            &format!(
                "CREATE UNLOGGED TABLE extra PARTITION OF operations FOR VALUES FROM ('{0}-01-01') TO ('{0}-02-01'); \
                 INSERT INTO operations ({COLUMNS}) VALUES ('{0}-01-05', gen_random_uuid(), 99, 'online', 5, 1, '{{}}')",
                2031 + number
            ),
        );
        tick(&mut session);
        assert_eq!(text(&mut session, AGGREGATE_DIFFERENCE).unwrap(), "");
        run(&mut session, go);
        run(&mut session, "CALL change_status(1)");
        assert_eq!(text(&mut session, AGGREGATE_DIFFERENCE).unwrap(), "", "{go}");
        run(&mut session, "DROP TABLE IF EXISTS extra");
        run(&mut session, "CALL change_status(1)");
        assert_eq!(text(&mut session, AGGREGATE_DIFFERENCE).unwrap(), "", "{go}");
    }
    // Whatever else was done to the view: the next call finds what differs.
    run(&mut session, "REFRESH MATERIALIZED VIEW client_type_sum_mv WITH NO DATA");
    run(&mut session, "CALL change_status(1)");
    assert_eq!(text(&mut session, AGGREGATE_DIFFERENCE).unwrap(), "");
    let (mut early, mut late) = (server.session().unwrap(), server.session().unwrap());
    run(&mut early, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM operations");
    run(&mut late, "UPDATE operations SET amount = amount + 3 WHERE id % 5 = 0; CALL change_status(1)");
    run(&mut early, "REFRESH MATERIALIZED VIEW client_type_sum_mv; COMMIT");
    assert_ne!(text(&mut session, AGGREGATE_DIFFERENCE).unwrap(), "");
    run(&mut session, "CALL change_status(1)");
    assert_eq!(text(&mut session, AGGREGATE_DIFFERENCE).unwrap(), "");
}

/// Infinity - Infinity is no number, so that no sum can follow it.
#[test]
fn an_infinite_amount_is_summed_up_from_the_rows() {
    let server = server();
    let mut session = server.session().unwrap();
    run(&mut session, "DROP MATERIALIZED VIEW client_type_sum_mv; DROP VIEW client_type_sum_live");
    let drop = "DROP TRIGGER operations_count_insert ON operations; DROP TRIGGER operations_count_update ON operations; \
        DROP TRIGGER operations_count_delete ON operations";
    run(&mut session, &format!("{drop}; ALTER TABLE operations ALTER COLUMN amount TYPE numeric"));
    for amount in ["Infinity", "-Infinity", "NaN"] {
        run(&mut session, "ALTER TABLE operations DROP CONSTRAINT IF EXISTS operations_amount_check");
        run(
            &mut session,
            &format!(
                "INSERT INTO operations ({COLUMNS}) VALUES ('2025-09-05', gen_random_uuid(), 5, 'online', '{amount}', 1, '{{}}')"
            ),
        );
        run(&mut session, "CALL operations_setup()");
        tick(&mut session);
        expect_exact(&mut session, amount);
        run(&mut session, &format!("DELETE FROM operations WHERE amount = '{amount}'"));
        expect_exact(&mut session, amount);
        tick(&mut session);
        expect_exact(&mut session, amount);
        assert_eq!(text(&mut session, AGGREGATE_DIFFERENCE).unwrap(), "", "{amount}");
        run(&mut session, drop);
    }
    run(&mut session, "CALL operations_setup()");
    expect_recovered(&mut session, "numbers again");
    let insert = format!(
        "INSERT INTO operations ({COLUMNS}) VALUES ('2025-09-05', gen_random_uuid(), 5, 'online', 'Infinity', 1, '{{}}')"
    );
    assert_eq!(db_error(session.batch_execute(&insert)).unwrap().code().code(), "23514");
}

/// Under another name, or in another schema, it is still the table that the views sum up.
#[test]
fn a_table_of_another_name_or_schema_takes_writes_and_is_summed_up() {
    let server = server();
    let mut session = server.session().unwrap();
    run(&mut session, "CREATE SCHEMA elsewhere");
    for (there, name, back) in [
        ("ALTER TABLE operations RENAME TO deeds", "deeds", "ALTER TABLE deeds RENAME TO operations"),
        (
            "ALTER TABLE operations SET SCHEMA elsewhere",
            "elsewhere.operations",
            "ALTER TABLE elsewhere.operations SET SCHEMA public",
        ),
    ] {
        run(&mut session, there);
        let difference = LIVE_DIFFERENCE.replace("FROM operations", &format!("FROM {name}"));
        let exact = |session: &mut Client, after: &str| {
            assert_eq!(text(session, &difference).unwrap(), "", "{there}: {after}");
            assert!(value::<i64>(session, "SELECT count(*) FROM client_type_sum_live").unwrap() > 100);
        };
        exact(&mut session, "at once");
        for statement in [
            WRITE.replace("operations", name),
            format!(
                "INSERT INTO {name} ({COLUMNS}) VALUES ('2025-08-05', gen_random_uuid(), 1, 'online', 12.34, 1, '{{}}')"
            ),
            format!("DELETE FROM {name} WHERE id % 31 = 0"),
            "UPDATE operations_2025_09 SET amount = amount + 1".to_owned(),
            "TRUNCATE operations_2025_10".to_owned(),
        ] {
            run(&mut session, &statement);
            exact(&mut session, &statement);
        }
        // The procedures look for it in their schema, and say so.
        assert_eq!(db_error(session.batch_execute("CALL change_status(1)")).unwrap().code().code(), "42P01");
        run(&mut session, back);
        expect_recovered(&mut session, back);
    }
}

/// Triggers fire at the end of a statement; a function that the statement calls looks before.
#[test]
fn whoever_looks_in_the_middle_of_a_statement_sees_the_rows_as_they_are() {
    let server = server();
    let mut session = server.session().unwrap();
    run(
        &mut session,
        "CREATE FUNCTION difference() RETURNS bigint LANGUAGE sql VOLATILE AS $$ \
             WITH truth AS MATERIALIZED (SELECT client_id, operation_type, sum(amount) AS total_amount \
                 FROM operations WHERE status = 1 GROUP BY 1, 2) \
             SELECT (SELECT count(*) FROM (TABLE truth EXCEPT ALL TABLE client_type_sum_live) t) \
                  + (SELECT count(*) FROM (TABLE client_type_sum_live EXCEPT ALL TABLE truth) t) $$; \
         CREATE FUNCTION call_it() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$ \
             BEGIN CALL change_status(1); RETURN difference(); END $$; \
         CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ \
             BEGIN IF difference() <> 0 THEN RAISE 'the sums are wrong'; END IF; RETURN NULL; END $$",
    );
    let sum = |session: &mut Client, statement: &str| {
        let rows = session.query(statement, &[]).unwrap();
        assert!(!rows.is_empty(), "{statement}");
        rows.iter().map(|row| row.get::<_, i64>(0)).sum::<i64>()
    };
    for (number, function) in ["difference()", "call_it()"].into_iter().enumerate() {
        for statement in [
            "UPDATE operations SET status = 1 - status, amount = amount + 1 WHERE id % 400 = 0",
            &format!("DELETE FROM operations WHERE id % 401 = {number}"),
            "UPDATE operations_2025_08 SET status = 1 - status WHERE id % 100 = 0",
            "UPDATE operations SET operation_date = '2025-09-09', status = 1 WHERE id % 397 = 0",
        ] {
            // So that a call finds nothing to flip that the statement is yet to change.
            run(&mut session, "UPDATE operations SET status = 1");
            assert_eq!(sum(&mut session, &format!("{statement} RETURNING {function}")), 0, "{statement} {function}");
            expect_exact(&mut session, statement);
        }
        expect_recovered(&mut session, function);
    }
    // Before and after ours by name, row by row.
    for name in ["aaa", "zzz"] {
        run(
            &mut session,
            &format!("CREATE TRIGGER {name} AFTER UPDATE ON operations FOR EACH ROW EXECUTE FUNCTION look()"),
        );
        run(&mut session, "UPDATE operations SET status = 1 - status, amount = amount + 1 WHERE id % 300 = 0");
        run(&mut session, &format!("DROP TRIGGER {name} ON operations"));
    }
    expect_recovered(&mut session, "triggers that look");
}

/// The library writes the columns that it knows, or says that it cannot.
#[test]
fn other_columns_of_the_delta_table_are_refused() {
    let server = server();
    let mut session = server.session().unwrap();
    let insert = format!(
        "INSERT INTO operations ({COLUMNS}) VALUES ('2025-09-05', gen_random_uuid(), 5, 'online', 1, 1, '{{}}')"
    );
    for (change, back) in [
        ("ADD COLUMN more bigint", "DROP COLUMN more"),
        ("ADD COLUMN more text DEFAULT 'x' NOT NULL", "DROP COLUMN more"),
    ] {
        run(&mut session, &format!("ALTER TABLE operations_delta {change}"));
        let error = db_error(session.batch_execute(&insert)).unwrap();
        assert_eq!(error.code().code(), "55000", "{change}: {error:?}");
        assert!(error.detail().is_some() && error.hint().is_some(), "{error:?}");
        expect_exact(&mut session, change);
        run(&mut session, &format!("ALTER TABLE operations_delta {back}"));
    }
    // A column that was dropped leaves its place behind.
    assert_eq!(db_error(session.batch_execute(&insert)).unwrap().code().code(), "55000");
}

/// Another session has folded a sum that this one's snapshot does not show: this one is to try again, as after UPDATE.
#[test]
fn a_transaction_that_is_older_than_a_sum_is_told_to_try_again() {
    const INSERT: &str = "INSERT INTO operations (operation_date, operation_guid, client_id, operation_type, amount, status, message) \
                          VALUES ('2025-08-05', gen_random_uuid(), 987654, 'online', 5, 1, '{}')";
    let server = server();
    let mut session = server.session().unwrap();
    let mut old = server.session().unwrap();
    // Nothing is left to flip, which two sessions could not do at once either.
    run(&mut session, "UPDATE operations SET status = 1");
    tick(&mut session);
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        run(&mut session, "DELETE FROM operations WHERE client_id = 987654");
        tick(&mut session);
        run(&mut old, &format!("BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM operations_rollup"));
        run(&mut session, INSERT);
        tick(&mut session);
        run(&mut old, INSERT);
        let error = db_error(old.batch_execute("CALL change_status(5)")).unwrap();
        assert_eq!(error.code().code(), "40001", "{level}: {error:?}");
        run(&mut old, "ROLLBACK");
    }
    run(&mut old, INSERT);
    expect_recovered(&mut session, "a transaction that was told to try again");
}

/// A partition was summed up no longer, or anew, since the snapshot was taken: what an older transaction does to it is not added to
/// sums that nobody would take out again.
#[test]
fn a_transaction_that_is_older_than_what_is_tracked_is_told_to_try_again() {
    const INSERT: &str = "INSERT INTO operations (operation_date, operation_guid, client_id, operation_type, amount, status, message) \
                          VALUES ('2025-10-05', gen_random_uuid(), 987655, 'online', 5, 1, '{}')";
    const BOUNDS: &str = "FOR VALUES FROM ('2025-10-01') TO ('2025-11-01')";
    let server = server();
    let mut session = server.session().unwrap();
    let mut old = server.session().unwrap();
    run(&mut session, "UPDATE operations SET status = 1");
    let attach = format!("ALTER TABLE operations ATTACH PARTITION operations_2025_10 {BOUNDS}");
    for (away, back) in [
        ("ALTER TABLE operations DETACH PARTITION operations_2025_10", attach.as_str()),
        (
            "ALTER TABLE operations_2025_10 DISABLE TRIGGER USER",
            "ALTER TABLE operations_2025_10 ENABLE ALWAYS TRIGGER operations_count_insert, \
             ENABLE ALWAYS TRIGGER operations_count_update, ENABLE ALWAYS TRIGGER operations_count_delete",
        ),
    ] {
        for level in ["REPEATABLE READ", "SERIALIZABLE"] {
            tick(&mut session);
            run(&mut old, &format!("BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM operations_rollup_partition"));
            run(&mut session, away);
            tick(&mut session);
            run(&mut session, back);
            run(&mut old, INSERT);
            let error = db_error(old.batch_execute("CALL change_status(5)"));
            assert_eq!(error.map(|error| error.code().code().to_owned()).as_deref(), Some("40001"), "{level}: {away}");
            run(&mut old, "ROLLBACK");
            run(&mut old, INSERT);
            run(&mut old, "CALL change_status(5)");
            expect_exact(&mut session, away);
        }
    }
    run(&mut session, "DROP TABLE operations_2025_10");
    expect_recovered(&mut session, "a partition that went");
}
