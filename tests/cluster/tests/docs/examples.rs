//! Runs the examples of a page.

use std::fs::File;

use operations_cluster::{DATABASE, Server, ServerBuilder, Stop, finish, repository};

use crate::output::{as_read, has_error, is_as_said};
use crate::page::{Example, Page};

/// What is wrong with the examples of a page, each with its place and all that psql printed.
pub fn failures(page: &Page) -> Vec<String> {
    let examples = page.examples();
    let primary = primary(page);
    let wants_replica = examples.iter().any(|example| example.on_the_replica);
    let replica = wants_replica.then(|| primary.replica().start().unwrap());
    let mut failures = Vec::new();
    for example in examples.iter().filter(|example| example.not_run.is_none()) {
        let server = match &replica {
            Some(replica) if example.on_the_replica => {
                primary.wait_for_catchup(replica).unwrap();
                replica
            }
            _ => &primary,
        };
        let printed = as_read(&psql(server, &example.sql));
        if let Some(why) = what_is_wrong(example, &printed) {
            failures.push(format!("{}:{} {why}\n{}\nIt printed:\n{printed}", page.name, example.line, example.sql));
        }
    }
    failures
}

fn what_is_wrong(example: &Example, printed: &str) -> Option<&'static str> {
    match &example.output {
        Some(said) if is_as_said(said, printed) => None,
        Some(_) => Some("prints something else than the page says:"),
        None if has_error(printed) => Some("ends in an error, and no output that follows says so:"),
        None => None,
    }
}

/// A server whose worker serves the database, which is set up as the demo's is or empty.
fn primary(page: &Page) -> Server {
    let builder = Server::primary().with_worker();
    if page.wants_an_empty_database() {
        return builder.start().unwrap();
    }
    let server = match page.name.as_str() {
        // The doctor shall find there what it finds in the demo, which tests do without for speed.
        "docs/doctor.md" => with_checksums(builder.with_rows().setting("fsync", "on")),
        _ => builder.with_rows().start().unwrap(),
    };
    let mut roles = server.client_program("psql", DATABASE).unwrap();
    roles.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"]).arg(repository("docker/init_main/06_roles.sql"));
    finish(roles).unwrap().success().unwrap();
    server
}

fn with_checksums(builder: ServerBuilder) -> Server {
    let mut server = builder.start().unwrap();
    server.stop(Stop::Fast).unwrap();
    let mut enable = server.client_program("pg_checksums", DATABASE).unwrap();
    enable.arg("--enable").arg("-D").arg(server.data());
    finish(enable).unwrap().success().unwrap();
    server.start().unwrap();
    server
}

/// All that psql prints of a script, results, notices and errors in their order.
fn psql(server: &Server, script: &str) -> String {
    let script = server.write_file("example.sql", script).unwrap();
    let printed = server.folder().join("example.out");
    let output = File::create(&printed).unwrap();
    let mut psql = server.client_program("psql", DATABASE).unwrap();
    psql.args(["-X", "-q", "-v", "VERBOSITY=verbose", "-P", "pager=off"])
        .stdin(File::open(script).unwrap())
        .stdout(output.try_clone().unwrap())
        .stderr(output);
    psql.status().unwrap();
    std::fs::read_to_string(printed).unwrap()
}
