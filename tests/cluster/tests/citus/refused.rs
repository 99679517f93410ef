//! What cannot work on a table of Citus, and how it says so.

use operations_cluster::expect::{expect_refused, run};
use operations_cluster::{text, value};

use crate::common::{Cluster, NOT_SUPPORTED, PREPARE, expect_says, findings, next_command, operations, run_as_psql};

/// What does more than Citus can plan, or goes past its planner, with the name by which it is refused.
const REFUSED: [(&str, &str); 14] = [
    ("CALL operations_setup()", "operations_setup()"),
    ("CALL operations_test_data('2025-08-01', '2025-11-30', 100, 2)", "operations_test_data()"),
    ("CALL operations_test_data('2025-08-01', '2025-11-30', 100, 2, 4)", "operations_test_data()"),
    ("CALL change_status()", "change_status()"),
    ("CALL operations_schedule()", "operations_schedule()"),
    ("SELECT * FROM operations_verify_rollup()", "operations_verify_rollup()"),
    ("SELECT * FROM operations_verify_rollup(true)", "operations_verify_rollup()"),
    ("SELECT * FROM client_type_sum_live", "client_type_sum_live"),
    ("REFRESH MATERIALIZED VIEW client_type_sum_mv", "client_type_sum_live"),
    ("SELECT * FROM operations_rollup_live", "client_type_sum_live"),
    ("SELECT * FROM operations_partition_version", "client_type_sum_live"),
    ("SELECT * FROM operations_partitions_now()", "client_type_sum_live"),
    ("SELECT * FROM operations_stale_sums()", "operations_stale_sums()"),
    ("SELECT * FROM operations_sampled_sums()", "operations_sampled_sums()"),
];

#[test]
fn on_a_distributed_table_nothing_is_wrong_in_silence() {
    let test = "refused::on_a_distributed_table_nothing_is_wrong_in_silence";
    let Some((_cluster, mut session)) = Cluster::distributed(test) else { return };
    let sums = "SELECT count(*), sum(total_amount) FROM client_type_sum_mv";
    let (rows, held) = (operations(&mut session), text(&mut session, sums).unwrap());
    for (statement, what) in REFUSED {
        let error = expect_refused(&mut session, statement, NOT_SUPPORTED);
        expect_says(
            &error,
            &format!("{what} does not support tables of Citus"),
            "public.operations is distributed by client_id.",
            "docs/scaling.md",
        );
    }
    assert_eq!(operations(&mut session), rows);
    assert_eq!(text(&mut session, sums).unwrap(), held, "what the materialized view held it holds");
    assert_eq!(value::<i64>(&mut session, "SELECT count(*) FROM operations_job").unwrap(), 0);
    assert_eq!(findings(&mut session), "citus_table|broken\nhidden_rows|broken");
}

/// A way to make `operations` a table of Citus, the description of that, and what `operation_insert_one()` says.
const KINDS: [(&str, &str, &str); 2] = [
    (
        "SELECT create_distributed_table('operations', 'id')",
        "public.operations is distributed by id.",
        "operation_insert_one() does not support operations distributed by another column than client_id",
    ),
    (
        "SELECT create_distributed_table('operations', NULL, colocate_with => 'none')",
        "public.operations is a distributed table of one shard.",
        "operation_insert_one() does not support tables of Citus",
    ),
];

#[test]
fn each_kind_of_table_is_refused_by_its_name() {
    let test = "refused::each_kind_of_table_is_refused_by_its_name";
    let Some((_cluster, mut session)) = Cluster::with_rows(test) else { return };
    let rows = operations(&mut session);
    run(&mut session, &PREPARE.replace("client_id, id", "id"));
    for (make, detail, message) in KINDS {
        run(&mut session, "BEGIN");
        run(&mut session, make);
        // As nothing is seen of a transaction after an error, each is asked in a subtransaction.
        run(&mut session, "SAVEPOINT made");
        let error = expect_refused(&mut session, "CALL operation_insert_one()", NOT_SUPPORTED);
        expect_says(&error, message, detail, "operations");
        for (statement, what) in REFUSED {
            run(&mut session, "ROLLBACK TO made");
            let error = expect_refused(&mut session, statement, NOT_SUPPORTED);
            expect_says(
                &error,
                &format!("{what} does not support tables of Citus"),
                detail,
                "RENAME TO operations_on_citus",
            );
        }
        run(&mut session, "ROLLBACK");
    }
    assert_eq!(operations(&mut session), rows);
    assert_eq!(findings(&mut session), "");
}

#[test]
fn other_tables_of_citus_in_the_place_of_operations_are_refused() {
    let test = "refused::other_tables_of_citus_in_the_place_of_operations_are_refused";
    let Some(cluster) = Cluster::start(test) else { return };
    let mut session = cluster.session();
    // Citus makes nothing of the kind of a partitioned table; one that is none takes its place.
    for (make, detail) in [
        ("create_reference_table('operations')", "public.operations is a reference table."),
        ("citus_add_local_table_to_metadata('operations')", "public.operations is a local table that Citus manages."),
    ] {
        run(
            &mut session,
            "CREATE TABLE operations (id bigint, operation_date date, client_id integer, status smallint)",
        );
        run(&mut session, &format!("SELECT {make}"));
        for statement in
            ["CALL operations_setup()", "CALL operation_insert_one()", "CALL operations_maintain_partitions()"]
        {
            let error = expect_refused(&mut session, statement, NOT_SUPPORTED);
            expect_says(&error, "does not support tables of Citus", detail, "RENAME");
        }
        run(&mut session, "DROP TABLE operations");
    }
}

#[test]
fn tables_of_the_extension_are_refused_by_their_names() {
    let test = "refused::tables_of_the_extension_are_refused_by_their_names";
    let Some((_cluster, mut session)) = Cluster::with_rows(test) else { return };
    for table in ["operations_delta", "operations_rollup_partition", "operations_rollup", "operations_rollup_total"] {
        run(&mut session, "BEGIN");
        run(&mut session, &format!("SELECT create_reference_table('{table}')"));
        run(&mut session, "SAVEPOINT made");
        for (statement, what) in REFUSED {
            let error = expect_refused(&mut session, statement, NOT_SUPPORTED);
            expect_says(
                &error,
                &format!("{what} does not support tables of Citus"),
                &format!("public.{table} is a reference table."),
                "DROP EXTENSION operations_ext CASCADE",
            );
            run(&mut session, "ROLLBACK TO made");
        }
        assert!(findings(&mut session).starts_with("citus_table|broken"), "{table}");
        run(&mut session, "ROLLBACK");
    }
    run(&mut session, "SELECT create_reference_table('operations_delta')");
    let done = "UPDATE operations SET status = 1 WHERE status = 0";
    let error = expect_refused(&mut session, done, NOT_SUPPORTED);
    expect_says(&error, "cannot be counted", "public.operations_delta is a reference table", "operations_count_insert");
    // The doctor has a way back.
    let way_back = next_command(&mut session, "citus_table");
    let error = expect_refused(&mut session, "CALL change_status()", NOT_SUPPORTED);
    let (_, hint) = error.hint().unwrap().split_once(": ").unwrap();
    assert!(hint.eq_ignore_ascii_case(&way_back), "{hint} {way_back}");
    // Also where the names are not found without their schema.
    run(&mut session, "SET search_path = pg_catalog");
    assert!(run_as_psql(&mut session, &way_back).is_none());
    run(&mut session, "RESET search_path");
    run(&mut session, "CALL change_status()");
    assert_eq!(text(&mut session, operations_cluster::expect::LIVE_DIFFERENCE).unwrap(), "");
    assert_eq!(findings(&mut session), "");
}
