//! What somebody with few rights, or in a session with other settings, could do to the nodes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use operations_cluster::expect::{expect_refused, run};
use operations_cluster::{DATABASE, db_error, repository, text, value};
use postgres::Client;
use postgres::types::ToSql;

use crate::common::{Cluster, NOT_SUPPORTED, done, expect_all_followed, expect_says, expect_sums, flip, insert};

const NOT_ALONE: &[&str] = &["25001"];

/// A session whose messages need not be in the order in which drivers send them.
struct Wire(TcpStream);

impl Wire {
    /// Of a role that needs no password.
    fn of(role: &str, port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut wire = Self(stream);
        let startup =
            [&196_608_i32.to_be_bytes()[..], format!("user\0{role}\0database\0{DATABASE}\0\0").as_bytes()].concat();
        wire.0.write_all(&(startup.len() as i32 + 4).to_be_bytes()).unwrap();
        wire.0.write_all(&startup).unwrap();
        assert_eq!(wire.answer(), None);
        wire
    }

    fn send(&mut self, kind: u8, body: &[u8]) {
        let length = (body.len() as i32 + 4).to_be_bytes();
        self.0.write_all(&[&[kind][..], &length, body].concat()).unwrap();
    }

    /// The SQLSTATE of the first error before the server is ready for the next query.
    fn answer(&mut self) -> Option<String> {
        let mut error = None;
        loop {
            let mut head = [0; 5];
            self.0.read_exact(&mut head).unwrap();
            let mut body = vec![0; u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize - 4];
            self.0.read_exact(&mut body).unwrap();
            match head[0] {
                b'E' if error.is_none() => {
                    let fields: Vec<_> = body.split(|byte| *byte == 0).collect();
                    let code = fields.iter().find(|field| field.first() == Some(&b'C')).unwrap();
                    error = Some(String::from_utf8_lossy(&code[1..]).into_owned());
                }
                b'Z' => return error,
                _ => {}
            }
        }
    }
}

/// A role that may do the work, and look at the sums, and how the coordinator logs in as it.
fn clerk(cluster: &Cluster, session: &mut Client) -> Client {
    let password = cluster.coordinator.password();
    run(session, &format!("CREATE ROLE clerk LOGIN PASSWORD '{password}'"));
    run(session, "GRANT SELECT, INSERT, UPDATE (status) ON operations TO clerk");
    run(session, "GRANT SELECT ON client_type_sum_live, client_type_sum_mv TO clerk");
    run(session, "GRANT SELECT ON operations_shard_rollup, operations_shard_delta, operations_shard_state TO clerk");
    run(session, "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO clerk");
    run(session, "GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA public TO clerk");
    run(session, &format!("INSERT INTO pg_dist_authinfo VALUES (0, 'clerk', 'password={password}')"));
    let mut clerk = cluster.coordinator.connect_as("clerk", DATABASE).unwrap();
    run(&mut clerk, "SET statement_timeout = '60s'");
    clerk
}

/// Citus sends on to each session of the nodes, whosever it is, the message that a SET LOCAL came in.
const MESSAGE: &str = "SET LOCAL a.b = 'c';
    DO $$ BEGIN IF current_user <> 'clerk' THEN CREATE TABLE public.seized (); END IF; END $$";

#[test]
fn nothing_of_the_callers_runs_on_the_nodes_as_another_role() {
    let Some((cluster, mut session)) =
        Cluster::sharded("attacks::nothing_of_the_callers_runs_on_the_nodes_as_another_role")
    else {
        return;
    };
    flip(&mut session, 10);
    flip(&mut session, 10);
    let mut clerk = clerk(&cluster, &mut session);
    for (statement, refused) in [
        ("CALL public.change_status(10)", true),
        ("SELECT * FROM public.operations_verify_rollup(true)", true),
        ("CALL public.operations_maintain_partitions(9)", true),
        ("SELECT * FROM public.operations_verify_rollup()", false),
        ("SELECT * FROM public.operations_stale_sums()", false),
        ("SELECT * FROM public.operations_doctor_sums(true)", false),
    ] {
        run(&mut clerk, "BEGIN; SET LOCAL citus.propagate_set_commands = 'local'");
        run(&mut clerk, MESSAGE);
        let error = db_error(clerk.batch_execute(statement));
        assert_eq!(
            error.as_ref().map(|error| error.code().code()),
            refused.then_some("25001"),
            "{statement}: {error:?}"
        );
        run(&mut clerk, if refused { "ROLLBACK" } else { "COMMIT" });
        for node in &cluster.workers {
            let seized = text(&mut node.session().unwrap(), "SELECT to_regclass('public.seized')").unwrap();
            assert_eq!(seized, "NULL", "{statement}");
        }
    }

    // Nor in a transaction that only looks like one statement.
    let before = done(&mut session);
    run(&mut session, "CREATE FUNCTION seven() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RETURN 7; END $$");
    for statement in [
        "BEGIN; CALL change_status(10)",
        "ROLLBACK; SELECT 1; CALL change_status(10)",
        "DO $$ BEGIN CALL change_status(10); END $$",
        "CALL change_status(seven())",
    ] {
        let error = db_error(clerk.batch_execute(statement)).unwrap();
        assert_eq!(error.code().code(), NOT_ALONE[0], "{statement}: {error:?}");
        run(&mut clerk, "ROLLBACK");
    }
    assert_eq!(done(&mut session), before);
    let error = expect_refused(&mut clerk, "SELECT * FROM operations_verify_rollup(true)", NOT_ALONE);
    expect_says(&error, "as role \"postgres\" with more in the transaction", "SET LOCAL", "Send the CALL alone");

    // What is alone works.
    run(&mut clerk, "CALL change_status(10)");
    run(&mut clerk, "CALL operations_maintain_partitions(9)");
    assert_eq!(done(&mut session), before + 10);
    // By the extended protocol, whose Bind has run what checks the domain of a parameter, and Parse what it plans.
    for (call, parameters) in
        [("CALL change_status($1)", &[&10 as &(dyn ToSql + Sync)][..]), ("CALL change_status(10)", &[])]
    {
        let error = db_error(clerk.execute(call, parameters)).unwrap();
        assert_eq!(error.code().code(), NOT_ALONE[0], "{call}: {error:?}");
    }
    assert_eq!(done(&mut session), before + 10);
    for none in ["operations_verify_rollup()", "operations_stale_sums()", "operations_doctor_sums(true)"] {
        assert_eq!(text(&mut clerk, &format!("SELECT * FROM {none}")).unwrap(), "", "{none}");
    }
    expect_sums(&mut session, "all that was refused");
}

#[test]
fn dates_are_understood_in_each_datestyle() {
    let Some((_cluster, mut session)) = Cluster::sharded("attacks::dates_are_understood_in_each_datestyle") else {
        return;
    };
    flip(&mut session, 10);
    flip(&mut session, 10);
    for style in ["SQL, DMY", "German", "Postgres, DMY", "ISO, YMD"] {
        run(&mut session, &format!("SET datestyle = '{style}'"));
        flip(&mut session, 50);
        run(&mut session, "TRUNCATE operations_2025_09");
        insert(&mut session, 50, 20, 1);
        flip(&mut session, 50);
        run(&mut session, "SELECT * FROM operations_verify_rollup(true)");
        flip(&mut session, 5);
        expect_all_followed(&mut session, style);
    }
}

/// The snapshot of such a transaction may be older than what the nodes have counted.
#[test]
fn no_other_isolation_level_is_taken() {
    let Some((cluster, mut session)) = Cluster::sharded("attacks::no_other_isolation_level_is_taken") else { return };
    flip(&mut session, 10);
    flip(&mut session, 10);
    let mut other = cluster.session();
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        run(&mut session, &format!("BEGIN ISOLATION LEVEL {level}"));
        run(&mut session, "SELECT count(*) FROM operations_shard_month");
        run(&mut other, "CALL operations_maintain_partitions(12)");
        run(&mut other, "SELECT * FROM operations_verify_rollup(true)");
        insert(&mut other, 200, 50, 1);
        let error = expect_refused(&mut session, "CALL change_status(40)", NOT_SUPPORTED);
        expect_says(&error, "take READ COMMITTED", "one snapshot", "of its own");
        run(&mut session, "ROLLBACK");
        flip(&mut session, 1);
    }
}

/// Who may write the table by which the coordinator has the nodes work is not by that who may act as any role.
#[test]
fn who_may_write_all_tables_acts_as_nobody_else() {
    let Some((cluster, mut session)) = Cluster::sharded("attacks::who_may_write_all_tables_acts_as_nobody_else") else {
        return;
    };
    flip(&mut session, 10);
    flip(&mut session, 10);
    let mut clerk = clerk(&cluster, &mut session);
    run(&mut session, "GRANT ALL ON operations_shard TO clerk; REVOKE ALL ON operations FROM clerk");
    let before = done(&mut session);
    for command in ["flip', role = 'postgres", "flip', role = 'clerk", "track', forgotten = '{2025-08-01}"] {
        let forged =
            format!("UPDATE operations_shard SET command = '{command}', parity = 0, batch = 5, tracked = '{{}}'");
        let error = db_error(clerk.batch_execute(&forged)).unwrap();
        assert_eq!(error.code().code(), "42501", "{command}: {error:?}");
    }
    assert_eq!(done(&mut session), before);
    expect_sums(&mut session, "a forgery");
}

/// With the grants of the demo, made before or after the table was distributed.
#[test]
fn the_roles_of_the_demo_read_the_sums() {
    let Some((cluster, mut session)) = Cluster::sharded("attacks::the_roles_of_the_demo_read_the_sums") else { return };
    flip(&mut session, 10);
    flip(&mut session, 10);
    let password = cluster.coordinator.password();
    let file = std::fs::read_to_string(repository("docker/init_main/06_roles.sql")).unwrap();
    for role in ["operations_reader", "operations_worker", "operations_load", "operations_monitor"] {
        run(&mut session, &format!("CREATE ROLE {role} NOLOGIN"));
        let user = format!("one_{role}");
        run(&mut session, &format!("CREATE ROLE {user} LOGIN PASSWORD '{password}' IN ROLE {role}"));
        run(&mut session, &format!("INSERT INTO pg_dist_authinfo VALUES (0, '{user}', 'password={password}')"));
    }
    // The first statement makes the roles, by a command of psql.
    let (_, grants) = file.split_once("\\gexec").unwrap();
    run(&mut session, grants);
    for role in ["operations_reader", "operations_worker", "operations_load", "operations_monitor"] {
        let mut user = cluster.coordinator.connect_as(&format!("one_{role}"), DATABASE).unwrap();
        let sums = "SELECT count(*) > 0 FROM client_type_sum_live";
        assert!(value::<bool>(&mut user, sums).unwrap(), "{role}");
    }
    let mut worker = cluster.coordinator.connect_as("one_operations_worker", DATABASE).unwrap();
    let before = done(&mut session);
    run(&mut worker, "CALL change_status(10)");
    assert_eq!(done(&mut session), before + 10);
    let mut monitor = cluster.coordinator.connect_as("one_operations_monitor", DATABASE).unwrap();
    let failed =
        "SELECT code, evidence FROM operations_doctor() WHERE code IN ('check_failed', 'sums_differ', 'view_stale')";
    assert_eq!(text(&mut monitor, failed).unwrap(), "");
}

/// In a name nothing is put in.
#[test]
fn a_schema_may_have_any_name() {
    let Some(cluster) = Cluster::start("attacks::a_schema_may_have_any_name") else { return };
    let mut session = cluster.session();
    const SCHEMA: &str = r#""a@delta@b;--""#;
    run(&mut session, "DROP EXTENSION operations_ext");
    run(&mut session, &format!("CREATE SCHEMA {SCHEMA}"));
    run(&mut session, &format!("CREATE EXTENSION operations_ext SCHEMA {SCHEMA}"));
    run(&mut session, &format!("SET search_path = {SCHEMA}, public"));
    run(&mut session, "CALL operations_setup()");
    run(&mut session, "CALL operations_distribute()");
    insert(&mut session, 200, 50, 0);
    flip(&mut session, 10);
    flip(&mut session, 10);
    assert_eq!(done(&mut session), 20);
}

/// A TRUNCATE on a worker node leaves no trace in the catalogs of the coordinator, by which the sums go.
#[test]
fn a_worker_refuses_to_truncate_operations() {
    let Some((cluster, mut session)) = Cluster::sharded("attacks::a_worker_refuses_to_truncate_operations") else {
        return;
    };
    run(&mut session, "CREATE TABLE other (client_id integer); SELECT create_distributed_table('other', 'client_id')");
    run(&mut session, "CALL operations_maintain_partitions(6)");
    flip(&mut session, 50);
    flip(&mut session, 50);
    let before = done(&mut session);
    let made_last: String =
        value(&mut session, "SELECT max(relid::text) FROM pg_partition_tree('operations')").unwrap();
    for worker in &cluster.workers {
        let mut worker = worker.session().unwrap();
        for table in ["operations", "operations_2025_08", made_last.as_str(), "other, operations_2025_09"] {
            let error = expect_refused(&mut worker, &format!("TRUNCATE {table}"), NOT_SUPPORTED);
            let message = "cannot execute TRUNCATE of operations on a worker node of Citus";
            expect_says(&error, message, "This server is of group", "SELECT nodename, nodeport FROM pg_dist_node");
        }
        run(&mut worker, "TRUNCATE other");
    }
    // By another name it is the same table, and its months are followed once it has its name again.
    run(&mut session, "ALTER TABLE operations RENAME TO renamed");
    expect_refused(&mut cluster.workers[1].session().unwrap(), "TRUNCATE operations_2025_08", NOT_SUPPORTED);
    run(&mut session, "ALTER TABLE renamed RENAME TO operations");
    assert_eq!(done(&mut session), before);
    expect_sums(&mut session, "refusals");

    run(&mut session, "TRUNCATE operations_2025_08");
    expect_sums(&mut session, "TRUNCATE on the coordinator");
    run(&mut session, "ALTER TABLE operations DETACH PARTITION operations_2025_09");
    run(&mut cluster.workers[0].session().unwrap(), "TRUNCATE operations_2025_09");
    expect_sums(&mut session, "TRUNCATE of a month that was detached");
}

/// A month of somebody else's making, and one whose trigger was taken away, are summed up from their rows, until the trigger is there.
#[test]
fn the_sums_do_not_follow_a_month_that_a_worker_would_truncate() {
    let test = "attacks::the_sums_do_not_follow_a_month_that_a_worker_would_truncate";
    let Some((cluster, mut session)) = Cluster::sharded(test) else { return };
    run(&mut session, "SET citus.enable_unsafe_triggers = on");
    run(&mut session, "CREATE TABLE by_hand PARTITION OF operations FOR VALUES FROM ('2035-01-01') TO ('2036-01-01')");
    let unguarded = [
        ("by_hand", "SELECT 1"),
        ("operations_2025_08", "DROP TRIGGER operations_guard_truncate ON operations_2025_08"),
        ("operations_2025_09", "ALTER TABLE operations_2025_09 DISABLE TRIGGER operations_guard_truncate"),
        (
            "operations_2025_10",
            "CREATE OR REPLACE TRIGGER operations_guard_truncate BEFORE TRUNCATE ON operations_2025_10
             FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION operations_count_change()",
        ),
    ];
    for (month, command) in unguarded {
        run(&mut session, command);
        run(
            &mut session,
            "INSERT INTO operations (operation_date, operation_guid, client_id, operation_type, amount, status, message)
             SELECT date '2035-02-01', gen_random_uuid(), n, 'offline', 3, 1, '{}' FROM generate_series(1, 20) n",
        );
        run(&mut session, "CALL change_status(10); CALL change_status(10)");
        expect_sums(&mut session, month);
        let mut worker = cluster.workers[0].session().unwrap();
        let truncate = format!("TRUNCATE {month}");
        run(&mut worker, &truncate);
        expect_sums(&mut session, &format!("{truncate} on a worker"));

        // What the caller has set does not keep the trigger from the workers.
        run(&mut session, "SET citus.enable_ddl_propagation = off");
        run(&mut session, "SET citus.enable_metadata_sync = off");
        run(&mut session, "CALL operations_maintain_partitions()");
        run(&mut session, "RESET citus.enable_ddl_propagation");
        run(&mut session, "RESET citus.enable_metadata_sync");
        flip(&mut session, 10);
        flip(&mut session, 10);
        expect_all_followed(&mut session, month);
        expect_refused(&mut worker, &truncate, NOT_SUPPORTED);
    }
}

/// Parse and Bind plan a statement, and so run what is immutable in it. Without Execute and Sync the next message is of the same transaction.
#[test]
fn what_was_only_bound_has_run_too() {
    let Some((cluster, mut session)) = Cluster::sharded("attacks::what_was_only_bound_has_run_too") else { return };
    drop(clerk(&cluster, &mut session));
    run(
        &mut session,
        "CREATE FUNCTION hers() RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'hers ran'; RETURN 1; END $$",
    );
    let hba = cluster.coordinator.data().join("pg_hba.conf");
    let rules = std::fs::read_to_string(&hba).unwrap();
    std::fs::write(&hba, format!("host all clerk 127.0.0.1/32 trust\n{rules}")).unwrap();
    run(&mut session, "SELECT pg_reload_conf()");
    let mut wire = Wire::of("clerk", cluster.coordinator.port());
    let before = done(&mut session);
    let bind = |wire: &mut Wire| {
        wire.send(b'P', b"\0SELECT hers()\0\0\0");
        wire.send(b'B', &[0; 8]);
    };
    bind(&mut wire);
    wire.send(b'Q', b"CALL public.change_status(10)\0");
    assert_eq!(wire.answer().as_deref(), Some(NOT_ALONE[0]));
    bind(&mut wire);
    wire.send(b'P', b"call\0CALL public.change_status(10)\0\0\0");
    wire.send(b'B', b"\0call\0\0\0\0\0\0\0");
    wire.send(b'E', &[0; 5]);
    wire.send(b'S', b"");
    assert_eq!(wire.answer().as_deref(), Some(NOT_ALONE[0]));
    assert_eq!(done(&mut session), before);
    assert!(cluster.coordinator.log().unwrap().contains("hers ran"));
    wire.send(b'Q', b"CALL public.change_status(10)\0");
    assert_eq!(wire.answer(), None);
    assert_eq!(done(&mut session), before + 10);
}
