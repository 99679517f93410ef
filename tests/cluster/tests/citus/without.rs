//! Without Citus, everywhere.

use operations_cluster::expect::{LIVE_DIFFERENCE, expect_refused, run};
use operations_cluster::{DATABASE, Server, db_error, text};

use crate::common::{NOT_SUPPORTED, expect_says, findings};

#[test]
fn without_citus_there_is_nothing_of_it() {
    let server = Server::primary().with_rows().start().unwrap();
    let mut session = server.session().unwrap();
    for nothing in ["SELECT * FROM operations_citus_tables()", "SELECT * FROM operations_hidden_rows()"] {
        assert_eq!(text(&mut session, nothing).unwrap(), "");
    }
    assert_eq!(findings(&mut session), "");

    run(&mut session, &format!("CREATE ROLE stranger LOGIN PASSWORD '{}'", server.password()));
    let mut stranger = server.connect_as("stranger", DATABASE).unwrap();
    assert_eq!(text(&mut stranger, "SELECT * FROM operations_citus_tables()").unwrap(), "");
    let refused = db_error(stranger.batch_execute("SELECT * FROM operations_hidden_rows()")).unwrap();
    assert_eq!(refused.code().code(), "42501");
}

/// Tables with the names and columns of Citus's, which say that everything is distributed.
const LOOK_ALIKES: &str = "
    CREATE TABLE SCHEMA.pg_dist_partition (
        logicalrelid regclass NOT NULL, partmethod \"char\" NOT NULL, partkey text, colocationid integer NOT NULL,
        repmodel \"char\" NOT NULL, autoconverted boolean
    );
    CREATE UNIQUE INDEX pg_dist_partition_logical_relid_index ON SCHEMA.pg_dist_partition (logicalrelid);
    INSERT INTO SCHEMA.pg_dist_partition
    SELECT oid, 'n', NULL, 0, 't', false FROM pg_class WHERE relname LIKE 'operations%';
    CREATE TABLE SCHEMA.pg_dist_local_group (groupid integer NOT NULL);
    INSERT INTO SCHEMA.pg_dist_local_group VALUES (7);
    GRANT SELECT ON SCHEMA.pg_dist_partition, SCHEMA.pg_dist_local_group TO PUBLIC;";

/// Who may not make extensions can make none of them a part of one; who may, and puts them into pg_catalog, does no harm either.
#[test]
fn look_alikes_of_the_tables_of_citus_change_nothing() {
    for (schema, settings) in [
        ("public", ""),
        ("citus", "CREATE SCHEMA citus; SET search_path = citus, public;"),
        ("pg_temp", ""),
        ("pg_catalog", "SET allow_system_table_mods = on;"),
        // Of another extension.
        ("pg_catalog", "SET allow_system_table_mods = on; SELECT 'plpgsql';"),
    ] {
        let server = Server::primary().with_rows().start().unwrap();
        let mut session = server.session().unwrap();
        run(&mut session, settings);
        run(&mut session, &LOOK_ALIKES.replace("SCHEMA", schema));
        if settings.contains("plpgsql") {
            run(&mut session, "ALTER EXTENSION plpgsql ADD TABLE pg_catalog.pg_dist_partition");
            run(&mut session, "ALTER EXTENSION plpgsql ADD TABLE pg_catalog.pg_dist_local_group");
        }
        for statement in [
            "CALL public.operations_setup()",
            "CALL public.operation_insert_one()",
            "CALL public.operations_test_data('2025-08-01', '2025-12-31', 100, 3)",
            "CALL public.change_status(100)",
            "CALL public.operations_maintain_partitions(4)",
            "UPDATE public.operations SET status = 1 WHERE id <= 50",
            "CALL public.operations_schedule()",
            "CALL public.operations_unschedule()",
        ] {
            run(&mut session, statement);
        }
        assert_eq!(text(&mut session, LIVE_DIFFERENCE).unwrap(), "", "{schema}");
        assert_eq!(text(&mut session, "SELECT * FROM public.operations_verify_rollup(true)").unwrap(), "", "{schema}");
        assert_eq!(text(&mut session, "SELECT * FROM public.operations_citus_tables()").unwrap(), "", "{schema}");
        assert_eq!(findings(&mut session), "", "{schema}");
    }
}

#[test]
fn without_citus_nothing_can_be_distributed() {
    let server = Server::primary().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    run(&mut session, "CALL operations_setup()");
    let error = expect_refused(&mut session, "CALL operations_distribute()", NOT_SUPPORTED);
    expect_says(&error, "there is no Citus in this database", "citus is not installed", "CREATE EXTENSION citus");
    run(&mut session, "CREATE ROLE stranger");
    run(&mut session, "SET ROLE stranger");
    let refused = db_error(session.batch_execute("CALL operations_distribute()")).unwrap();
    assert_eq!(refused.code().code(), "42501");
}
