//! Who may do what on a table that was distributed.

use operations_cluster::expect::{expect_refused, run};
use operations_cluster::{DATABASE, db_error, text, value};
use postgres::Client;

use crate::common::{Cluster, NOT_SUPPORTED, done, expect_says, expect_sums, flip};

const NOT_PERMITTED: &[&str] = &["42501"];

/// Checks that PostgreSQL itself refuses, here or on a worker.
#[track_caller]
fn expect_not_permitted(session: &mut Client, statement: &str) {
    let error = db_error(session.batch_execute(statement)).unwrap();
    assert_eq!(error.code().code(), NOT_PERMITTED[0], "{statement}: {error:?}");
}

#[test]
fn who_was_granted_the_work_can_do_it_and_nothing_more() {
    let Some((cluster, mut session)) =
        Cluster::with_rows("rights::who_was_granted_the_work_can_do_it_and_nothing_more")
    else {
        return;
    };
    let password = cluster.coordinator.password();
    run(&mut session, &format!("CREATE ROLE clerk LOGIN PASSWORD '{password}'"));
    run(&mut session, &format!("CREATE ROLE stranger LOGIN PASSWORD '{password}'"));
    run(&mut session, "GRANT SELECT, UPDATE (status) ON operations TO clerk");
    run(&mut session, "GRANT SELECT ON client_type_sum_live TO clerk");
    run(&mut session, "GRANT EXECUTE ON PROCEDURE change_status(integer) TO clerk, stranger");
    run(&mut session, "GRANT EXECUTE ON PROCEDURE operations_distribute() TO clerk");
    let mut clerk = cluster.coordinator.connect_as("clerk", DATABASE).unwrap();
    let error = expect_refused(&mut clerk, "CALL operations_distribute()", NOT_PERMITTED);
    expect_says(&error, "must be superuser to execute operations_distribute()", "superuser", "superuser");
    run(&mut session, "CALL operations_distribute()");
    // By which the coordinator logs in to the workers as the clerk.
    run(&mut session, &format!("INSERT INTO pg_dist_authinfo VALUES (0, 'clerk', 'password={password}')"));

    let before = done(&mut session);
    run(&mut clerk, "CALL change_status(10)");
    assert_eq!(done(&mut session), before + 10);
    assert!(value::<i64>(&mut clerk, "SELECT count(*) FROM client_type_sum_live").unwrap() > 0);
    for forgery in [
        "INSERT INTO operations_shard_delta VALUES ('2025-10-01', 1, 'online', 1, 1000)",
        "UPDATE operations_shard_rollup SET amount = 0",
        "UPDATE operations_shard SET command = 'flip', role = 'postgres', parity = 0, batch = 5",
        "DELETE FROM operations_shard_month",
    ] {
        expect_not_permitted(&mut clerk, forgery);
    }
    // Who may call it, and may not change the rows, changes none.
    let mut stranger = cluster.coordinator.connect_as("stranger", DATABASE).unwrap();
    expect_not_permitted(&mut stranger, "CALL change_status(10)");
    expect_not_permitted(&mut stranger, "SELECT * FROM client_type_sum_live");
    assert_eq!(done(&mut session), before + 10);
    expect_sums(&mut session, "all that was refused");
}

/// A table has the name of a shard that is on another node: its changes are counted nowhere.
#[test]
fn a_table_with_the_name_of_a_shard_is_none() {
    let Some((cluster, mut session)) = Cluster::sharded("rights::a_table_with_the_name_of_a_shard_is_none") else {
        return;
    };
    flip(&mut session, 10);
    flip(&mut session, 10);
    let [here, there] = [cluster.workers[0].port(), cluster.workers[1].port()];
    let shard = format!(
        "SELECT 'operations_2025_10_' || min(p.shardid) FROM pg_dist_placement p JOIN pg_dist_shard s USING (shardid)
         JOIN pg_dist_node n USING (groupid) WHERE s.logicalrelid = 'operations_2025_10'::regclass AND n.nodeport = {there}"
    );
    let name = text(&mut session, &shard).unwrap();
    let password = cluster.coordinator.password();
    run(&mut session, &format!("CREATE ROLE forger LOGIN PASSWORD '{password}'"));
    run(&mut session, "GRANT CREATE ON SCHEMA public TO forger");
    let mut forger =
        cluster.workers.iter().find(|worker| worker.port() == here).unwrap().connect_as("forger", DATABASE).unwrap();
    for table in [name, "forged".into()] {
        run(
            &mut forger,
            &format!(
                "CREATE TABLE public.{table} (amount numeric, client_id integer, operation_type operation_type_enum, status smallint)"
            ),
        );
        run(
            &mut forger,
            &format!(
                "CREATE TRIGGER forge AFTER INSERT ON public.{table} FOR EACH ROW EXECUTE FUNCTION operations_count_change()"
            ),
        );
        let error = expect_refused(
            &mut forger,
            &format!("INSERT INTO public.{table} VALUES (1000, 1, 'online', 1)"),
            NOT_SUPPORTED,
        );
        expect_says(&error, "cannot be counted", "is a worker node", "");
    }
    expect_sums(&mut session, "a forgery");
}

/// All that a transaction does with the shards it does as the owner of the extension: who owns the rows has to be as trusted.
#[test]
fn who_owns_the_table_has_the_rights_of_the_owner_of_the_extension() {
    let Some((cluster, mut session)) =
        Cluster::with_rows("rights::who_owns_the_table_has_the_rights_of_the_owner_of_the_extension")
    else {
        return;
    };
    run(&mut session, &format!("CREATE ROLE keeper LOGIN PASSWORD '{}'", cluster.coordinator.password()));
    run(&mut session, "BEGIN");
    run(&mut session, "ALTER TABLE operations OWNER TO keeper");
    run(&mut session, "SAVEPOINT owned");
    expect_refused(&mut session, "CALL operations_distribute()", NOT_PERMITTED);
    run(&mut session, "ROLLBACK");
    run(&mut session, "CALL operations_distribute()");
    run(&mut session, "ALTER TABLE operations OWNER TO keeper");
    for refused in ["CALL change_status(10)", "SELECT * FROM operations_verify_rollup()"] {
        expect_refused(&mut session, refused, NOT_PERMITTED);
    }
    run(&mut session, "ALTER TABLE operations OWNER TO CURRENT_USER");
    flip(&mut session, 10);
    // Nor is a view read as that owner which somebody has made otherwise.
    run(
        &mut session,
        "CREATE OR REPLACE VIEW client_type_sum_live AS
         SELECT 1 AS client_id, 'online'::operation_type_enum AS operation_type, 1::numeric AS total_amount",
    );
    let error = expect_refused(&mut session, "CALL change_status(10)", NOT_SUPPORTED);
    expect_says(
        &error,
        "the views of the sums are not as operations_setup() makes them",
        "another query",
        "Drop the view",
    );
}
