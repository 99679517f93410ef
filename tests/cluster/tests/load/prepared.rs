//! Loads whose transaction is prepared, or commits without waiting for the disk: the note of their files goes when it may.

use operations_cluster::expect::{CONTENTS, run};
use operations_cluster::{text, value};
use postgres::Client;

use crate::common::{Dates, Loader, ORPHANS, ROWS_A_MONTH, Strategy, expect_sound, primary};

const LATER_LOAD: &str = "CALL operations_test_data('2024-01-01', '2024-01-31', 20000, 1)";

/// The notes that loads have taken.
fn notes(session: &mut Client) -> i64 {
    value(session, "SELECT count(*) FROM pg_ls_dir('.') AS file WHERE file ~ '^operations_ext'").unwrap()
}

#[test]
fn a_load_can_be_prepared_and_ended_by_another_session() {
    let mut server = primary().setting("max_prepared_transactions", "5").start().unwrap();
    for strategy in [Strategy::New, Strategy::Empty, Strategy::Grown, Strategy::Full, Strategy::Copy] {
        for end in ["COMMIT PREPARED 'load'", "ROLLBACK PREPARED 'load'"] {
            let mut loader = Loader::new(&server);
            let dates = Dates::of(&mut loader.session);
            strategy.prepare(&mut loader.session, &dates);
            run(&mut loader.session, "CHECKPOINT");
            let before: i64 = value(&mut loader.session, "SELECT count(*) FROM operations").unwrap();
            let has_note = strategy != Strategy::Full;
            run(&mut loader.session, "BEGIN");
            assert_eq!(loader.call(&dates.statement(2 * ROWS_A_MONTH, "1, 2")), [strategy.note(); 2]);
            run(&mut loader.session, "PREPARE TRANSACTION 'load'");
            let what = format!("{strategy:?}, {end}");
            assert_eq!(text(&mut loader.session, "TABLE operations_load_progress").unwrap(), "", "{what}");
            // Another transaction of the same session.
            run(&mut loader.session, "CREATE TABLE another (a integer); DROP TABLE another");
            assert_eq!(notes(&mut loader.session), i64::from(has_note), "{what}: the note of what is prepared is gone");
            // Maintenance meanwhile must not take the files for left behind, but waits where the load has locked operations.
            run(&mut loader.session, "SET lock_timeout = '100ms'");
            let _refused = loader.session.batch_execute("CALL operations_maintain_partitions(0)");
            run(&mut loader.session, "RESET lock_timeout");
            assert_eq!(notes(&mut loader.session), i64::from(has_note), "{what}: maintenance removed the note");
            if end.starts_with("COMMIT") {
                server.kill_all().unwrap();
                server.start().unwrap();
                loader = Loader::new(&server);
                assert_eq!(notes(&mut loader.session), i64::from(has_note), "{what}: after a crash");
            }
            run(&mut server.session().unwrap(), end);
            let expected = if end.starts_with("COMMIT") { before + 2 * ROWS_A_MONTH } else { before };
            assert_eq!(
                value::<i64>(&mut loader.session, "SELECT count(*) FROM operations").unwrap(),
                expected,
                "{what}"
            );
            run(&mut loader.session, LATER_LOAD);
            run(&mut loader.session, "CHECKPOINT");
            assert_eq!(text(&mut loader.session, ORPHANS).unwrap(), "", "{what}");
            assert_eq!(
                value::<i64>(&mut loader.session, "SELECT count(*) FROM operations").unwrap(),
                expected + 20_000,
                "{what}"
            );
            run(&mut loader.session, "BEGIN; TRUNCATE operations; ROLLBACK");
            expect_sound(&mut loader.session);
        }
    }
}

#[test]
fn a_commit_that_does_not_wait_for_the_disk_keeps_the_note() {
    let mut server = primary().setting("wal_writer_delay", "10s").setting("checkpoint_timeout", "1h").start().unwrap();
    let mut outcomes = Vec::new();
    for attempt in 0..4 {
        let mut loader = Loader::new(&server);
        let dates = Dates::of(&mut loader.session);
        // The other ways remove files, for which every commit waits.
        Strategy::Copy.prepare(&mut loader.session, &dates);
        run(&mut loader.session, "CHECKPOINT");
        assert_eq!(text(&mut loader.session, ORPHANS).unwrap(), "");
        run(&mut loader.session, "SET synchronous_commit = off");
        assert_eq!(loader.call(&dates.statement(2 * ROWS_A_MONTH, "1, 1")), [Strategy::Copy.note(); 2]);
        let is_on_disk = "SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()";
        let noted = notes(&mut loader.session) == 1;
        let on_disk: bool = value(&mut loader.session, is_on_disk).unwrap();
        assert!(noted || on_disk, "attempt {attempt}: the note went before the commit was on the disk");
        server.stop(operations_cluster::Stop::Immediate).unwrap();
        server.start().unwrap();
        let mut session = server.session().unwrap();
        let rows: i64 = value(&mut session, "SELECT count(*) FROM operations").unwrap();
        assert!([0, 2 * ROWS_A_MONTH].contains(&rows), "attempt {attempt}: {rows} rows");
        let contents = text(&mut session, CONTENTS).unwrap();
        run(&mut session, "CALL operations_maintain_partitions(0)");
        run(&mut session, "CHECKPOINT");
        assert_eq!(text(&mut session, CONTENTS).unwrap(), contents);
        assert_eq!(text(&mut session, ORPHANS).unwrap(), "", "attempt {attempt}: noted {noted}, {rows} rows");
        expect_sound(&mut session);
        outcomes.push(noted);
    }
    assert!(outcomes.contains(&true), "each commit was on the disk at once: {outcomes:?}");
}
