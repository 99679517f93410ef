//! A load is all or nothing, whatever takes it back, and is part of its caller's transaction.

use operations_cluster::expect::{expect_indexes_match, run, state};
use operations_cluster::{db_error, text, value};
use postgres::Client;

use crate::common::{Dates, LEFT_OVER, Loader, ROWS_A_MONTH, STRATEGIES, Strategy, expect_sound, primary};

/// The files of all relations, which `state` leaves out. The sizes that ANALYZE notes there are no part of a transaction.
const FILES: &str = "SELECT md5(string_agg(format('%s %s %s', oid, relname, relfilenode), ',' ORDER BY oid)) \
    FROM pg_class WHERE relnamespace = 'public'::regnamespace";

fn everything(session: &mut Client) -> String {
    let rows = state(session).unwrap();
    let files = text(session, FILES).unwrap();
    let indexes = text(session, "SELECT count(*), max(indexrelid) FROM pg_index").unwrap();
    let statistics =
        text(session, "SELECT count(*), md5(string_agg(s::text, '' ORDER BY s::text)) FROM pg_stats s").unwrap();
    format!("{rows}\nfiles {files}\nindexes {indexes}\nstatistics {statistics}")
}

#[test]
fn whatever_takes_a_load_back_takes_all_of_it() {
    // Nobody else is to change the statistics meanwhile.
    let server = primary().setting("autovacuum", "off").start().unwrap();
    let mut loader = Loader::new(&server);
    let dates = Dates::of(&mut loader.session);
    let load = dates.statement(2 * ROWS_A_MONTH, "1, 3");
    for strategy in STRATEGIES {
        for (begin, end, code) in [
            ("BEGIN", "ROLLBACK", None),
            ("BEGIN; SAVEPOINT s", "ROLLBACK TO s; COMMIT", None),
            ("BEGIN; SAVEPOINT s", "CALL operations_test_data('2025-01-01', '2025-01-02', -1)", Some("22023")),
        ] {
            // Anew: the dead rows of a load in place stay until they are vacuumed, and make the month a full one.
            strategy.prepare(&mut loader.session, &dates);
            let before = everything(&mut loader.session);
            run(&mut loader.session, begin);
            assert_eq!(loader.call(&load), [strategy.note(); 2], "{strategy:?}: {begin}");
            let inside = "SELECT count(*) >= $1 FROM operations";
            let all: bool = loader.session.query_one(inside, &[&(2 * ROWS_A_MONTH)]).unwrap().get(0);
            assert!(all, "{strategy:?}: its own transaction does not see the rows");
            match code {
                None => run(&mut loader.session, end),
                Some(code) => {
                    let error = db_error(loader.session.batch_execute(end)).unwrap();
                    assert_eq!(error.code().code(), code, "{strategy:?}: {error:?}");
                    run(&mut loader.session, "ROLLBACK");
                }
            }
            assert_eq!(everything(&mut loader.session), before, "{strategy:?}: {begin} .. {end}");
        }
        // An exception that is caught is a subtransaction, too; so is a block that ends well.
        let block = |end: &str| {
            format!("DO $$ BEGIN BEGIN {load}; {end} EXCEPTION WHEN division_by_zero THEN NULL; END; END $$")
        };
        strategy.prepare(&mut loader.session, &dates);
        let before = everything(&mut loader.session);
        run(&mut loader.session, &block("PERFORM 1 / 0;"));
        assert_eq!(everything(&mut loader.session), before, "{strategy:?}: caught exception");
        let rows = "SELECT count(*) FROM operations";
        let former: i64 = value(&mut loader.session, rows).unwrap();
        run(&mut loader.session, &block(""));
        assert_eq!(value::<i64>(&mut loader.session, rows).unwrap(), former + 2 * ROWS_A_MONTH, "{strategy:?}");
        expect_sound(&mut loader.session);
    }
}

#[test]
fn one_transaction_loads_again_and_again() {
    // Nobody else is to change the statistics meanwhile.
    let server = primary().setting("autovacuum", "off").start().unwrap();
    let mut loader = Loader::new(&server);
    let dates = Dates::of(&mut loader.session);
    let load = dates.statement(2 * ROWS_A_MONTH, "NULL, 3");
    let few = dates.statement(40, "NULL, 3");
    let rows = "SELECT count(*) FROM operations";

    // What was loaded a moment before decides the strategy of what follows, also where nobody else sees it.
    let (new, grown, full) = (Strategy::New.note(), Strategy::Grown.note(), Strategy::Full.note());
    Strategy::New.prepare(&mut loader.session, &dates);
    run(&mut loader.session, "BEGIN");
    assert_eq!(loader.call(&few), [new; 2]);
    run(&mut loader.session, "SAVEPOINT s");
    assert_eq!(loader.call(&load), [grown; 2]);
    run(&mut loader.session, "ROLLBACK TO s");
    assert_eq!(value::<i64>(&mut loader.session, rows).unwrap(), 40);
    expect_indexes_match(&mut loader.session);
    // The dead rows are still there.
    assert_eq!(loader.call(&load), [full; 2]);
    assert_eq!(loader.call(&load), [full; 2]);
    run(&mut loader.session, "COMMIT");
    assert_eq!(value::<i64>(&mut loader.session, rows).unwrap(), 4 * ROWS_A_MONTH + 40);
    expect_sound(&mut loader.session);

    // TRUNCATE gives a partition another file, which the load replaces once more.
    let before = everything(&mut loader.session);
    run(&mut loader.session, "BEGIN; TRUNCATE operations");
    assert_eq!(loader.call(&load), [new; 2]);
    assert_eq!(value::<i64>(&mut loader.session, rows).unwrap(), 2 * ROWS_A_MONTH);
    expect_indexes_match(&mut loader.session);
    run(&mut loader.session, "ROLLBACK");
    assert_eq!(everything(&mut loader.session), before);
    expect_sound(&mut loader.session);
    run(&mut loader.session, "BEGIN; TRUNCATE operations; SAVEPOINT s");
    loader.call(&load);
    run(&mut loader.session, "ROLLBACK TO s");
    assert_eq!(value::<i64>(&mut loader.session, rows).unwrap(), 0);
    loader.call(&load);
    run(&mut loader.session, "COMMIT");
    assert_eq!(value::<i64>(&mut loader.session, rows).unwrap(), 2 * ROWS_A_MONTH);
    expect_sound(&mut loader.session);
}

/// A row that has an id of the block, in each way that looks into an index that has it.
#[test]
fn an_id_that_is_taken_fails_the_load() {
    let server = primary().setting("autovacuum", "off").start().unwrap();
    let mut loader = Loader::new(&server);
    let dates = Dates::of(&mut loader.session);
    for strategy in [Strategy::Grown, Strategy::Full] {
        strategy.prepare(&mut loader.session, &dates);
        // The last row of the load, which is of the last day.
        let taken = format!(
            "INSERT INTO operations (id, operation_date, operation_guid, client_id, operation_type, amount, message) \
             OVERRIDING SYSTEM VALUE SELECT last_value + {}, '{}', gen_random_uuid(), 1, 'online', 1, '{{}}' \
             FROM operations_id_seq",
            2 * ROWS_A_MONTH,
            dates.last_day,
        );
        run(&mut loader.session, &taken);
        let before = everything(&mut loader.session);
        let load = dates.statement(2 * ROWS_A_MONTH, "1, 3");
        let error = db_error(loader.session.batch_execute(&load)).unwrap();
        assert_eq!(error.code().code(), "23505", "{strategy:?}: {error:?}");
        assert_eq!(everything(&mut loader.session), before, "{strategy:?}");
        assert_eq!(text(&mut loader.session, LEFT_OVER).unwrap(), "");
    }
}

/// The file of a table must not be taken away from a cursor that reads it.
#[test]
fn a_cursor_that_is_open_reads_on() {
    let server = primary().start().unwrap();
    let mut loader = Loader::new(&server);
    let dates = Dates::of(&mut loader.session);
    let partition = &dates.partitions[0];
    for strategy in [Strategy::Empty, Strategy::Grown, Strategy::Full] {
        strategy.prepare(&mut loader.session, &dates);
        let rows: i64 = value(&mut loader.session, &format!("SELECT count(*) FROM {partition}")).unwrap();
        for indexes in [true, false] {
            let scan = if indexes { "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off" } else { "" };
            run(
                &mut loader.session,
                &format!(
                    "BEGIN; {scan}; DECLARE c CURSOR FOR SELECT id FROM {partition} WHERE operation_date > '2000-01-01'"
                ),
            );
            let mut read = loader.session.query("FETCH 10 FROM c", &[]).unwrap().len();
            loader.call(&dates.statement(2 * ROWS_A_MONTH, "1, 3"));
            let rest = loader.session.query("FETCH ALL FROM c", &[]).map_err(operations_cluster::Error::from);
            read += rest.unwrap_or_else(|error| panic!("{strategy:?}, indexes {indexes}: {error}")).len();
            assert_eq!(i64::try_from(read).unwrap(), rows, "{strategy:?}, indexes {indexes}");
            run(&mut loader.session, "ROLLBACK");
        }
    }
}

/// Where a session wants its tables is not where the partition is.
#[test]
fn default_tablespace_matters_to_new_months_only() {
    let server = primary().setting("allow_in_place_tablespaces", "on").start().unwrap();
    let mut loader = Loader::new(&server);
    let dates = Dates::of(&mut loader.session);
    run(&mut loader.session, "CREATE TABLESPACE elsewhere LOCATION ''");
    run(&mut loader.session, "SET default_tablespace = elsewhere");
    for strategy in [Strategy::Empty, Strategy::Grown, Strategy::Full, Strategy::New] {
        run(&mut loader.session, "SET default_tablespace = ''");
        strategy.prepare(&mut loader.session, &dates);
        run(&mut loader.session, "SET default_tablespace = elsewhere");
        loader.call(&dates.statement(2 * ROWS_A_MONTH, "1, 3"));
        let rows: i64 = value(&mut loader.session, "SELECT count(*) FROM operations").unwrap();
        assert!(rows >= 2 * ROWS_A_MONTH, "{strategy:?}: {rows}");
        expect_sound(&mut loader.session);
        run(&mut loader.session, "SET default_tablespace = elsewhere");
        loader.call(&dates.statement(2 * ROWS_A_MONTH, "1, 3"));
        expect_sound(&mut loader.session);
    }
}
