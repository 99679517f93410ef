//! Loads and the transactions of others: snapshots, isolation, locks in an unlucky order.

use operations_cluster::expect::run;
use operations_cluster::value;

use crate::common::{Dates, Load, Loader, ROWS_A_MONTH, Strategy, expect_sound, primary, wait_for_load};

#[test]
fn an_older_snapshot_does_not_see_what_is_loaded_in_place() {
    let server = primary().start().unwrap();
    let mut loader = Loader::new(&server);
    let dates = Dates::of(&mut loader.session);
    let count = "SELECT count(*) FROM operations";
    for strategy in [Strategy::Grown, Strategy::Full, Strategy::Copy] {
        strategy.prepare(&mut loader.session, &dates);
        let former: i64 = value(&mut loader.session, count).unwrap();
        let mut reader = server.session().unwrap();
        run(&mut reader, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
        assert_eq!(loader.call(&dates.statement(2 * ROWS_A_MONTH, "1, 3")), [strategy.note(); 2], "{strategy:?}");
        assert_eq!(value::<i64>(&mut reader, count).unwrap(), former, "{strategy:?}");
        // By the indexes, too, which were made anew after the snapshot was taken.
        run(&mut reader, "SET enable_seqscan = off");
        let by_index = "SELECT count(*) FROM operations WHERE status IN (0, 1) AND id > 0";
        assert_eq!(value::<i64>(&mut reader, by_index).unwrap(), former, "{strategy:?}");
        run(&mut reader, "COMMIT");
        expect_sound(&mut loader.session);
    }
}

#[test]
fn a_serializable_load_and_one_without_workers() {
    let server = primary().setting("max_parallel_workers", "0").start().unwrap();
    let mut loader = Loader::new(&server);
    let dates = Dates::of(&mut loader.session);
    for strategy in [Strategy::New, Strategy::Empty, Strategy::Grown, Strategy::Full] {
        strategy.prepare(&mut loader.session, &dates);
        run(&mut loader.session, "BEGIN ISOLATION LEVEL SERIALIZABLE");
        assert_eq!(loader.call(&dates.statement(2 * ROWS_A_MONTH, "1, 3")), ["in place"; 2], "{strategy:?}");
        run(&mut loader.session, "COMMIT");
        expect_sound(&mut loader.session);
        strategy.prepare(&mut loader.session, &dates);
        assert_eq!(loader.call(&dates.statement(2 * ROWS_A_MONTH, "1, 3")), [strategy.note(); 2], "{strategy:?}");
        expect_sound(&mut loader.session);
    }
}

/// One has locked the month with few rows and waits to attach the new one; for the other, which began before, that month
/// was empty.
#[test]
fn two_loads_that_see_a_month_differently_both_succeed() {
    let server = primary().start().unwrap();
    let mut session = server.session().unwrap();
    let dates = Dates::of(&mut session);
    Strategy::New.prepare(&mut session, &dates);
    // The first month is there and empty, the second is not.
    run(&mut session, "CALL operations_maintain_partitions(2)");
    let load = Load::start(&server, "", dates.statement(600_000, "1, 1"));
    wait_for_load(&load, &mut session, |seen| seen.phase == "inserting rows" && seen.rows_done > 50_000).unwrap();
    let insert = format!(
        "INSERT INTO operations (operation_date, operation_guid, client_id, operation_type, amount, status, message) \
         VALUES ('{}', gen_random_uuid(), 1, 'online', 1, 1, '{{}}')",
        dates.first_day,
    );
    run(&mut session, &insert);
    let days = format!("'{0}'::date + 5, '{0}'::date + 35", dates.first_day);
    let other = Load::start(&server, "", format!("CALL operations_test_data({days}, 300000, 2, 1)"));
    other.succeed();
    load.succeed();
    let rows: i64 = value(&mut session, "SELECT count(*) FROM operations").unwrap();
    assert_eq!(rows, 900_001);
    expect_sound(&mut session);
}
