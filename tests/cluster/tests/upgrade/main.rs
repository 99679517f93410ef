//! From each released version to this one: nothing is lost, and nothing but the version tells an updated database from a new one.
//! A library and objects that do not belong together say so.
//!
//! The library of the release is not built for this. This one stands in for it on the objects of the release: for as long as
//! `pg_extension` names its own version, it takes them for what it knows.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod differ;
mod dropped;
mod majors;

use operations_cluster::expect::{
    AGGREGATE_DIFFERENCE, CONTENTS, LIVE_DIFFERENCE, expect_equal, run, tick, wait_for_runs,
};
use operations_cluster::{DATABASE, Server, repository, text, value};
use operations_lab::release::{LIST, Script, Version, scripts};
use postgres::Client;

const CATALOGS: &str = include_str!("catalogs.sql");

/// All that rows say, and all that is kept beside them.
const ROWS: [&str; 7] = [
    CONTENTS,
    "SELECT md5(string_agg(v::text, ',' ORDER BY v::text)) FROM client_type_sum_mv v",
    "SELECT count(*), md5(string_agg(d::text, ',' ORDER BY d::text)) FROM operations_delta d",
    "SELECT count(*), md5(string_agg(r::text, ',' ORDER BY r::text)) FROM operations_rollup r",
    "SELECT count(*), md5(string_agg(r::text, ',' ORDER BY r::text)) FROM operations_rollup_total r",
    "SELECT count(*), md5(string_agg(p::text, ',' ORDER BY p::text)) FROM operations_rollup_partition p",
    "TABLE operations_job ORDER BY job_name",
];

/// The versions that were released.
fn released() -> Vec<Version> {
    let list = std::fs::read_to_string(repository(LIST)).unwrap();
    let all = scripts(&repository("sql")).unwrap().into_iter().filter(|script| list.contains(&script.name()));
    let versions: Vec<_> = all.filter(|script| script.from.is_none()).map(|script| script.to).collect();
    assert!(!versions.is_empty(), "{LIST} names no script that CREATE EXTENSION runs");
    versions
}

/// Has the catalogs name another version than they have.
fn pretend(session: &mut Client, version: &Version) {
    run(session, &format!("UPDATE pg_extension SET extversion = '{version}' WHERE extname = 'operations_ext'"));
}

/// Operations new and done, counted and not yet counted, in months that the load filled and in this one.
fn fill(session: &mut Client) {
    run(session, "CALL operations_setup(); CALL operations_test_data('2025-08-01', '2025-11-30', 20000, 1)");
    run(session, "CALL change_status(5000); CALL change_status(5000); CALL operation_insert_one()");
    run(
        session,
        "UPDATE operations SET status = 1 WHERE id IN (SELECT id FROM operations WHERE status = 0 ORDER BY id LIMIT 10)",
    );
    run(
        session,
        "DELETE FROM operations WHERE id IN (SELECT id FROM operations WHERE status = 1 ORDER BY id DESC LIMIT 3)",
    );
}

fn rows(session: &mut Client) -> Vec<String> {
    ROWS.iter().map(|query| text(session, query).unwrap()).collect()
}

/// The facts of one side that the other does not have.
fn difference(one: &str, other: &str) -> Vec<String> {
    // A definition has several lines, and what differs may be one of them.
    let missing = |from: &str, to: &str, sign: char| -> Vec<String> {
        let to: std::collections::BTreeSet<_> = to.lines().collect();
        from.lines().filter(|line| !to.contains(line)).map(|line| format!("{sign} {line}")).collect()
    };
    [missing(one, other, '-'), missing(other, one, '+')].concat()
}

#[test]
fn an_updated_database_is_as_a_new_one() {
    let current = Version::current();
    for version in released().into_iter().filter(|version| *version != current) {
        let server = Server::primary().with_fast_worker().start().unwrap();
        let replica = server.replica().start().unwrap();
        let mut session = server.session().unwrap();
        run(&mut session, &format!("CREATE EXTENSION operations_ext VERSION '{version}'"));
        pretend(&mut session, &current);
        fill(&mut session);
        run(&mut session, "CALL operations_schedule()");
        wait_for_runs(&mut session, "operation_insert_one", "succeeded", 1);
        wait_for_runs(&mut session, "change_status", "succeeded", 1);
        pretend(&mut session, &version);

        // Jobs wait for the update. A run that had begun before has ended once the table can be locked.
        run(&mut session, "BEGIN; LOCK TABLE operations_job IN ACCESS EXCLUSIVE MODE; COMMIT");
        wait_for_runs(&mut session, "operation_insert_one", "failed", 1);
        // Who writes to the table does not.
        run(
            &mut session,
            "UPDATE operations SET status = 1 WHERE id = (SELECT min(id) FROM operations WHERE status = 0)",
        );

        let (old, before) = (text(&mut session, CATALOGS).unwrap(), rows(&mut session));
        run(&mut session, "BEGIN; ALTER EXTENSION operations_ext UPDATE");
        assert_ne!(text(&mut session, CATALOGS).unwrap(), old);
        run(&mut session, "ROLLBACK");
        assert_eq!(difference(&old, &text(&mut session, CATALOGS).unwrap()), Vec::<String>::new(), "{version}");

        // Before the jobs see the new version.
        run(&mut session, "BEGIN; ALTER EXTENSION operations_ext UPDATE");
        let after = rows(&mut session);
        assert_eq!(text(&mut session, LIVE_DIFFERENCE).unwrap(), "", "{version}");
        run(&mut session, "COMMIT");
        assert_eq!(after, before, "{version}");

        for job in ["operation_insert_one", "change_status"] {
            wait_for_runs(&mut session, job, "succeeded", 2);
        }
        run(&mut session, "CALL operations_unschedule()");
        run(&mut session, "BEGIN; LOCK TABLE operations_job IN ACCESS EXCLUSIVE MODE; COMMIT");
        tick(&mut session);
        for query in [AGGREGATE_DIFFERENCE, LIVE_DIFFERENCE, "SELECT * FROM operations_verify_rollup()"] {
            assert_eq!(text(&mut session, query).unwrap(), "", "{version}: {query}");
        }
        expect_equal(&server, &replica);

        server.create_database("fresh").unwrap();
        let mut fresh = server.connect("fresh").unwrap();
        run(&mut fresh, "CREATE EXTENSION operations_ext");
        fill(&mut fresh);
        // The daily job may have made months there.
        for session in [&mut session, &mut fresh] {
            run(session, "CALL operations_maintain_partitions()");
        }
        expect_equal(&server, &replica);
        let expected = text(&mut fresh, CATALOGS).unwrap();
        let found = text(&mut session, CATALOGS).unwrap();
        assert_eq!(difference(&expected, &found), Vec::<String>::new(), "{version}");
        assert_eq!(text(&mut replica.session().unwrap(), CATALOGS).unwrap(), found, "{version}");

        // A set-up of this version finds nothing to do.
        run(&mut session, "CALL operations_setup()");
        assert_eq!(text(&mut session, CATALOGS).unwrap(), found, "{version}");
        // And a dump of the one database is the other one.
        server.copy_database(DATABASE, &server, "restored").unwrap();
        let mut restored = server.connect("restored").unwrap();
        assert_eq!(text(&mut restored, CONTENTS).unwrap(), text(&mut session, CONTENTS).unwrap(), "{version}");
    }
}

#[test]
fn every_version_leads_to_this_one() {
    let server = Server::primary().start().unwrap();
    let mut session = server.session().unwrap();
    let current = Version::current();
    for version in released() {
        let path = format!(
            "SELECT path FROM pg_extension_update_paths('operations_ext') WHERE source = '{version}' AND target = '{current}'"
        );
        let found = text(&mut session, &path).unwrap();
        assert!(version == current || found.starts_with(&format!("{version}--")), "{version}: {found:?}");
        // Each was installed as its script says, and so can be again.
        run(&mut session, &format!("CREATE EXTENSION operations_ext VERSION '{version}'"));
        let installed =
            text(&mut session, "SELECT extversion FROM pg_extension WHERE extname = 'operations_ext'").unwrap();
        assert_eq!(installed, version.to_string());
        run(&mut session, "DROP EXTENSION operations_ext");
    }
    run(&mut session, "CREATE EXTENSION operations_ext");
    assert_eq!(
        text(&mut session, "SELECT extversion FROM pg_extension WHERE extname = 'operations_ext'").unwrap(),
        current.to_string()
    );
    assert!(repository("sql").join(Script::install(&current).name()).exists());
    // What the comparison would not see, it could not tell apart.
    let facts = text(&mut session, CATALOGS).unwrap();
    for kind in [
        "extension",
        "dumped",
        "member",
        "comment",
        "routine",
        "relation",
        "column",
        "constraint",
        "index",
        "view",
        "sequence",
        "type",
        "dependency",
        "first rights",
    ] {
        assert!(facts.lines().any(|line| line.starts_with(&format!("{kind}: "))), "{kind}");
    }
    assert!(value::<i64>(&mut session, "SELECT count(*) FROM pg_depend WHERE deptype = 'e' AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'operations_ext')").unwrap() > 30);
}

#[test]
fn the_comparison_sees_what_an_update_may_forget() {
    let server = Server::primary().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    let whole = text(&mut session, CATALOGS).unwrap();
    for change in [
        "ALTER FUNCTION operations_doctor(boolean) RESET search_path",
        "GRANT EXECUTE ON FUNCTION operations_doctor(boolean) TO public",
        "COMMENT ON FUNCTION operations_doctor(boolean) IS 'other'",
        "CREATE OR REPLACE FUNCTION operations_has_pg_cron() RETURNS boolean LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp RETURN false",
        "ALTER EXTENSION operations_ext DROP FUNCTION operations_doctor_jobs()",
        "SELECT pg_extension_config_dump('operations_job', 'WHERE false')",
        "ALTER TABLE operations_rollup ADD CHECK (rows >= 0)",
        "ALTER TABLE operations_delta SET (fillfactor = 50)",
        "ALTER TABLE operations_2025_08 DISABLE TRIGGER operations_count_insert",
        "DROP TRIGGER operations_count_insert ON operations",
        "CREATE INDEX ON operations_job (username)",
        "ALTER TYPE operation_type_enum ADD VALUE 'other'",
        "DELETE FROM pg_init_privs WHERE objoid = 'operations_job'::regclass",
        "GRANT SELECT (job_name) ON operations_job TO public",
    ] {
        run(&mut session, &format!("BEGIN; SET LOCAL allow_system_table_mods = on; {}", in_an_extension(change)));
        assert_ne!(text(&mut session, CATALOGS).unwrap(), whole, "{change}");
        run(&mut session, "ROLLBACK");
    }
    assert_eq!(text(&mut session, CATALOGS).unwrap(), whole);
}

/// What is dumped can be said in the script of an extension only; by hand it is done to the catalog.
fn in_an_extension(change: &str) -> &str {
    match change.starts_with("SELECT pg_extension_config_dump") {
        true => "UPDATE pg_extension SET extcondition = '{WHERE false}' WHERE extname = 'operations_ext'",
        false => change,
    }
}
