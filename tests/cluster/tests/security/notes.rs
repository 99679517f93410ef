//! The notes that loads take in the data directory, and the list of jobs that a dump carries to another server.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use operations_cluster::expect::{CONTENTS, run};
use operations_cluster::{Server, Stop, text, value};

use crate::lab::{Lab, MOLE, refused};

/// Who may not write files of the server writes no note, whatever the procedures that work with them are called for.
#[test]
fn a_note_is_only_for_the_servers_user_to_write() {
    let lab = Lab::new("notes", MOLE);
    run(&mut lab.superuser(), "GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA public TO mole");
    for statement in [
        "COPY (SELECT 1) TO 'operations_ext.load.1.1'",
        "COPY (SELECT 1) TO PROGRAM 'cat'",
        "SELECT pg_read_file('PG_VERSION')",
        "SELECT lo_export(lo_from_bytea(0, 'x'), 'operations_ext.load.1.1')",
        "SELECT pg_ls_dir('.')",
    ] {
        assert_eq!(refused(&mut lab.attacker(), statement), "42501", "{statement}");
    }
    run(&mut lab.attacker(), "CALL operations_test_data('2025-08-01', '2025-08-31', 20000, 1, 1)");
}

/// Whatever a note names: what a relation has stays, also through a crash.
#[test]
fn a_forged_note_takes_nothing_that_a_relation_has() {
    let mut server = Server::primary().with_rows().start().unwrap();
    let mut session = server.session().unwrap();
    let database: String =
        text(&mut session, "SELECT oid FROM pg_database WHERE datname = current_database()").unwrap();
    let own = "SELECT string_agg(coalesce(nullif(c.reltablespace, 0), d.dattablespace) || ' ' || pg_relation_filenode(c.oid), E'\\n') \
               FROM pg_class c, pg_database d WHERE d.datname = current_database() AND pg_relation_filenode(c.oid) IS NOT NULL";
    let own: String = value(&mut session, own).unwrap();
    assert!(own.lines().count() > 100, "{own}");
    let before = text(&mut session, CONTENTS).unwrap();
    let orphan = format!("base/{database}/4000000001");
    let note = |transaction: &str| server.data().join(format!("operations_ext.load.{database}.{transaction}"));
    let others = [
        "1663 4000000002",
        "1664 4000000002",
        "0 1259",
        "1663 0",
        "4294967295 4294967295",
        "1663 99999999999999999999",
        "../../1663 1",
        "1663",
        "",
        "\u{e9} \u{1b}",
    ];
    let forged = format!("{own}\n{}\n1663 4000000001\n1663 4000000001\n1663 40000000", others.join("\n"));
    fs::write(server.data().join(&orphan), "").unwrap();
    // The tests may be another user than the server.
    fs::set_permissions(server.data().join(&orphan), fs::Permissions::from_mode(0o666)).unwrap();
    fs::write(note("3"), forged).unwrap();
    fs::write(note("5"), [0xff, 0xfe, b'\n']).unwrap();
    run(&mut session, "CALL operations_maintain_partitions()");
    // PostgreSQL keeps an empty file of that name until then.
    run(&mut session, "CHECKPOINT");
    // The trap works: what no relation has went, and so did the notes.
    assert!(!server.data().join(&orphan).exists(), "{orphan} is still there");
    assert!(!note("3").exists() && !note("5").exists());
    drop(session);
    server.restart(Stop::Immediate).unwrap();
    let mut session = server.session().unwrap();
    assert_eq!(text(&mut session, CONTENTS).unwrap(), before);
    run(&mut session, "CALL operation_insert_one(); CALL change_status(10)");
    assert_eq!(text(&mut session, "SELECT * FROM operations_verify_rollup()").unwrap(), "");
}

/// What a dump carries is the list of jobs alone: names, of which nothing is evaluated when it is restored.
#[test]
fn a_dump_carries_nothing_that_is_run_at_its_restore() {
    let lab = Lab::new("notes_dump", MOLE);
    let mut superuser = lab.superuser();
    let carried = "SELECT unnest(extconfig)::regclass FROM pg_extension WHERE extname = 'operations_ext'";
    assert_eq!(text(&mut superuser, carried).unwrap(), "operations_job");
    let types = "SELECT string_agg(atttypid::regtype::text, ' ' ORDER BY attnum) FROM pg_attribute \
                 WHERE attrelid = 'operations_job'::regclass AND attnum > 0";
    assert_eq!(text(&mut superuser, types).unwrap(), "text name");
    let on_it = "SELECT count(*) FROM (SELECT FROM pg_trigger WHERE tgrelid = 'operations_job'::regclass \
        UNION ALL SELECT FROM pg_rewrite WHERE ev_class = 'operations_job'::regclass \
        UNION ALL SELECT FROM pg_policy WHERE polrelid = 'operations_job'::regclass \
        UNION ALL SELECT FROM pg_attrdef WHERE adrelid = 'operations_job'::regclass \
        UNION ALL SELECT FROM pg_constraint WHERE conrelid = 'operations_job'::regclass AND contype NOT IN ('p', 'n')) x";
    assert_eq!(text(&mut superuser, on_it).unwrap(), "0");

    // And nobody puts the name of another role there, who would then be who the jobs run as.
    run(&mut superuser, "GRANT EXECUTE ON PROCEDURE operations_schedule() TO mole");
    let listed = "SELECT string_agg(DISTINCT username, ' ') FROM operations_job";
    run(&mut superuser, "CALL operations_schedule()");
    assert_eq!(text(&mut superuser, listed).unwrap(), "postgres");
    for call in ["CALL operations_schedule()", "SET search_path = lair; CALL public.operations_schedule()"] {
        run(&mut lab.attacker(), call);
        assert_eq!(text(&mut superuser, listed).unwrap(), "mole", "{call}");
    }
    assert_eq!(refused(&mut lab.attacker(), "SET ROLE postgres; CALL operations_schedule()"), "42501");
}
