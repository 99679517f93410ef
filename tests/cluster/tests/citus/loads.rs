//! `operations_test_data()` on all nodes.

use std::thread;
use std::time::Duration;

use operations_cluster::expect::{expect_refused, run, wait_until};
use operations_cluster::{DATABASE, Server, Stop, db_error, text, value};
use postgres::Client;

use crate::common::{
    Cluster, NOT_SUPPORTED, SHARDS, done, expect_all_followed, expect_says, expect_sums, flip, insert, next_command,
    operations, run_as_psql,
};

/// A load of months that are there and of such that are not.
const LOAD: &str = "CALL operations_test_data('2025-10-15', '2026-12-10', 30000, 7)";

/// All rows, in the order of their ids.
const ROWS: &str = "SELECT count(*), max(id), md5(string_agg(o::text, ' ' ORDER BY id)) FROM operations o";

/// As [`Cluster::with_rows`] makes it, on one server.
fn one_server() -> (Server, Client) {
    let server = Server::primary().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    run(&mut session, "CALL operations_test_data('2025-08-01', '2025-11-30', 2000, 1)");
    run(&mut session, "UPDATE operations SET status = 1 WHERE id % 10 = 0");
    (server, session)
}

/// Checks that only rows of a load that has ended are there.
fn expect_nothing_left(cluster: &Cluster, rows: i64) {
    let mut session = cluster.session();
    run(&mut session, "SELECT recover_prepared_transactions()");
    assert_eq!(operations(&mut session), rows);
    assert_eq!(value::<i64>(&mut session, "SELECT count(*) FROM operations_shard_load").unwrap(), 0);
    assert_eq!(text(&mut session, "SELECT * FROM operations_load_progress").unwrap(), "");
    expect_sums(&mut session, "a load");
}

/// How many sessions have written into shards in transactions that are open.
fn sessions_on_nodes(cluster: &Cluster) -> i32 {
    let writers = "SELECT count(DISTINCT pid)::integer FROM pg_locks
                   WHERE relation::regclass::text ~ '^operations_2025_10_[0-9]+$' AND mode = 'RowExclusiveLock'";
    let writers = |worker: &Server| value::<i32>(&mut worker.session().unwrap(), writers).unwrap();
    cluster.workers.iter().map(writers).sum()
}

#[test]
fn the_rows_are_those_of_one_server() {
    let Some((cluster, mut session)) = Cluster::sharded("loads::the_rows_are_those_of_one_server") else { return };
    let (_server, mut plain) = one_server();
    // The status of the first 201 may differ: one of them was changed by change_status() there.
    for session in [&mut session, &mut plain] {
        run(session, "UPDATE operations SET status = 0");
        run(session, LOAD);
    }
    assert_eq!(text(&mut session, ROWS).unwrap(), text(&mut plain, ROWS).unwrap());
    expect_nothing_left(&cluster, 32_000);
    // Each is in the shard that a query by its client looks in, and both indexes find it.
    for by in ["client_id = 7", "status = 0 AND id = 2001", "operation_date = '2026-03-01'"] {
        let found = format!("SELECT string_agg(id::text, ' ' ORDER BY id) FROM operations WHERE {by}");
        let (ours, theirs) = (text(&mut session, &found).unwrap(), text(&mut plain, &found).unwrap());
        assert!(ours == theirs && ours != "NULL", "{by}: {ours}");
    }
    // The next id is the next one, and the new months count.
    run(&mut session, "CALL operation_insert_one()");
    assert_eq!(value::<i64>(&mut session, "SELECT max(id) FROM operations").unwrap(), 32_001);
    flip(&mut session, 40_000);
    flip(&mut session, 10);
    expect_all_followed(&mut session, "a load that made months");
    run(&mut session, "UPDATE operations SET amount = amount + 1 WHERE operation_date >= '2026-01-01'");
    expect_sums(&mut session, "changes of the new months");
    run(&mut session, "CALL operations_maintain_partitions(12)");
    assert_eq!(text(&mut session, "SELECT count(*) FROM operations_hidden_rows()").unwrap(), "0");
}

#[test]
fn workers_are_sessions_of_each_node() {
    let Some((cluster, mut session)) = Cluster::sharded("loads::workers_are_sessions_of_each_node") else { return };
    let (_server, mut plain) = one_server();
    run(&mut session, "UPDATE operations SET status = 0");
    run(&mut plain, "UPDATE operations SET status = 0");
    // More than a node has shards are as many as it has.
    for workers in [1, 2, 9] {
        let load = format!("CALL operations_test_data('2025-08-01', '2025-11-30', 3000, {workers}, {workers})");
        run(&mut session, "BEGIN");
        run(&mut session, &load);
        assert_eq!(sessions_on_nodes(&cluster), 2 * workers.min(SHARDS / 2));
        run(&mut session, "COMMIT");
        run(&mut plain, &load);
    }
    // One session a node where months are made, or, in a transaction block, one a shard.
    let months = ["'2028-01-01', '2028-01-31'", "'2028-02-01', '2028-02-29'"];
    let [load, other] = months.map(|dates| format!("CALL operations_test_data({dates}, 3000, 5)"));
    run(&mut session, &load);
    run(&mut session, "BEGIN");
    let error = expect_refused(&mut session, &other.replace("5)", "5, 1)"), NOT_SUPPORTED);
    expect_says(
        &error,
        "p_workers cannot be heeded in this transaction",
        "p_workers is 1, and Citus works in 2 sessions",
        "Leave p_workers out",
    );
    run(&mut session, "ROLLBACK; SELECT setval('operations_id_seq', 14000)");
    run(&mut session, "BEGIN; SET LOCAL citus.force_max_query_parallelization = on");
    run(&mut session, "SELECT count(*) FROM operations; UPDATE operations SET amount = amount WHERE id < 9");
    run(&mut session, &other);
    assert_eq!(operations(&mut session), 17_000);
    expect_sums(&mut session, "a load in the transaction");
    run(&mut session, "COMMIT");
    for load in [load, other] {
        run(&mut plain, &load);
    }
    assert_eq!(text(&mut session, ROWS).unwrap(), text(&mut plain, ROWS).unwrap());
    expect_nothing_left(&cluster, 17_000);
}

#[test]
fn the_workload_goes_on_during_a_load() {
    let Some((cluster, mut session)) = Cluster::sharded("loads::the_workload_goes_on_during_a_load") else { return };
    insert(&mut session, 1000, 100, 0);
    flip(&mut session, 10);
    let before = done(&mut session);
    let mut loader = cluster.session();
    run(&mut loader, "BEGIN");
    run(&mut loader, "CALL operations_test_data('2025-08-01', '2025-11-30', 5000, 3)");
    run(&mut session, "SET statement_timeout = '60s'");
    flip(&mut session, 100);
    run(&mut session, "CALL operation_insert_one()");
    run(&mut session, "UPDATE operations SET amount = amount + 1 WHERE client_id < 50 AND status = 1");
    assert_eq!((operations(&mut session), done(&mut session)), (3001, before + 100));
    run(&mut loader, "COMMIT");
    expect_nothing_left(&cluster, 8001);
    flip(&mut session, 1000);
    assert_eq!(done(&mut session), before + 1100);
}

#[test]
fn all_or_none() {
    let Some((mut cluster, mut session)) = Cluster::sharded("loads::all_or_none") else { return };
    flip(&mut session, 10);
    let rows = operations(&mut session);
    let months = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'operations'::regclass";
    let before: i64 = value(&mut session, months).unwrap();
    // A rule of the table's owner refuses one of the rows.
    run(&mut session, "ALTER TABLE operations ADD CONSTRAINT rule CHECK (amount < 20000) NOT VALID");
    let error = db_error(session.batch_execute(LOAD)).unwrap();
    assert_eq!(error.code().code(), "23514", "{error:?}");
    run(&mut session, "ALTER TABLE operations DROP CONSTRAINT rule");
    run(&mut session, &format!("BEGIN; {LOAD}; ROLLBACK"));
    expect_nothing_left(&cluster, rows);
    // One that is cancelled, one that a node dies under.
    for how in ["cancelled", "killed"] {
        let mut loader = cluster.session();
        let pid: i32 = value(&mut loader, "SELECT pg_backend_pid()").unwrap();
        let load = "CALL operations_test_data('2025-10-15', '2026-12-10', 100000000, 7)";
        let loading = thread::spawn(move || db_error(loader.batch_execute(load)).unwrap());
        let progress = format!(
            "SELECT phase, month ~ '^2025-1', processes, rows_done > 0, rows_total FROM operations_load_progress WHERE pid = {pid}"
        );
        wait_until("the first rows", Duration::from_secs(120), || match text(&mut session, &progress).unwrap() {
            seen if seen == "inserting rows|t|3|t|100000000" => Ok(()),
            seen => Err(seen),
        });
        if how == "cancelled" {
            run(&mut session, &format!("SELECT pg_cancel_backend({pid})"));
        } else {
            cluster.workers[0].stop(Stop::Immediate).unwrap();
            cluster.workers[0].start().unwrap();
        }
        let error = loading.join().unwrap();
        assert_eq!(error.code().code() == "57014", how == "cancelled", "{error:?}");
        expect_nothing_left(&cluster, rows);
    }
    let mut session = cluster.session();
    assert_eq!(value::<i64>(&mut session, months).unwrap(), before);
    run(&mut session, LOAD);
    expect_nothing_left(&cluster, rows + 30_000);
}

#[test]
fn who_may_insert_may_load_and_nothing_more() {
    let Some((cluster, mut session)) = Cluster::sharded("loads::who_may_insert_may_load_and_nothing_more") else {
        return;
    };
    flip(&mut session, 10);
    let password = cluster.coordinator.password();
    for role in ["clerk", "stranger"] {
        run(&mut session, &format!("CREATE ROLE {role} LOGIN PASSWORD '{password}'"));
        run(&mut session, &format!("INSERT INTO pg_dist_authinfo VALUES (0, '{role}', 'password={password}')"));
        run(&mut session, &format!("GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA public TO {role}"));
    }
    run(&mut session, "GRANT INSERT ON operations TO clerk");
    let mut clerk = cluster.coordinator.connect_as("clerk", DATABASE).unwrap();
    let mut stranger = cluster.coordinator.connect_as("stranger", DATABASE).unwrap();
    run(&mut clerk, LOAD);
    assert_eq!(operations(&mut session), 32_000);
    // Citus would send what the caller has in the transaction to sessions of the owner.
    for statement in [format!("BEGIN; {LOAD}"), format!("DO $$ BEGIN {LOAD}; END $$")] {
        let error = db_error(clerk.batch_execute(&statement)).unwrap();
        assert_eq!(error.code().code(), "25001", "{statement}: {error:?}");
        run(&mut clerk, "ROLLBACK");
    }
    let error = db_error(stranger.batch_execute(LOAD)).unwrap();
    assert_eq!((error.code().code(), error.message()), ("42501", "permission denied for table operations"));
    // Who may write the table by which nodes are told what to load is not by that who may load.
    run(&mut session, "GRANT ALL ON operations_shard_load TO stranger");
    run(&mut stranger, "INSERT INTO operations_shard_load (key, load) SELECT n, 1 FROM generate_series(1, 50) n");
    for forged in ["seed = 1", "shards = '{1}', role = 'postgres', first_day = '2025-08-01', last_day = '2025-08-01'"] {
        let error = db_error(stranger.batch_execute(&format!("UPDATE operations_shard_load SET {forged}"))).unwrap();
        assert_eq!(error.code().code(), "42501", "{forged}: {error:?}");
    }
    run(&mut stranger, "DELETE FROM operations_shard_load");
    // Where policies decide who may insert what, nobody loads past them.
    run(&mut session, "ALTER TABLE operations ENABLE ROW LEVEL SECURITY");
    let error = expect_refused(&mut clerk, LOAD, NOT_SUPPORTED);
    expect_says(&error, "does not support tables with row-level security", "Row-level security", "owner");
    run(&mut session, "ALTER TABLE operations DISABLE ROW LEVEL SECURITY");
    expect_nothing_left(&cluster, 32_000);
}

#[test]
fn what_cannot_be_loaded_is_refused() {
    let Some((cluster, mut session)) = Cluster::sharded("loads::what_cannot_be_loaded_is_refused") else { return };
    let rows = operations(&mut session);
    let error = expect_refused(&mut cluster.workers[0].session().unwrap(), LOAD, NOT_SUPPORTED);
    expect_says(&error, "cannot execute operations_test_data() on a worker node", "group", "groupid = 0");
    run(&mut session, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    let error = expect_refused(&mut session, LOAD, NOT_SUPPORTED);
    expect_says(&error, "take READ COMMITTED", "one snapshot", "of its own");
    run(&mut session, "ROLLBACK");
    expect_nothing_left(&cluster, rows);
}

/// What was in the table before it was distributed by hand, and is in the files of the coordinator since.
#[test]
fn rows_that_no_query_finds_come_first() {
    let Some((cluster, mut session)) = Cluster::distributed("loads::rows_that_no_query_finds_come_first") else {
        return;
    };
    run(&mut session, "CALL operations_distribute()");
    let rows = operations(&mut session);
    let error = expect_refused(&mut session, LOAD, &["55000"]);
    expect_says(
        &error,
        "there are rows of \"public.operations_2025_08\" on the coordinator, where no query finds them",
        "before the table was distributed",
        "hidden_rows",
    );
    let command = next_command(&mut session, "hidden_rows");
    assert!(run_as_psql(&mut session, &command).is_none());
    run(&mut session, LOAD);
    expect_nothing_left(&cluster, rows + 30_000);
}

#[test]
fn shards_move_during_loads_and_the_coordinator_may_have_some() {
    let test = "loads::shards_move_during_loads_and_the_coordinator_may_have_some";
    let Some((cluster, mut session)) = Cluster::sharded(test) else { return };
    flip(&mut session, 10);
    let port = cluster.coordinator.port();
    run(&mut session, &format!("SELECT citus_set_node_property('127.0.0.1', {port}, 'shouldhaveshards', true)"));
    let loads = thread::scope(|scope| {
        let loader = scope.spawn(|| {
            let mut session = cluster.session();
            run(&mut session, "SET statement_timeout = '120s'");
            for seed in 0..8 {
                run(&mut session, &format!("CALL operations_test_data('2025-08-01', '2025-12-31', 4000, {seed})"));
            }
            8 * 4000
        });
        run(&mut session, "SELECT rebalance_table_shards(shard_transfer_mode => 'force_logical')");
        loader.join().unwrap()
    });
    let split =
        "SELECT isolate_tenant_to_new_shard('operations', 1208, 'CASCADE', shard_transfer_mode => 'block_writes')";
    run(&mut session, split);
    let here = "SELECT count(*) > 0 FROM pg_dist_placement WHERE groupid = 0";
    assert!(value::<bool>(&mut session, here).unwrap());
    run(&mut session, "CALL operations_test_data('2025-08-01', '2026-12-31', 4000, 9, 2)");
    expect_nothing_left(&cluster, 2000 + loads + 4000);
    let ids = "SELECT count(DISTINCT id), max(id) FROM operations";
    assert_eq!(text(&mut session, ids).unwrap(), "38000|38000");
    flip(&mut session, 500);
    flip(&mut session, 500);
}
