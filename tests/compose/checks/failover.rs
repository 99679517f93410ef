//! The primary goes, the replica takes over, and the old primary comes back: never as a second primary.

use std::time::Instant;

use operations_lab::checks::{Outcome, require, same};

use crate::contents::{come_to_be_more_than, jobs_tick_on, replica_comes_to_stream};
use crate::demo::{DATABASE, Demo, PASSWORD, USER, took_at_most};
use crate::lab::{comes_to_be_ok, comes_to_find, lab, nothing_is_lost, nothing_is_lost_that_was_not_kept, try_lab};
use crate::programs::wait;
use crate::service::Service;

const IN_RECOVERY: &str = "SELECT pg_catalog.pg_is_in_recovery()";

/// The demo is well, and its roles are those of compose.yaml. A check that failed may have left an old primary.
fn ready(demo: &Demo) -> Outcome {
    let well = || {
        demo.need()?;
        comes_to_be_ok(demo, 60)?;
        demo.primary().answers("it is the primary", IN_RECOVERY, "f")
    };
    well().or_else(|_| {
        demo.down_with_data()?;
        well()
    })
}

/// A server streams from another one.
fn follows(service: Service<'_>) -> Outcome {
    let streams = "SELECT pg_catalog.pg_is_in_recovery() AND EXISTS (
        SELECT FROM pg_catalog.pg_stat_wal_receiver WHERE status = 'streaming')";
    service.comes_to_answer(&format!("{} to follow", service.name), streams, "t", 120)
}

/// The roles as compose.yaml has them.
fn fail_back(demo: &Demo) -> Outcome {
    comes_to_be_ok(demo, 60)?;
    if demo.primary().ask(IN_RECOVERY)? == "t" {
        lab(demo, &["failover"])?;
        lab(demo, &["rejoin"])?;
    }
    follows(demo.replica())
}

/// What a client finds that names both published ports and asks for the one that takes writes.
fn writer(demo: &Demo) -> Outcome<String> {
    let ports = [demo.primary_port, demo.replica_port];
    let conninfo = format!(
        "host=127.0.0.1,127.0.0.1 port={},{} user={USER} dbname={DATABASE} target_session_attrs=read-write connect_timeout=5",
        ports[0], ports[1]
    );
    let data = "SELECT pg_catalog.current_setting('data_directory')";
    demo.psql_from_this_machine(&conninfo, PASSWORD, data)?.output()
}

pub fn failover_and_back(demo: &Demo) -> Outcome {
    ready(demo)?;
    require(writer(demo)?.ends_with("/primary"), "the primary is not found")?;
    let began = Instant::now();
    let said = lab(demo, &["failover"])?;
    took_at_most(began, 60, "the failover")?;
    for part in ["postgres_replica_1 is the primary now", "lost              nothing"] {
        require(said.contains(part), format!("failover does not say {part:?}: {said}"))?;
    }
    require(writer(demo)?.ends_with("/replica_1"), "the new primary is not found")?;
    jobs_tick_on(demo.replica())?;
    wait("the page to show the new roles", 20, || {
        let roles = crate::page::roles(demo)?;
        require(roles.contains(&"postgres_replica_1 primary".to_owned()), format!("{roles:?}"))
    })?;
    let refused = demo.primary().connect().map(drop);
    require(
        format!("{refused:?}").contains("postgres_primary is closed: fenced off"),
        format!("it is said: {refused:?}"),
    )?;
    let report = comes_to_find(demo, "server_down", "postgres_primary", 20)?;
    require(report.contains("docker compose exec lab operations-lab rejoin"), report)?;
    demo.primary().becomes("unhealthy", 30)?;
    require(demo.primary().container()?.reason()?.contains("fenced: "), "its health does not say why")?;

    let said = lab(demo, &["rejoin"])?;
    require(said.contains("pg_rewind: servers diverged") && said.contains("follows postgres_replica_1 now"), said)?;
    comes_to_be_ok(demo, 60)?;
    demo.primary().becomes("healthy", 60)?;
    nothing_is_lost(demo)?;
    // All of it stopped and started.
    demo.compose().run(&["down"])?;
    demo.compose().up(&[])?;
    demo.replica().answers("the new primary stays", IN_RECOVERY, "f")?;
    fail_back(demo)?;
    nothing_is_lost(demo)
}

const OPERATIONS: &str = "SELECT pg_catalog.count(*) FROM public.operations";

pub fn old_primary_that_returns_takes_no_writes(demo: &Demo) -> Outcome {
    ready(demo)?;
    let (old, replica) = (demo.primary().container()?, demo.replica().container()?);
    // Its last commits are on no other server.
    replica.disconnect()?;
    let written = demo.primary().ask(OPERATIONS).and_then(|rows| come_to_be_more_than(demo, OPERATIONS, &rows));
    let killed = written.and_then(|()| old.kill());
    replica.reconnect("postgres_replica")?;
    killed?;
    // Nobody has told the old one.
    let promoted = replica.psql("SELECT pg_catalog.pg_promote()")?;
    same("promoted", "t", promoted.as_str())?;
    old.start()?;
    // It is never a primary: whenever it answers, it follows.
    wait("the old primary to follow", 120, || {
        let answer = demo.primary().ask(IN_RECOVERY)?;
        if answer == "f" {
            return Ok(false);
        }
        follows(demo.primary()).map(|()| true)
    })
    .and_then(|kept| require(kept, "the old primary was opened for writes"))?;
    old.log()?.says(&["postgres_replica_1 is the primary now: making postgres_primary its replica"])?;
    nothing_is_lost_that_was_not_kept(demo)?;
    fail_back(demo)?;
    nothing_is_lost(demo)
}

pub fn killed_and_cut_off_primaries_are_fenced(demo: &Demo) -> Outcome {
    ready(demo)?;
    let (primary, replica) = (demo.primary().container()?, demo.replica().container()?);
    primary.kill()?;
    lab(demo, &["failover"])?;
    // By itself: it is told nothing.
    primary.start()?;
    follows(demo.primary())?;
    comes_to_be_ok(demo, 60)?;
    nothing_is_lost_that_was_not_kept(demo)?;
    // The one that takes writes now lives, and nobody reaches it.
    replica.disconnect()?;
    let cut_off = lab(demo, &["failover"]);
    replica.reconnect("postgres_replica")?;
    cut_off?;
    demo.primary().answers("it takes the writes", IN_RECOVERY, "f")?;
    lab(demo, &["rejoin"])?;
    comes_to_be_ok(demo, 60)?;
    follows(demo.replica())?;
    nothing_is_lost_that_was_not_kept(demo)
}

pub fn primary_that_cannot_be_fenced_is_left_alone(demo: &Demo) -> Outcome {
    ready(demo)?;
    let primary = demo.primary().container()?;
    primary.freeze()?;
    let refused = try_lab(demo, &["failover"]);
    primary.thaw()?;
    let refused = refused?.refused("a process of the primary lives")?.text();
    require(refused.contains("so nothing was promoted"), refused)?;
    demo.replica().answers("the replica is one", IN_RECOVERY, "t")?;
    replica_comes_to_stream(demo, 60)?;
    comes_to_be_ok(demo, 60)?;
    nothing_is_lost(demo)
}

pub fn two_primaries_heal_and_the_rows_are_kept(demo: &Demo) -> Outcome {
    ready(demo)?;
    let promoted = demo.replica().container()?.psql("SELECT pg_catalog.pg_promote()")?;
    same("promoted", "t", promoted.as_str())?;
    comes_to_find(demo, "two_writable_servers", "postgres_primary", 20)?;
    demo.primary().ask(
        "INSERT INTO public.operations (operation_date, operation_guid, client_id, operation_type, amount, message)
         VALUES (current_date, '00000000-0000-4000-8000-00000000c0de', 1, 'online', 1, '{}') RETURNING 1",
    )?;
    let said = lab(demo, &["rejoin"])?;
    let file = said.split_whitespace().find(|word| word.starts_with("/servers/primary/kept/"));
    let file = file.ok_or_else(|| format!("rejoin does not say where the rows are: {said}"))?.to_owned();
    comes_to_be_ok(demo, 60)?;
    let count = "SELECT pg_catalog.count(*) FROM public.operations WHERE operation_guid = '00000000-0000-4000-8000-00000000c0de'";
    demo.replica().answers("the row is gone", count, "0")?;
    for _ in 0..2 {
        demo.compose().run(&["exec", "--no-TTY", "lab", "psql", "--file", &file])?;
        demo.replica().answers("the row is loaded, once", count, "1")?;
    }
    nothing_is_lost(demo)?;
    fail_back(demo)
}

pub fn synchronous_replication_loses_nothing(demo: &Demo) -> Outcome {
    ready(demo)?;
    demo.compose().env("SYNC", "on").up(&[])?;
    let names = "SHOW synchronous_standby_names";
    require(
        demo.primary().ask(names)?.starts_with("ANY 1 (postgres_primary, postgres_replica_1,"),
        "SYNC=on is not heeded",
    )?;
    comes_to_be_ok(demo, 60)?;
    let replica = demo.replica().container()?;
    replica.kill()?;
    comes_to_find(demo, "writes_wait", "postgres_primary", 20)?;
    replica.start()?;
    comes_to_be_ok(demo, 90)?;
    // What is under way is lost with an asynchronous primary.
    let slow = demo.primary().container()?.slow_down()?;
    demo.primary().container()?.kill()?;
    drop(slow);
    lab(demo, &["failover"])?;
    nothing_is_lost(demo)?;
    demo.down_with_data()?;
    // From the first start on, and off again.
    demo.compose().env("SYNC", "on").up(&[])?;
    require(demo.primary().ask(names)?.starts_with("ANY 1"), "SYNC=on is not heeded at the first start")?;
    demo.compose().up(&[])?;
    demo.primary().answers("SYNC=off", names, "")
}

pub fn old_primary_is_cloned_where_it_cannot_be_rewound(demo: &Demo) -> Outcome {
    ready(demo)?;
    let promoted = demo.replica().container()?.psql("SELECT pg_catalog.pg_promote()")?;
    same("promoted", "t", promoted.as_str())?;
    comes_to_find(demo, "two_writable_servers", "postgres_primary", 20)?;
    // pg_rewind compares what both have; a server knows neither.
    let both = ["/servers/primary/primary/base/odd", "/servers/replica/replica_1/base/odd"];
    let lab_container = demo.lab().container()?;
    lab_container.exec("postgres", &["mkdir", both[0]])?;
    lab_container.exec("postgres", &["touch", both[1]])?;
    let said = lab(demo, &["rejoin"])?;
    require(said.contains("a new clone is needed: error: file \"base/odd\" is of different type"), said)?;
    demo.primary().log()?.says(&["replica: cloned in"])?;
    lab_container.exec("postgres", &["rm", both[0], both[1]])?;
    comes_to_be_ok(demo, 60)?;
    fail_back(demo)?;
    // What the old primary alone had is kept in a file, and would count as lost in what follows.
    demo.down_with_data()
}
