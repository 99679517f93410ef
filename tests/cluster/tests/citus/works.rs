//! What works with Citus.

use operations_cluster::expect::{LIVE_DIFFERENCE, PARTITIONS, expect_refused, run};
use operations_cluster::{text, value};

use crate::common::{Cluster, NOT_SUPPORTED, expect_says, findings, operations, run_as_psql};

#[test]
fn a_table_of_postgresql_beside_citus_is_as_everywhere() {
    let test = "works::a_table_of_postgresql_beside_citus_is_as_everywhere";
    let Some((_cluster, mut session)) = Cluster::with_rows(test) else { return };
    run(&mut session, "CREATE TABLE other (client_id integer); SELECT create_distributed_table('other', 'client_id')");
    run(&mut session, "CALL operations_setup()");
    run(&mut session, "CALL operations_test_data('2025-08-01', '2025-12-31', 500, 2, 2)");
    run(&mut session, "CALL operation_insert_one()");
    run(&mut session, "CALL operations_maintain_partitions(4)");
    run(&mut session, "CALL change_status(100)");
    assert_eq!(operations(&mut session), 2501);
    assert_eq!(text(&mut session, LIVE_DIFFERENCE).unwrap(), "");
    assert_eq!(text(&mut session, "SELECT * FROM operations_verify_rollup()").unwrap(), "");
    assert_eq!(text(&mut session, "SELECT * FROM operations_citus_tables()").unwrap(), "");
    assert_eq!(text(&mut session, "SELECT * FROM operations_hidden_rows()").unwrap(), "");
    assert_eq!(findings(&mut session), "");
}

#[test]
fn operations_are_inserted_into_the_shards() {
    let test = "works::operations_are_inserted_into_the_shards";
    let Some((_cluster, mut session)) = Cluster::distributed(test) else { return };
    run(&mut session, "SELECT truncate_local_data_after_distributing_table('operations')");
    let rows = operations(&mut session);
    for _ in 0..20 {
        run(&mut session, "CALL operation_insert_one()");
    }
    // Of the session's saved plan, too.
    assert_eq!(operations(&mut session), rows + 20);
    let ids = "SELECT count(DISTINCT id), min(operation_date) = current_date FROM operations WHERE operation_date >= current_date";
    assert_eq!(text(&mut session, ids).unwrap(), "20|t");
    run(&mut session, "BEGIN; CALL operation_insert_one(); ROLLBACK");
    assert_eq!(operations(&mut session), rows + 20);
    let hidden = "SELECT count(*) FROM operations_citus_tables() WHERE has_hidden_rows";
    assert_eq!(value::<i64>(&mut session, hidden).unwrap(), 0);
    assert_eq!(findings(&mut session), "citus_table|broken");
}

#[test]
fn months_come_and_go() {
    let test = "works::months_come_and_go";
    let Some((_cluster, mut session)) = Cluster::distributed(test) else { return };
    run(&mut session, "SELECT truncate_local_data_after_distributing_table('operations')");
    let before = text(&mut session, PARTITIONS).unwrap();
    run(&mut session, "CALL operations_maintain_partitions(6)");
    let after = text(&mut session, PARTITIONS).unwrap();
    // Those of the months between 2025-11 and now, and three more ahead.
    assert!(after.split(' ').count() >= before.split(' ').count() + 3, "{after}");
    let shardless = "SELECT count(*) FROM pg_inherits i WHERE i.inhparent = 'operations'::regclass \
                     AND NOT EXISTS (SELECT FROM pg_dist_shard s WHERE s.logicalrelid = i.inhrelid)";
    assert_eq!(value::<i64>(&mut session, shardless).unwrap(), 0, "each month has shards");
    // Twice changes nothing.
    run(&mut session, "CALL operations_maintain_partitions(6)");
    assert_eq!(text(&mut session, PARTITIONS).unwrap(), after);

    // The current month is missing: an operation brings it along.
    let month: String = value(&mut session, "SELECT to_char(current_date, '\"operations_\"YYYY_MM')").unwrap();
    run(&mut session, &format!("DROP TABLE {month}"));
    let rows = operations(&mut session);
    run(&mut session, "CALL operation_insert_one()");
    assert_eq!(operations(&mut session), rows + 1);
    assert_eq!(value::<i64>(&mut session, &format!("SELECT count(*) FROM {month}")).unwrap(), 1);
    assert_eq!(value::<i64>(&mut session, shardless).unwrap(), 0);

    // Months that are too old are detached, with their rows.
    let old: i64 = value(&mut session, "SELECT count(*) FROM operations_2025_08").unwrap();
    assert!(old > 0);
    run(&mut session, "CALL operations_maintain_partitions(3, 0)");
    assert_eq!(operations(&mut session), 1);
    assert_eq!(value::<i64>(&mut session, "SELECT count(*) FROM operations_2025_08").unwrap(), old);
}

#[test]
fn the_sums_of_single_partitions_and_the_jobs_work() {
    let test = "works::the_sums_of_single_partitions_and_the_jobs_work";
    let Some((_cluster, mut session)) = Cluster::distributed(test) else { return };
    let direct = "SELECT coalesce(sum(rows), 0), sum(amount) \
                  FROM operations_direct_sums(ARRAY(SELECT inhrelid FROM pg_inherits WHERE inhparent = 'operations'::regclass))";
    let rows = "SELECT count(*), sum(amount) FROM operations WHERE status = 1";
    let (direct, rows) = (text(&mut session, direct).unwrap(), text(&mut session, rows).unwrap());
    assert!(direct == rows && direct.starts_with("201|"), "{direct} {rows}");
    // Also where the list of jobs is Citus's; but its history cannot be pruned then.
    run(&mut session, "SELECT create_reference_table('operations_job')");
    run(&mut session, "INSERT INTO operations_job VALUES ('operation_insert_one', current_user)");
    let record = "INSERT INTO operations_job_run_details (job_name, started_at, finished_at, status) \
                  VALUES ('operation_insert_one', '2025-08-01', '2025-08-01', 'succeeded')";
    run(&mut session, record);
    let jobs = "SELECT job_name, runs, failures FROM operations_jobs()";
    assert_eq!(text(&mut session, jobs).unwrap(), "operation_insert_one|1|0");
    run(&mut session, "BEGIN");
    run(&mut session, "SELECT create_reference_table('operations_job_run_details')");
    let error = expect_refused(&mut session, "CALL operations_prune_job_history()", NOT_SUPPORTED);
    // The extension made anew would take a column of the distributed table with it.
    let first = "Make operations a table of PostgreSQL first";
    expect_says(&error, "operations_prune_job_history() does not", "operations_job_run_details is a reference", first);
    run(&mut session, "ROLLBACK");
    run(&mut session, "CALL operations_prune_job_history()");
    assert_eq!(text(&mut session, jobs).unwrap(), "operation_insert_one|0|0");
    run(&mut session, "CALL operations_unschedule()");
    assert_eq!(text(&mut session, jobs).unwrap(), "");
    assert_eq!(text(&mut session, "SELECT * FROM operations_load_progress").unwrap(), "");
}

#[test]
fn the_way_back_of_the_page_works() {
    let test = "works::the_way_back_of_the_page_works";
    let Some((_cluster, mut session)) = Cluster::distributed(test) else { return };
    run(&mut session, "SELECT truncate_local_data_after_distributing_table('operations')");
    // A month that set-up does not make.
    run(
        &mut session,
        "CREATE TABLE operations_2024_03 PARTITION OF operations FOR VALUES FROM ('2024-03-01') TO ('2024-04-01')",
    );
    let copy = |what: &str| {
        format!(
            "INSERT INTO operations OVERRIDING SYSTEM VALUE \
             SELECT {what}, operation_type, amount, status, message FROM operations WHERE id = 10"
        )
    };
    run(&mut session, &copy("100001, '2024-03-05', operation_guid, client_id"));
    let contents = "SELECT count(*), sum(status), max(id), sum(amount) FROM operations";
    let before = text(&mut session, contents).unwrap();
    let page = std::fs::read_to_string(operations_cluster::repository("docs/scaling.md")).unwrap();
    let (_, rest) = page.split_once("## Back to a table of PostgreSQL").unwrap();
    let mut blocks = rest.split("```sql\n").skip(1).map(|block| block.split_once("```").unwrap().0);
    let (move_rows, drop_old) = (blocks.next().unwrap(), blocks.next().unwrap());
    // The key on Citus has the client, too: what the other key refuses is kept.
    run(&mut session, &copy("id, operation_date, operation_guid, client_id + 1"));
    let with_copy = text(&mut session, contents).unwrap();
    assert!(with_copy != before);
    assert!(run_as_psql(&mut session, move_rows).is_some());
    assert_eq!(text(&mut session, contents).unwrap(), with_copy);
    assert_eq!(findings(&mut session), "citus_table|broken");
    run(
        &mut session,
        "DELETE FROM operations WHERE id = 10 AND client_id > (SELECT min(client_id) FROM operations WHERE id = 10)",
    );

    let error = run_as_psql(&mut session, move_rows);
    assert!(error.is_none(), "{error:?}");
    let kept = text(&mut session, &contents.replace("FROM operations", "FROM operations_on_citus")).unwrap();
    assert_eq!(kept, before);
    run(&mut session, drop_old);
    assert_eq!(text(&mut session, contents).unwrap(), before);
    assert_eq!(findings(&mut session), "");
    run(&mut session, "CALL operation_insert_one()");
    run(&mut session, "CALL change_status(100)");
    assert_eq!(text(&mut session, LIVE_DIFFERENCE).unwrap(), "");
    let ids = "SELECT count(*) = count(DISTINCT id) FROM operations";
    assert_eq!(text(&mut session, ids).unwrap(), "t");
}
