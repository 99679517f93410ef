//! Ids: a load takes a block, nobody gets one of it, and none is given twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use operations_cluster::expect::{SOON, expect_indexes_match, run};
use operations_cluster::{DATABASE, Stop, db_error, text, value, wait_until};

use crate::common::{Dates, Loader, ROWS_A_MONTH, expect_sound, primary};

const INSERT: &str = "INSERT INTO operations (operation_date, operation_guid, client_id, operation_type, amount, message) \
    VALUES (current_date, gen_random_uuid(), 1, 'online', 1, '{}')";

#[test]
fn loads_and_inserts_at_once_share_no_id() {
    let server = primary().start().unwrap();
    let mut session = server.session().unwrap();
    let dates = Dates::of(&mut session);
    let stop = Arc::new(AtomicBool::new(false));
    let inserters: Vec<_> = ["CALL operation_insert_one()", INSERT]
        .into_iter()
        .map(|statement| {
            let (mut session, stop) = (server.session().unwrap(), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    run(&mut session, statement);
                    count += 1;
                }
                count
            })
        })
        .collect();
    let loaders: Vec<_> = (0..2)
        .map(|seed| {
            let (mut session, dates) = (server.session().unwrap(), dates.clone());
            std::thread::spawn(move || {
                for round in 0..20 {
                    dates.call(&mut session, 500, &format!("{}, 2", 100 * seed + round));
                }
            })
        })
        .collect();
    loaders.into_iter().for_each(|loader| loader.join().unwrap());
    stop.store(true, Ordering::Relaxed);
    let inserted: i64 = inserters.into_iter().map(|inserter| inserter.join().unwrap()).sum();
    let ids = "SELECT count(*), count(DISTINCT id) FROM operations";
    let all = 2 * 20 * 500 + inserted;
    assert!(inserted > 20, "{inserted} rows inserted meanwhile");
    assert_eq!(text(&mut session, ids).unwrap(), format!("{all}|{all}"));
    expect_sound(&mut session);
}

#[test]
fn a_load_that_is_rolled_back_leaves_a_gap_and_nothing_else() {
    let server = primary().start().unwrap();
    let mut loader = Loader::new(&server);
    let dates = Dates::of(&mut loader.session);
    let newest = "SELECT max(id) FROM operations WHERE operation_date = current_date";
    run(&mut loader.session, INSERT);
    let before: i64 = value(&mut loader.session, newest).unwrap();
    run(&mut loader.session, "BEGIN");
    loader.call(&dates.statement(5_000, "1"));
    run(&mut loader.session, "ROLLBACK");
    run(&mut loader.session, INSERT);
    assert_eq!(value::<i64>(&mut loader.session, newest).unwrap(), before + 5_000 + 1);
    // A sequence that nobody has asked yet begins with its first number.
    run(&mut loader.session, "ALTER TABLE operations ALTER COLUMN id RESTART WITH 1000000");
    loader.call(&dates.statement(5_000, "1"));
    run(&mut loader.session, INSERT);
    let ids = "SELECT min(id), max(id) FROM operations WHERE id > 500000";
    assert_eq!(text(&mut loader.session, ids).unwrap(), "1000000|1005000");
}

#[test]
fn ids_end_where_the_sequence_ends() {
    let server = primary().start().unwrap();
    let mut loader = Loader::new(&server);
    let dates = Dates::of(&mut loader.session);
    run(
        &mut loader.session,
        "ALTER TABLE operations ALTER COLUMN id SET MAXVALUE 20000; SET client_min_messages = debug1",
    );
    loader.call(&dates.statement(12_000, "1"));
    let error = db_error(loader.session.batch_execute(&dates.statement(12_000, "2"))).unwrap();
    assert_eq!(error.code().code(), "2200H", "{error:?}");
    let heard = loader.heard();
    assert!(heard.iter().any(|line| line.contains("uses COPY: the identity of")), "{heard:?}");
    // That load has taken what there was. One that fits takes the last id, and then there is none.
    run(&mut loader.session, "ALTER TABLE operations ALTER COLUMN id RESTART WITH 12001");
    loader.call(&dates.statement(8_000, "3"));
    assert_eq!(text(&mut loader.session, "SELECT count(*), max(id) FROM operations").unwrap(), "20000|20000");
    let error = db_error(loader.session.batch_execute(INSERT)).unwrap();
    assert_eq!(error.code().code(), "2200H", "{error:?}");
}

#[test]
fn no_id_is_given_twice_after_a_crash_nor_after_a_promotion() {
    let mut primary = primary().start().unwrap();
    let replica = primary.replica().start().unwrap();
    let mut session = primary.session().unwrap();
    let dates = Dates::of(&mut session);
    let next = "SELECT nextval('operations_id_seq')";
    // Asked a few times before, so that the log is ahead of the sequence.
    for _ in 0..5 {
        value::<i64>(&mut session, next).unwrap();
    }
    run(&mut session, "CHECKPOINT");
    dates.call(&mut session, 2 * ROWS_A_MONTH, "1, 3");
    let last: i64 = value(&mut session, "SELECT max(id) FROM operations").unwrap();
    primary.kill_all().unwrap();
    primary.start().unwrap();
    let mut session = primary.session().unwrap();
    assert_eq!(value::<i64>(&mut session, "SELECT count(*) FROM operations").unwrap(), 2 * ROWS_A_MONTH);
    assert!(value::<i64>(&mut session, next).unwrap() > last);
    dates.call(&mut session, 5_000, "2");
    expect_sound(&mut session);

    let last: i64 = value(&mut session, "SELECT max(id) FROM operations").unwrap();
    wait_until("the replica to stream again", SOON, || {
        primary.wait_for_catchup(&replica).map_err(|error| error.to_string())
    });
    primary.kill_all().unwrap();
    replica.promote().unwrap();
    let mut session = replica.connect(DATABASE).unwrap();
    assert!(value::<i64>(&mut session, next).unwrap() > last);
    dates.call(&mut session, 2 * ROWS_A_MONTH, "3, 3");
    expect_sound(&mut session);
    expect_indexes_match(&mut session);
}

/// What PostgreSQL does not log of a sequence that the transaction made is on the disk when it has committed. A record of the
/// load's, replayed over it, would have the sequence give ids again.
#[test]
fn ids_that_followed_a_load_are_not_given_again_where_wal_is_minimal() {
    let mut server = primary()
        .setting("wal_level", "minimal")
        .setting("max_wal_senders", "0")
        .setting("wal_skip_threshold", "0")
        .setting("checkpoint_timeout", "1h")
        .start()
        .unwrap();
    let last = "SELECT max(id), (SELECT last_value FROM operations_id_seq) FROM operations";
    let mut session = server.session().unwrap();
    run(&mut session, "CHECKPOINT; BEGIN; DROP TABLE operations CASCADE; CALL operations_setup()");
    run(&mut session, "CALL operations_test_data('2025-08-01', '2025-08-31', 1000, 1)");
    run(&mut session, &INSERT.replace("VALUES (", "SELECT ").replace("'{}')", "'{}' FROM generate_series(1, 100)"));
    run(&mut session, "COMMIT");
    assert_eq!(text(&mut session, last).unwrap(), "1100|1100");
    server.restart(Stop::Immediate).unwrap();
    let mut session = server.session().unwrap();
    assert_eq!(text(&mut session, last).unwrap(), "1100|1100");
    run(&mut session, INSERT);
}
