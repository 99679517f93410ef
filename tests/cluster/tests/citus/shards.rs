//! The triggers that count, where Citus was told to put them on shards.

use operations_cluster::expect::{expect_refused, run};
use operations_cluster::{db_error, value};

use crate::common::{Cluster, DISTRIBUTE, NOT_SUPPORTED, expect_says};

#[test]
fn triggers_on_shards_refuse_what_they_cannot_count() {
    let test = "shards::triggers_on_shards_refuse_what_they_cannot_count";
    let Some((cluster, mut session)) = Cluster::with_rows(test) else { return };
    run(&mut session, "SET citus.enable_unsafe_triggers = on");
    run(
        &mut session,
        "ALTER TABLE operations DROP CONSTRAINT operations_pkey, ADD PRIMARY KEY (operation_date, client_id, id)",
    );
    // Done rows would be counted as they are copied.
    // Of an error of COPY on a worker Citus hands on message and DETAIL, no more.
    let error = db_error(session.batch_execute(DISTRIBUTE)).unwrap();
    expect_says(&error, "cannot be counted", "is a worker node", "");
    run(&mut session, "UPDATE operations SET status = 0");
    run(&mut session, DISTRIBUTE);
    run(&mut session, "CALL operation_insert_one()");
    let done = "UPDATE operations SET status = 1 WHERE id = (SELECT min(id) FROM operations)";
    let error = expect_refused(&mut session, done, NOT_SUPPORTED);
    expect_says(&error, "cannot be counted", "is a worker node", "operations_count_insert");
    assert_eq!(value::<i64>(&mut session, "SELECT count(*) FROM operations WHERE status = 1").unwrap(), 0);
    for worker in &cluster.workers {
        let deltas = "SELECT count(*) FROM operations_delta";
        assert_eq!(value::<i64>(&mut worker.session().unwrap(), deltas).unwrap(), 0);
    }
}
