//! A coordinator of Citus and two workers (docker/compose.citus.yaml): who has the rows, and what becomes of them when a worker goes.
//!
//! All but the first take a base image with Citus, which `CITUS_POSTGRES_IMAGE` names.

use std::time::Instant;

use operations_lab::checkout;
use operations_lab::checks::{Outcome, require, same};

use crate::access::has_no_password;
use crate::bases;
use crate::contents::{DONE_ROWS, ROWS, at_least, come_to_be_more_than, jobs_tick};
use crate::demo::{Demo, took_at_most};
use crate::lab::{comes_to_be_ok, comes_to_find, nothing_is_lost, try_lab};
use crate::page::shows_both_servers;
use crate::programs::wait;
use crate::service::Service;
use crate::volumes::with_init;

const WORKERS: [&str; 2] = ["postgres_worker_1", "postgres_worker_2"];

/// What the doctor finds, of all rows.
const DIFFERENCES: &str = "SELECT pg_catalog.count(*) FROM public.operations_doctor(true) WHERE severity <> 'info'";

/// How many nodes have shards of the operations.
const PLACES: &str = "SELECT pg_catalog.count(DISTINCT nodename) FROM pg_catalog.citus_shards WHERE table_name = 'public.operations'::pg_catalog.regclass";

/// Whether a worker has any of their shards.
const SHARDS: &str =
    "SELECT pg_catalog.count(*) > 0 FROM pg_catalog.pg_class WHERE relname LIKE 'operations\\_2025\\_08\\_%'";

/// Also where the check before has failed, or was none of these.
fn need(demo: &Demo) -> Outcome {
    demo.become_citus()?;
    demo.comes_up(180)?;
    comes_to_be_ok(demo, 120)?;
    Ok(())
}

fn workers(demo: &Demo) -> [Service<'_>; 2] {
    WORKERS.map(|name| demo.service(name))
}

/// The first of the stages that need it asks for it, before anything is built on it.
pub fn base_without_citus_is_refused(demo: &Demo) -> Outcome {
    let build = demo.plain_compose(&checkout().join("compose.yaml")).file(checkout().join("docker/compose.citus.yaml"));
    let build = bases::settings().into_iter().fold(build, |build, (name, value)| build.env(name, value));
    let refused = build.try_run(&["build", "postgres_primary"])?.refused("the base has no Citus")?.text();
    require(refused.contains("POSTGRES_IMAGE has no Citus for PostgreSQL"), refused)
}

pub fn citus_starts_with_two_workers(demo: &Demo) -> Outcome {
    demo.become_citus()?;
    demo.down_with_data()?;
    demo.compose().up(&[])?;
    comes_to_be_ok(demo, 120)?;
    let coordinator = demo.primary();
    at_least(demo, ROWS, "100000")?;
    coordinator.answers("nodes with operations", PLACES, "2")?;
    coordinator.answers("nodes that differ", DIFFERENCES, "0")?;
    demo.replica().answers("the replica reads the rows of the workers", &format!("SELECT ({ROWS}) >= 100000"), "t")?;
    jobs_tick(demo)?;
    come_to_be_more_than(demo, DONE_ROWS, "0")?;
    shows_both_servers(demo)?;
    for worker in workers(demo) {
        let container = worker.container()?;
        same("published ports", "map[]", container.inspect("{{.HostConfig.PortBindings}}")?.as_str())?;
        let says = "SELECT code FROM public.operations_doctor() WHERE code LIKE 'citus%'";
        same("what the doctor says there", "citus_worker", container.psql(says)?.as_str())?;
    }
    nothing_is_lost(demo)
}

pub fn passwords_of_the_nodes_are_nowhere_to_be_seen(demo: &Demo) -> Outcome {
    need(demo)?;
    for service in workers(demo).into_iter().chain([demo.primary(), demo.replica()]) {
        let container = service.container()?;
        let seen = [
            container.inspect("{{json .Path}} {{json .Args}} {{json .Config.Cmd}} {{json .Config.Healthcheck}}")?,
            demo.engine.ask(&["top", &container.id, "-eo", "pid,args"])?,
            container.log()?.0,
            container.psql("SELECT authinfo FROM pg_catalog.pg_dist_authinfo")?,
        ];
        has_no_password(service.name, &seen)?;
        let file = container.exec("root", &["stat", "--format", "%a %U", "/var/run/postgresql/pgpass"])?;
        same("who reads the file with the passwords", "600 postgres", file.as_str())?;
        // Each node asks the others for one.
        for other in WORKERS.into_iter().filter(|name| *name != service.name) {
            let knock = [
                "env",
                "-u",
                "PGPASSFILE",
                "psql",
                "--no-psqlrc",
                "--no-password",
                "--host",
                other,
                "--username",
                "postgres",
            ];
            let refused =
                container.try_exec("postgres", &[&knock[..], &["--command", "select 1", "template1"]].concat())?;
            let text = refused.refused("it gave no password")?.text();
            require(text.contains("no password supplied"), text)?;
        }
    }
    Ok(())
}

pub fn what_cannot_hold_on_citus_is_refused(demo: &Demo) -> Outcome {
    need(demo)?;
    let refused = try_lab(demo, &["failover"])?.refused("the replica lacks what the workers have")?.text();
    require(refused.contains("is not for a coordinator of Citus"), refused)?;
    let began = Instant::now();
    demo.compose().env("SYNC", "on").try_up(&[])?.refused("the workers have no replicas")?;
    took_at_most(began, 120, "the refusal")?;
    demo.primary().log()?.says(&["SYNC=on: the rows are on the workers", "set SYNC=off"])?;
    need(demo)
}

pub fn killed_worker_comes_back(demo: &Demo) -> Outcome {
    need(demo)?;
    let worker = demo.service(WORKERS[1]);
    let rows = demo.primary().ask(ROWS)?;
    worker.container()?.kill()?;
    let report = comes_to_find(demo, "citus_node_away", "postgres_primary", 60)?;
    require(report.contains(WORKERS[1]), format!("the doctor does not say who is away: {report}"))?;
    worker.container()?.start()?;
    worker.becomes("healthy", 60)?;
    comes_to_be_ok(demo, 120)?;
    jobs_tick(demo)?;
    come_to_be_more_than(demo, ROWS, &rows)?;
    demo.primary().comes_to_answer("the sums to be those of the rows", DIFFERENCES, "0", 60)?;
    nothing_is_lost(demo)
}

pub fn citus_keeps_its_data(demo: &Demo) -> Outcome {
    need(demo)?;
    let rows = demo.primary().ask(ROWS)?;
    demo.compose().run(&["restart"])?;
    demo.comes_up(180)?;
    demo.compose().run(&["down"])?;
    demo.compose().up(&[])?;
    comes_to_be_ok(demo, 120)?;
    at_least(demo, ROWS, &rows)?;
    demo.primary().answers("nodes with operations", PLACES, "2")?;
    jobs_tick(demo)?;
    nothing_is_lost(demo)
}

pub fn citus_start_cut_short_is_done_over(demo: &Demo) -> Outcome {
    demo.become_citus()?;
    demo.down_with_data()?;
    let endless = with_init(demo, "CALL public.operations_distribute(); SELECT pg_catalog.pg_sleep(3600);")?;
    endless.run(&["up", "--detach", "postgres_primary"])?;
    let worker = demo.service(WORKERS[0]).container()?;
    wait("the workers to have shards", 180, || same("it has shards", "t", worker.psql(SHARDS)?.as_str()))?;
    demo.primary().container()?.kill()?;
    demo.compose().up(&[])?;
    let log = demo.primary().log()?;
    log.says(&["first start was cut short"])?;
    log.says(&["postgres_worker_1 was taken for a first start that was cut short"])?;
    comes_to_be_ok(demo, 120)?;
    at_least(demo, ROWS, "100000")?;
    demo.primary().answers("what differs", DIFFERENCES, "0")
}

pub fn workers_of_another_coordinator_are_left_alone(demo: &Demo) -> Outcome {
    need(demo)?;
    demo.compose().run(&["down"])?;
    demo.remove_volume("primary_data")?;
    demo.compose().try_up(&[])?.refused("the workers are another coordinator's")?;
    demo.primary().log()?.says(&["postgres_worker_1 holds the rows of a coordinator"])?;
    same("shards are kept", "t", demo.service(WORKERS[0]).container()?.psql(SHARDS)?.as_str())?;
    demo.down_with_data()
}
