//! Every way gives row by row what COPY gives, in tables and indexes like those that the extension makes.

use operations_cluster::expect::run;
use operations_cluster::{text, value};
use postgres::Client;

use crate::common::{Dates, LEFT_OVER, Loader, ROWS_A_MONTH, STRATEGIES, Strategy, expect_sound, primary};

const SEED: i64 = 4711;

/// All that was loaded last, the ids counted from the first one. @first@ is that.
const LOADED: &str = "SELECT id - @first@ AS n, operation_date, operation_guid, client_id, operation_type, amount, status, \
                      message FROM operations WHERE id >= @first@";

/// What tells partitions apart, their names and months left out. $1 is the partition.
const LIKENESS: &str = "
    WITH t AS (SELECT * FROM pg_class WHERE oid = $1::text::regclass), r AS (
        SELECT format('table %s %s %s %s %s %s %s %s %s %s', relowner::regrole, relacl, reloptions, relpersistence, relreplident,
                      reltablespace, relam, relispartition, relhastriggers, obj_description(oid, 'pg_class')) AS line FROM t
        UNION ALL
        SELECT format('toast %s %s %s', c.reloptions, c.relowner::regrole, c.reltablespace)
        FROM t JOIN pg_class c ON c.oid = t.reltoastrelid
        UNION ALL
        SELECT format('column %s %s %s %s %s %s %s %s %s %s %s %s %s', a.attnum, a.attname, format_type(a.atttypid, a.atttypmod),
                      a.attnotnull, a.attstorage, a.attcompression, a.attidentity, a.attgenerated, a.attislocal, a.attinhcount,
                      a.attstattarget, pg_get_expr(d.adbin, d.adrelid), col_description(t.oid, a.attnum))
        FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0
        LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum
        UNION ALL
        SELECT format('index %s %s %s %s %s %s %s %s %s', pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisready, i.indislive,
                      i.indcheckxmin, c.relowner::regrole, c.reloptions, obj_description(c.oid, 'pg_class'),
                      (SELECT inhparent::regclass FROM pg_inherits WHERE inhrelid = c.oid))
        FROM t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class c ON c.oid = i.indexrelid
        UNION ALL
        SELECT format('constraint %s %s %s %s %s %s', k.conname, pg_get_constraintdef(k.oid), k.conislocal, k.coninhcount,
                      k.convalidated, (SELECT conname FROM pg_constraint WHERE oid = k.conparentid))
        FROM t JOIN pg_constraint k ON k.conrelid = t.oid
        UNION ALL
        SELECT format('trigger %s %s %s %s', pg_get_triggerdef(g.oid), g.tgenabled, g.tgisinternal,
                      (SELECT tgname FROM pg_trigger WHERE oid = g.tgparentid))
        FROM t JOIN pg_trigger g ON g.tgrelid = t.oid
        UNION ALL
        SELECT format('depends %s %s %s %s', classid::regclass, refclassid::regclass, deptype, count(*))
        FROM pg_depend
        WHERE (classid, objid) IN (SELECT 'pg_class'::regclass, oid FROM t
                                   UNION ALL SELECT 'pg_class'::regclass, indexrelid FROM pg_index i JOIN t ON indrelid = t.oid
                                   UNION ALL SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint k JOIN t ON conrelid = t.oid)
        GROUP BY classid, refclassid, deptype
    )
    SELECT replace(replace(string_agg(line, E'\\n' ORDER BY line), (SELECT relname FROM t), 'PARTITION'),
                   replace(substr((SELECT relname FROM t), 12), '_', '-'), 'MONTH')
    FROM r";

fn likeness(session: &mut Client, partition: &str) -> String {
    session.query_one(LIKENESS, &[&partition]).unwrap().get(0)
}

/// Keeps what COPY loads as the table `expected`, and what a partition of the extension's own is like.
fn keep_expected(loader: &mut Loader, dates: &Dates) -> String {
    Strategy::Copy.prepare(&mut loader.session, dates);
    let strategies = loader.call(&dates.statement(2 * ROWS_A_MONTH, &SEED.to_string()));
    assert_eq!(strategies, [Strategy::Copy.note(); 2]);
    let first: i64 = value(&mut loader.session, "SELECT min(id) FROM operations").unwrap();
    let loaded = LOADED.replace("@first@", &first.to_string());
    run(&mut loader.session, &format!("CREATE UNLOGGED TABLE expected AS {loaded}; ANALYZE expected"));
    Strategy::Empty.prepare(&mut loader.session, dates);
    likeness(&mut loader.session, &dates.partitions[0])
}

#[test]
fn every_way_gives_what_copy_gives() {
    let server = primary().start().unwrap();
    let mut loader = Loader::new(&server);
    let dates = Dates::of(&mut loader.session);
    run(&mut loader.session, "SET work_mem = '256MB'");
    let usual = keep_expected(&mut loader, &dates);
    for strategy in STRATEGIES {
        // COPY has no workers.
        for workers in if strategy == Strategy::Copy { vec![3] } else { vec![1, 3] } {
            let case = format!("{strategy:?} in {workers}");
            strategy.prepare(&mut loader.session, &dates);
            let last = "SELECT last_value FROM operations_id_seq";
            let before: i64 = value(&mut loader.session, last).unwrap();
            let called = value::<bool>(&mut loader.session, "SELECT is_called FROM operations_id_seq").unwrap();
            let first = before + i64::from(called);
            let strategies = loader.call(&dates.statement(2 * ROWS_A_MONTH, &format!("{SEED}, {workers}")));
            assert_eq!(strategies, [strategy.note(); 2], "{case}");
            expect_rows(&mut loader.session, first, &case);
            expect_like_others(&mut loader.session, &dates, strategy, &usual, &case);
            expect_sound(&mut loader.session);
            // Ids go on behind the block.
            run(&mut loader.session, "CALL operation_insert_one()");
            let newest = "SELECT id FROM operations WHERE operation_date = current_date";
            assert_eq!(value::<i64>(&mut loader.session, newest).unwrap(), first + 2 * ROWS_A_MONTH, "{case}");
            run(&mut loader.session, "CALL change_status(1000)");
            assert_eq!(text(&mut loader.session, "SELECT * FROM operations_verify_rollup()").unwrap(), "");
            run(&mut loader.session, "SET work_mem = '256MB'");
            run(&mut loader.session, "VACUUM (FREEZE) operations");
            let ages = "SELECT bool_and(age(relfrozenxid) BETWEEN 0 AND 1000) FROM pg_class \
                        WHERE relkind = 'r' AND relispartition";
            assert!(value::<bool>(&mut loader.session, ages).unwrap(), "{case}");
        }
    }
}

/// What the catalogs are compared with is not to be written otherwise for a session.
#[test]
fn how_a_session_writes_names_and_strings_does_not_change_the_way_of_a_load() {
    let server = primary().start().unwrap();
    let mut loader = Loader::new(&server);
    let dates = Dates::of(&mut loader.session);
    for setting in ["quote_all_identifiers = on", "standard_conforming_strings = off"] {
        run(&mut loader.session, &format!("SET {setting}"));
        for strategy in [Strategy::New, Strategy::Empty, Strategy::Grown] {
            strategy.prepare(&mut loader.session, &dates);
            assert_eq!(
                loader.call(&dates.statement(2 * ROWS_A_MONTH, "1")),
                [strategy.note(); 2],
                "{setting}, {strategy:?}"
            );
        }
        run(&mut loader.session, "RESET ALL");
    }
}

/// The rows that have an id from `first` on are those of `expected`.
#[track_caller]
fn expect_rows(session: &mut Client, first: i64, case: &str) {
    let loaded = LOADED.replace("@first@", &first.to_string());
    let difference = format!(
        "SELECT (SELECT count(*) FROM (({loaded}) EXCEPT ALL TABLE expected) a), \
                (SELECT count(*) FROM (TABLE expected EXCEPT ALL ({loaded})) b)"
    );
    assert_eq!(text(session, &difference).unwrap(), "0|0", "{case}");
    let count = format!("SELECT count(*) FROM operations WHERE id >= {first}");
    assert_eq!(value::<i64>(session, &count).unwrap(), 2 * ROWS_A_MONTH, "{case}");
}

/// The partitions are like `usual`, and the planner and vacuum know what is in them.
#[track_caller]
fn expect_like_others(session: &mut Client, dates: &Dates, strategy: Strategy, usual: &str, case: &str) {
    for partition in &dates.partitions {
        if strategy == Strategy::Copy {
            continue; // It has a constraint more, which is what makes it COPY.
        }
        assert_eq!(likeness(session, partition), usual, "{case}: {partition}");
        let known = format!(
            "SELECT abs(reltuples / (SELECT count(*) FROM {partition}) - 1) < 0.1, \
                    relpages = pg_relation_size(oid) / 8192, \
                    (SELECT count(*) FROM pg_stats WHERE tablename = c.relname), \
                    age(relfrozenxid) BETWEEN 0 AND 10000, \
                    (SELECT bool_and(reltuples > 0.9 * {ROWS_A_MONTH} AND relpages > 20) FROM pg_class \
                     WHERE oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = c.oid)) \
             FROM pg_class c WHERE relname = '{partition}'"
        );
        assert_eq!(text(session, &known).unwrap(), "t|t|8|t|t", "{case}: {partition}");
        if matches!(strategy, Strategy::New | Strategy::Empty) {
            let others = format!("SELECT relpages - relallvisible FROM pg_class WHERE relname = '{partition}'");
            assert_eq!(
                value::<i32>(session, &others).unwrap(),
                0,
                "{case}: pages of {partition} that are not all visible"
            );
        }
    }
    assert_eq!(text(session, LEFT_OVER).unwrap(), "");
}
