//! A library and objects that do not belong together, and a library that is there twice, say so once and clearly.

use operations_cluster::expect::{CONTENTS, expect_refused, run, wait_for_runs};
use operations_cluster::{DATABASE, Server, Stop, db_error, finish, text};
use operations_lab::release::Version;
use postgres::Client;

use crate::{pretend, released};

/// Each function of the library that knows the objects, as it is called.
const CALLS: [(&str, &str); 16] = [
    ("change_status", "CALL change_status()"),
    ("operation_insert_one", "CALL operation_insert_one()"),
    ("operations_citus_tables", "SELECT * FROM operations_citus_tables()"),
    ("operations_direct_sums", "SELECT * FROM operations_direct_sums('{1}')"),
    ("operations_distribute", "CALL operations_distribute()"),
    ("operations_hidden_rows", "SELECT * FROM operations_hidden_rows()"),
    ("operations_maintain_partitions", "CALL operations_maintain_partitions()"),
    ("operations_partitions_now", "SELECT * FROM operations_partitions_now()"),
    ("operations_prune_job_history", "CALL operations_prune_job_history()"),
    ("operations_sampled_sums", "SELECT * FROM operations_sampled_sums()"),
    ("operations_schedule", "CALL operations_schedule()"),
    ("operations_setup", "CALL operations_setup()"),
    ("operations_stale_sums", "SELECT * FROM operations_stale_sums()"),
    ("operations_test_data", "CALL operations_test_data('2025-08-01', '2025-08-31', 10, 1)"),
    ("operations_unschedule", "CALL operations_unschedule()"),
    ("operations_verify_rollup", "SELECT * FROM operations_verify_rollup()"),
];

/// Three more: the triggers of the table and of its shards, and the list of loads, which are none of the objects'.
const OTHERS: [&str; 3] = ["operations_count_change", "operations_loads", "operations_shard_work"];

#[track_caller]
fn expect_all_refused(session: &mut Client, library: &str, objects: &str, command: &str) {
    for (_, call) in CALLS {
        let error = expect_refused(session, call, &["55000"]);
        for version in [library, objects] {
            assert!(error.message().contains(&format!("of version {version}")), "{call}: {error:?}");
        }
        assert!(error.hint().is_some_and(|hint| hint.contains(command)), "{call}: {error:?}");
    }
}

#[test]
fn a_library_and_objects_of_other_versions_say_so() {
    let server = Server::primary().with_fast_worker().with_rows().start().unwrap();
    let mut session = server.session().unwrap();
    let functions = "SELECT DISTINCT proname FROM pg_proc WHERE probin LIKE '%operations_ext' ORDER BY 1";
    let mut known: Vec<_> = CALLS.iter().map(|(name, _)| *name).chain(OTHERS).collect();
    known.sort_unstable();
    assert_eq!(text(&mut session, functions).unwrap(), known.join("\n"));

    let (current, newer) = (Version::current(), "99.0.0".parse().unwrap());
    let older = released().into_iter().find(|version| *version != current).unwrap();
    let before = text(&mut session, CONTENTS).unwrap();
    let update = "ALTER EXTENSION operations_ext UPDATE;";
    pretend(&mut session, &older);
    expect_all_refused(&mut session, &current.to_string(), &older.to_string(), update);
    pretend(&mut session, &newer);
    expect_all_refused(&mut session, &current.to_string(), "99.0.0", "Restart the server (pg_ctl restart)");
    assert_eq!(text(&mut session, CONTENTS).unwrap(), before);
    let doctor = text(&mut session, "SELECT code, evidence FROM operations_doctor()").unwrap();
    assert!(doctor.contains("99.0.0"), "{doctor}");

    // Jobs that are scheduled say it in their history, and go on afterwards.
    pretend(&mut session, &current);
    run(&mut session, "CALL operations_schedule()");
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 1);
    pretend(&mut session, &older);
    wait_for_runs(&mut session, "operation_insert_one", "failed", 1);
    let message =
        "SELECT return_message FROM operations_job_run_details WHERE status = 'failed' ORDER BY run_id DESC LIMIT 1";
    let message = text(&mut session, message).unwrap();
    assert!(message.starts_with("55000: ") && message.contains(&older.to_string()), "{message}");
    pretend(&mut session, &current);
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 1);
}

#[test]
fn a_replica_names_the_primary_as_the_place_to_update() {
    let server = Server::primary().with_rows().start().unwrap();
    let replica = server.replica().start().unwrap();
    let older = released().remove(0);
    pretend(&mut server.session().unwrap(), &older);
    server.wait_for_catchup(&replica).unwrap();
    let mut session = replica.session().unwrap();
    let error = expect_refused(&mut session, "SELECT * FROM client_type_sum_live", &["55000"]);
    let hint = error.hint().unwrap();
    assert_eq!(hint, "On the primary, in this database, run ALTER EXTENSION operations_ext UPDATE;");
}

#[test]
fn the_extension_stays_in_its_schema() {
    let server = Server::primary().with_rows().start().unwrap();
    let mut session = server.session().unwrap();
    run(&mut session, "CREATE SCHEMA elsewhere");
    let error = db_error(session.batch_execute("ALTER EXTENSION operations_ext SET SCHEMA elsewhere")).unwrap();
    assert_eq!(error.code().code(), "0A000", "{error:?}");
    assert_eq!(error.message(), "extension \"operations_ext\" does not support SET SCHEMA");
    run(&mut session, "CALL operation_insert_one(); CALL change_status()");
}

#[test]
fn only_a_superuser_creates_and_updates_the_extension() {
    let server = Server::primary().start().unwrap();
    let mut admin = server.session().unwrap();
    let password = server.password();
    run(
        &mut admin,
        &format!(
            "CREATE ROLE maker LOGIN CREATEROLE PASSWORD '{password}'; GRANT ALL ON DATABASE {DATABASE} TO maker; GRANT ALL ON SCHEMA public TO maker"
        ),
    );
    let mut maker = server.connect_as("maker", DATABASE).unwrap();
    let error = db_error(maker.batch_execute("CREATE EXTENSION operations_ext")).unwrap();
    assert_eq!((error.code().code(), error.hint()), ("42501", Some("Must be superuser to create this extension.")));
    let older = released().remove(0);
    run(&mut admin, &format!("CREATE EXTENSION operations_ext VERSION '{older}'"));
    let error = db_error(maker.batch_execute("ALTER EXTENSION operations_ext UPDATE")).unwrap();
    assert_eq!(error.code().code(), "42501", "{error:?}");
    assert_eq!(
        text(&mut admin, "SELECT extversion FROM pg_extension WHERE extname = 'operations_ext'").unwrap(),
        older.to_string()
    );
}

#[test]
fn a_library_that_is_missing_is_named() {
    let server = Server::primary().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    // As if the package of the server had no library: the objects name another file.
    run(
        &mut session,
        "UPDATE pg_proc SET probin = '$libdir/operations_ext_missing' WHERE proname = 'operation_insert_one'",
    );
    let error = db_error(session.batch_execute("CALL operation_insert_one()")).unwrap();
    assert_eq!(error.code().code(), "58P01", "{error:?}");
    // PostgreSQL 18 leaves out $libdir.
    let message = error.message().replace("$libdir/", "");
    assert!(message.contains("could not access file \"operations_ext_missing\""), "{error:?}");
}

#[test]
fn named_twice_the_library_is_loaded_once() {
    let server = Server::primary()
        .with_rows()
        .with_fast_worker()
        .setting("shared_preload_libraries", "operations_ext, operations_ext")
        .start()
        .unwrap();
    let mut session = server.session().unwrap();
    run(&mut session, "CALL operations_schedule()");
    wait_for_runs(&mut session, "operation_insert_one", "succeeded", 2);
    let processes = "SELECT backend_type, count(*) FROM pg_stat_activity WHERE backend_type LIKE 'operations_ext %' GROUP BY 1 HAVING count(*) > 1";
    assert_eq!(text(&mut session, processes).unwrap(), "");
}

#[test]
fn a_second_file_of_the_library_is_refused() {
    let mut server = Server::primary().with_rows().with_worker().start().unwrap();
    let mut session = server.session().unwrap();
    let library = text(&mut session, "SELECT setting FROM pg_config WHERE name = 'PKGLIBDIR'").unwrap();
    let bytes = std::fs::read(format!("{library}/operations_ext.so")).unwrap();
    let copy = server.write_bytes("copy.so", &bytes).unwrap();
    let error = expect_refused(&mut session, &format!("LOAD '{}'", copy.display()), &["55000"]);
    assert_eq!(error.message(), "operations_ext is loaded already, from another file");
    assert_eq!(
        error.detail().unwrap(),
        format!("The first file is of version {0}, this one of version {0}.", Version::current())
    );
    // The session goes on.
    run(&mut session, "CALL operation_insert_one()");

    // A server that is to load both does not start, and says the same.
    let both = format!("ALTER SYSTEM SET shared_preload_libraries = operations_ext, '{}'", copy.display());
    run(&mut session, &both);
    drop(session);
    server.stop(Stop::Fast).unwrap();
    assert!(server.start().is_err());
    let log = server.log().unwrap();
    let told = log.lines().filter(|line| line.contains("FATAL:  operations_ext is loaded already, from another file"));
    assert_eq!(told.count(), 1, "{log}");
    assert!(
        log.contains("HINT:  Name operations_ext once in shared_preload_libraries, and remove the other file."),
        "{log}"
    );
}

/// A script of psql without CREATE EXTENSION is a mistake that the scripts themselves refuse.
#[test]
fn an_update_script_is_for_alter_extension() {
    let server = Server::primary().with_extension().start().unwrap();
    for script in operations_lab::release::scripts(&operations_cluster::repository("sql")).unwrap() {
        if script.from.is_none() {
            continue;
        }
        let path = operations_cluster::repository("sql").join(script.name());
        let text = std::fs::read_to_string(path).unwrap();
        let file = server.write_file("update.sql", &text).unwrap();
        let mut psql = server.client_program("psql", DATABASE).unwrap();
        psql.args(["-X", "-q", "-f"]).arg(&file);
        let printed = finish(psql).unwrap().success().unwrap();
        assert_eq!(
            printed.trim(),
            "Use \"ALTER EXTENSION operations_ext UPDATE\" to load this file.",
            "{}",
            script.name()
        );
    }
}
