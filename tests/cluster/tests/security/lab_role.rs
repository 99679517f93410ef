//! docker/init_main/09_lab_role.sql takes no role that somebody made to have what is granted to it, or that others may become.

use operations_cluster::expect::{major, run};
use operations_cluster::{Server, finish, repository};
use postgres::Client;

use crate::lab::MALLORY;

fn make(server: &Server) -> Result<String, String> {
    let mut psql = server.client_program("psql", operations_cluster::DATABASE).unwrap();
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"]).arg(repository("docker/init_main/09_lab_role.sql"));
    psql.env("LAB_PASSWORD", server.password());
    finish(psql).unwrap().success().map_err(|error| error.to_string())
}

fn attributes(session: &mut Client) -> (bool, bool, i32, bool, Option<Vec<String>>) {
    let query = "SELECT rolcanlogin, rolinherit, rolconnlimit, pg_has_role('operations_lab', 'operations_monitor', 'usage'), rolconfig \
                 FROM pg_roles WHERE rolname = 'operations_lab'";
    let row = session.query_one(query, &[]).unwrap();
    (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4))
}

#[test]
fn the_role_that_looks_is_nobody_elses() {
    let server = Server::primary().start().unwrap();
    let mut session = server.session().unwrap();
    run(
        &mut session,
        &format!(
            "CREATE ROLE operations_monitor; CREATE ROLE {MALLORY} CREATEROLE LOGIN PASSWORD '{}'",
            server.password()
        ),
    );
    for (made, why) in [
        ("CREATE ROLE operations_lab SUPERUSER", "may more than look"),
        ("CREATE ROLE operations_lab CREATEROLE", "may more than look"),
        ("CREATE ROLE operations_lab CREATEDB", "may more than look"),
        ("CREATE ROLE operations_lab REPLICATION", "may more than look"),
        ("CREATE ROLE operations_lab BYPASSRLS", "may more than look"),
        ("CREATE ROLE operations_lab ROLE mallory", "has members: mallory"),
        ("CREATE ROLE operations_lab IN ROLE pg_write_all_data", "is a member of pg_write_all_data"),
        (
            "CREATE ROLE operations_lab; GRANT operations_monitor TO operations_lab WITH ADMIN OPTION",
            "is a member of operations_monitor",
        ),
    ] {
        run(&mut session, made);
        let refused = make(&server).unwrap_err();
        assert!(refused.contains(&format!("the role operations_lab is there already, and {why}")), "{made}: {refused}");
        run(&mut session, "DROP ROLE operations_lab");
    }
    // Who makes a role may give it a password, and become it. In PostgreSQL 15 CREATEROLE may do that to any role but superusers, whoever
    // made it.
    if major() >= 16 {
        let mut mallory = server.connect_as(MALLORY, operations_cluster::DATABASE).unwrap();
        run(&mut mallory, "CREATE ROLE operations_lab");
        let refused = make(&server).unwrap_err();
        assert!(refused.contains("has members: mallory"), "{refused}");
        run(&mut session, "DROP ROLE operations_lab");
    }
    run(&mut session, "CREATE ROLE operations_lab NOINHERIT; ALTER ROLE operations_lab SET work_mem = '1GB'");
    for _ in 0..2 {
        make(&server).unwrap();
        assert_eq!(attributes(&mut session), (true, true, 20, true, None));
    }
}
