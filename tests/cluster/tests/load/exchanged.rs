//! What may follow in the session that gave partitions the files of a load: in the same transaction, after a savepoint, later.

use operations_cluster::expect::{CONTENTS, LIVE_DIFFERENCE, run, wait_blocked};
use operations_cluster::{Server, text, value};
use postgres::Client;

use crate::common::{Loader, ROWS_A_MONTH, Strategy, drop_months, expect_sound, primary};

/// More than PostgreSQL remembers one by one (32 relations, of which a month has three).
const MANY: i64 = 12;

/// The months after the current one: empty partitions, and a load into all of them.
struct Months {
    load: String,
    partitions: Vec<String>,
    rows: i64,
}

impl Months {
    fn prepare(session: &mut Client, count: i64) -> Self {
        drop_months(session);
        run(session, &format!("CALL operations_maintain_partitions({count})"));
        // With fewer than 10,000 a partition is filled in place.
        let rows = 12_000 * count;
        let load = format!(
            "SELECT format('CALL operations_test_data(%L, %L, {rows}, 1)', (m + '1 month')::date, \
                           (m + '{} months')::date - 1) \
             FROM date_trunc('month', current_date) AS t(m)",
            count + 1
        );
        let partitions = "SELECT string_agg(inhrelid::regclass::text, ' ' ORDER BY inhrelid::regclass::text) \
                          FROM pg_inherits WHERE inhparent = 'operations'::regclass \
                          AND inhrelid::regclass::text <> to_char(current_date, '\"operations_\"YYYY_MM')";
        let load = text(session, &load).unwrap();
        let partitions: Vec<_> = text(session, partitions).unwrap().split(' ').map(str::to_owned).collect();
        assert_eq!(i64::try_from(partitions.len()).unwrap(), count, "{partitions:?}");
        Self { load, partitions, rows }
    }

    fn load(&self, loader: &mut Loader) {
        assert_eq!(loader.call(&self.load), vec![Strategy::Empty.note(); self.partitions.len()]);
    }

    fn each(&self, statement: &str) -> String {
        self.partitions.iter().map(|partition| format!("{statement} {partition};")).collect()
    }
}

fn rows(session: &mut Client) -> i64 {
    value(session, "SELECT count(*) FROM operations").unwrap()
}

/// The rows as this session sees them and as a new one does, their sums, their indexes.
#[track_caller]
fn expect_rows(server: &Server, session: &mut Client, expected: i64, what: &str) {
    for (whose, session) in [("its", session), ("a new", &mut server.session().unwrap())] {
        assert_eq!(rows(session), expected, "{what}: {whose} session");
        assert_eq!(session.query(LIVE_DIFFERENCE, &[]).unwrap().len(), 0, "{what}: {whose} session");
        expect_sound(session);
    }
}

#[test]
fn what_is_done_to_a_loaded_month_later_can_be_taken_back() {
    let server = primary().start().unwrap();
    for count in [1, 5, MANY] {
        let mut loader = Loader::new(&server);
        let months = Months::prepare(&mut loader.session, count);
        months.load(&mut loader);
        let before = text(&mut loader.session, CONTENTS).unwrap();
        for statement in ["TRUNCATE", "DROP TABLE", "ALTER TABLE operations DETACH PARTITION", "DELETE FROM"] {
            run(&mut loader.session, &format!("BEGIN; {} ROLLBACK", months.each(statement)));
            expect_rows(&server, &mut loader.session, months.rows, &format!("{count} months, {statement}"));
            assert_eq!(text(&mut loader.session, CONTENTS).unwrap(), before, "{count} months, {statement}");
        }
        run(&mut loader.session, &months.each("TRUNCATE"));
        expect_rows(&server, &mut loader.session, 0, &format!("{count} months, TRUNCATE"));
        months.load(&mut loader);
        run(&mut loader.session, &months.each("DROP TABLE"));
        expect_rows(&server, &mut loader.session, 0, &format!("{count} months, DROP TABLE"));
    }
}

#[test]
fn savepoints_take_back_what_came_after_them() {
    let server = primary().start().unwrap();
    let mut loader = Loader::new(&server);
    for count in [1, MANY] {
        for (what, begin, then, loaded) in [
            ("a load taken back", "BEGIN; SAVEPOINT a", "ROLLBACK TO a; TRUNCATE; COMMIT", 0),
            ("a load taken back, all taken back", "BEGIN; SAVEPOINT a", "ROLLBACK TO a; TRUNCATE; ROLLBACK", 0),
            ("TRUNCATE taken back", "BEGIN", "SAVEPOINT a; TRUNCATE; ROLLBACK TO a; COMMIT", 1),
            ("DROP taken back", "BEGIN", "SAVEPOINT a; DROP TABLE; ROLLBACK TO a; COMMIT", 1),
            (
                "TRUNCATE taken back, released",
                "BEGIN; SAVEPOINT a",
                "RELEASE a; SAVEPOINT b; TRUNCATE; ROLLBACK TO b; COMMIT",
                1,
            ),
            (
                "TRUNCATE released, taken back",
                "BEGIN; SAVEPOINT a",
                "SAVEPOINT b; TRUNCATE; RELEASE b; ROLLBACK TO a; COMMIT",
                0,
            ),
            ("TRUNCATE and load", "BEGIN; SAVEPOINT a", "TRUNCATE; LOAD; RELEASE a; COMMIT", 1),
            ("TRUNCATE and a load taken back", "BEGIN", "SAVEPOINT a; TRUNCATE; LOAD; ROLLBACK TO a; COMMIT", 1),
            ("TRUNCATE", "BEGIN", "TRUNCATE; COMMIT", 0),
            ("TRUNCATE, all taken back", "BEGIN", "TRUNCATE; ROLLBACK", 0),
        ] {
            let months = Months::prepare(&mut loader.session, count);
            run(&mut loader.session, begin);
            months.load(&mut loader);
            for statement in then.split("; ") {
                match statement {
                    "LOAD" => months.load(&mut loader),
                    "TRUNCATE" | "DROP TABLE" => run(&mut loader.session, &months.each(statement)),
                    other => run(&mut loader.session, other),
                }
            }
            let expected = loaded * months.rows;
            expect_rows(&server, &mut loader.session, expected, &format!("{count} months, {what}"));
            run(&mut loader.session, &format!("BEGIN; {} ROLLBACK", months.each("TRUNCATE")));
            expect_rows(&server, &mut loader.session, expected, &format!("{count} months, {what}, then TRUNCATE"));
            if expected == 0 {
                months.load(&mut loader);
                expect_rows(&server, &mut loader.session, months.rows, &format!("{count} months, {what}, then a load"));
            }
        }
    }
}

#[test]
fn sums_follow_a_truncate_in_the_transaction_of_the_load() {
    let server = primary().start().unwrap();
    let mut loader = Loader::new(&server);
    for end in ["COMMIT", "ROLLBACK"] {
        for done_before in [false, true] {
            let months = Months::prepare(&mut loader.session, 5);
            let what = format!("{end}, done before: {done_before}");
            if done_before {
                months.load(&mut loader);
                run(&mut loader.session, "CALL change_status(1000)");
                run(&mut loader.session, &format!("BEGIN; {}", months.each("TRUNCATE")));
            } else {
                run(&mut loader.session, "BEGIN");
            }
            months.load(&mut loader);
            run(&mut loader.session, "UPDATE operations SET status = 1 WHERE id % 3 = 0");
            assert_eq!(loader.session.query(LIVE_DIFFERENCE, &[]).unwrap().len(), 0, "{what}: loaded");
            run(&mut loader.session, &months.each("TRUNCATE"));
            assert_eq!(loader.session.query(LIVE_DIFFERENCE, &[]).unwrap().len(), 0, "{what}: truncated");
            run(&mut loader.session, end);
            let expected = if done_before && end == "ROLLBACK" { months.rows } else { 0 };
            expect_rows(&server, &mut loader.session, expected, &what);
            run(&mut loader.session, "CALL change_status(1000)");
            expect_rows(&server, &mut loader.session, expected, &what);
        }
    }
}

#[test]
fn a_server_that_logs_little_keeps_it_through_a_crash() {
    let mut server = primary()
        .setting("wal_level", "minimal")
        .setting("max_wal_senders", "0")
        .setting("wal_skip_threshold", "0")
        .start()
        .unwrap();
    for (then, loaded) in [
        ("COMMIT", 1),
        ("TRUNCATE; COMMIT", 0),
        ("TRUNCATE; LOAD; COMMIT", 1),
        ("SAVEPOINT a; TRUNCATE; ROLLBACK TO a; COMMIT", 1),
        ("COMMIT; BEGIN; TRUNCATE; ROLLBACK", 1),
    ] {
        let mut loader = Loader::new(&server);
        let months = Months::prepare(&mut loader.session, MANY);
        run(&mut loader.session, "BEGIN");
        months.load(&mut loader);
        for statement in then.split("; ") {
            match statement {
                "LOAD" => months.load(&mut loader),
                "TRUNCATE" => run(&mut loader.session, &months.each(statement)),
                other => run(&mut loader.session, other),
            }
        }
        expect_rows(&server, &mut loader.session, loaded * months.rows, then);
        let before = text(&mut loader.session, CONTENTS).unwrap();
        server.kill_all().unwrap();
        server.start().unwrap();
        let mut session = server.session().unwrap();
        assert_eq!(text(&mut session, CONTENTS).unwrap(), before, "{then}");
        expect_rows(&server, &mut session, loaded * months.rows, then);
    }
}

/// A session that falls behind with what others change forgets all that it keeps of the catalogs, but not what it did itself.
#[test]
fn a_session_whose_caches_are_reset_in_between_still_can_take_it_back() {
    let server = primary().setting("max_locks_per_transaction", "1000").start().unwrap();
    let mut other = server.session().unwrap();
    run(&mut other, "SELECT pg_advisory_lock(1)");
    for (count, then, loaded) in [(1, "COMMIT", 1), (MANY, "COMMIT", 1), (1, "ROLLBACK", 0), (MANY, "ROLLBACK", 0)] {
        let mut loader = Loader::new(&server);
        let months = Months::prepare(&mut loader.session, count);
        let pid: i32 = value(&mut loader.session, "SELECT pg_backend_pid()").unwrap();
        run(&mut loader.session, "BEGIN");
        months.load(&mut loader);
        std::thread::scope(|scope| {
            // While it waits here it takes no notice of others.
            let waiting = scope.spawn(|| run(&mut loader.session, "SELECT pg_advisory_lock(1), pg_advisory_unlock(1)"));
            wait_blocked(&server, &[pid]);
            run(
                &mut other,
                "DO $$ BEGIN FOR i IN 1..1000 LOOP EXECUTE format('CREATE TABLE noise_%s (a int)', i); END LOOP; END $$; \
                 DO $$ BEGIN FOR i IN 1..1000 LOOP EXECUTE format('DROP TABLE noise_%s', i); END LOOP; END $$; \
                 SELECT pg_advisory_unlock(1)",
            );
            waiting.join().unwrap();
        });
        run(&mut other, "SELECT pg_advisory_lock(1)");
        let truncate = format!("SAVEPOINT a; {} ROLLBACK TO a", months.each("TRUNCATE"));
        run(&mut loader.session, &truncate);
        assert_eq!(rows(&mut loader.session), months.rows, "{count} months");
        run(&mut loader.session, then);
        run(&mut loader.session, &format!("BEGIN; {} ROLLBACK", months.each("TRUNCATE")));
        expect_rows(&server, &mut loader.session, loaded * months.rows, &format!("{count} months, {then}"));
    }
}

/// As many rows as two processes share, in place, and what follows.
#[test]
fn a_month_that_was_filled_in_place_can_be_taken_back_too() {
    let server = primary().start().unwrap();
    let mut loader = Loader::new(&server);
    let dates = crate::common::Dates::of(&mut loader.session);
    for strategy in [Strategy::New, Strategy::Empty, Strategy::Grown, Strategy::Full] {
        strategy.prepare(&mut loader.session, &dates);
        assert_eq!(loader.call(&dates.statement(2 * ROWS_A_MONTH, "1, 3")), [strategy.note(); 2]);
        let before = text(&mut loader.session, CONTENTS).unwrap();
        for statement in ["TRUNCATE", "DROP TABLE"] {
            let statements: String = dates.partitions.iter().map(|name| format!("{statement} {name};")).collect();
            run(&mut loader.session, &format!("BEGIN; {statements} ROLLBACK"));
            assert_eq!(text(&mut loader.session, CONTENTS).unwrap(), before, "{strategy:?}, {statement}");
            assert_eq!(text(&mut server.session().unwrap(), CONTENTS).unwrap(), before, "{strategy:?}, {statement}");
        }
        expect_sound(&mut loader.session);
    }
}
