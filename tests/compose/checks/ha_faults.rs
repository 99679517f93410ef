//! Faults of a cluster under Patroni beyond a killed leader: its network is cut, etcd is gone, the cluster is paused; and slots that
//! are to survive.

use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use operations_lab::checks::{Outcome, require, same};
use postgres::Client;
use serde_json::Value;

use crate::container::Container;
use crate::contents::jobs_tick_on;
use crate::demo::{Demo, last_until, took_at_most};
use crate::ha::{
    address, another_than, comes_to_be_well, comes_to_be_whole, kill_the_leader, leader, members, need, patronictl,
    receipt_since, say_cost, writers,
};
use crate::lab::{comes_to_find, nothing_is_lost, try_lab};
use crate::programs::wait;

const TAKES_WRITES: &str = "SELECT NOT pg_catalog.pg_is_in_recovery()";

/// A leader that reaches no etcd gives up after loop_wait and retry_timeout, and then restarts as a replica.
const GIVES_UP: u64 = 60;

/// Whether a server takes writes, asked in its container. One that restarts takes none.
fn takes_writes(container: &Container<'_>) -> bool {
    container.psql(TAKES_WRITES).is_ok_and(|answer| answer == "t")
}

pub fn cut_off_leader_gives_up_before_another_leads(demo: &Demo) -> Outcome {
    need(demo)?;
    let (name, old) = leader(demo)?;
    let (host, service) =
        (address(&old)?, if name == "postgres_primary" { "postgres_primary" } else { "postgres_replica" });
    let session = writers(demo).connect()?;
    let began = Instant::now();
    old.disconnect()?;
    let ended = ends(session);
    let mut gave_up = None;
    let took = wait("another server to take the writes", GIVES_UP, || {
        if gave_up.is_none() && !takes_writes(&old) {
            gave_up = Some(began.elapsed().as_secs());
        }
        // Nobody reaches the old one that way.
        same("it takes writes", "t", writers(demo).ask(TAKES_WRITES)?.as_str())?;
        // Asked after the new one: if it still takes writes, two do.
        Ok((began.elapsed().as_secs(), takes_writes(&old)))
    });
    let ended = has_ended(&ended);
    old.reconnect(service)?;
    let (took, do_both) = took?;
    ended?;
    require(!do_both, "two servers take writes")?;
    if let Some(gave_up) = gave_up {
        println!("        the leader that was cut off gave up after {gave_up} s");
    }
    another_than(demo, &host)?;
    comes_to_be_whole(demo)?;
    say_cost("leader cut off", took, &receipt_since(demo, began)?);
    Ok(())
}

/// Tells when a session has been ended by the other side.
fn ends(mut session: Client) -> Receiver<()> {
    let (ended, hears) = mpsc::channel();
    std::thread::spawn(move || {
        // It takes longer than any leader is waited for.
        let _ = session.batch_execute("SELECT pg_catalog.pg_sleep(100)");
        ended.send(())
    });
    hears
}

/// It must have been, now that another one leads.
fn has_ended(ended: &Receiver<()>) -> Outcome {
    let heard = ended.recv_timeout(Duration::from_secs(1));
    require(heard.is_ok(), "a session with it has not ended while another one leads")
}

/// Nobody can tell it to end them, so HAProxy does: when it is thawed no client hears what it would have said.
pub fn frozen_leader_loses_its_sessions(demo: &Demo) -> Outcome {
    demo.must_be_asked()?;
    need(demo)?;
    let (_, old) = leader(demo)?;
    let host = address(&old)?;
    let session = writers(demo).connect()?;
    let began = Instant::now();
    old.freeze()?;
    let ended = ends(session);
    let took = another_than(demo, &host);
    let ended = has_ended(&ended);
    old.thaw()?;
    let took = took?;
    ended?;
    comes_to_be_whole(demo)?;
    say_cost("frozen leader", took, &receipt_since(demo, began)?);
    Ok(())
}

/// Nobody else ends a server whose Patroni hangs. Docker starts its container anew, and it leads again, or another one does.
pub fn hung_patroni_ends_its_container(demo: &Demo) -> Outcome {
    demo.must_be_asked()?;
    need(demo)?;
    let (_, old) = leader(demo)?;
    let (began, since) = (Instant::now(), crate::demo::now()?);
    let stop = "for one in /proc/[0-9]*; do ! grep -qx patroni $one/comm || kill -STOP ${one#/proc/}; done";
    old.exec("root", &["sh", "-c", stop])?;
    wait("the container to be ended", 30, || {
        old.log_since(&since)?.says(&["member_watch.sh: Patroni was heard", "ending the container"])
    })?;
    // Its key has lived for less.
    took_at_most(began, 20, "the end of the container")?;
    writers(demo).comes_to_answer("a leader", TAKES_WRITES, "t", GIVES_UP)?;
    let took = began.elapsed().as_secs();
    jobs_tick_on(writers(demo))?;
    comes_to_be_whole(demo)?;
    say_cost("hung Patroni", took, &receipt_since(demo, began)?);
    Ok(())
}

pub fn without_etcd_nobody_leads(demo: &Demo) -> Outcome {
    demo.must_be_asked()?;
    need(demo)?;
    let etcd = |name| demo.service(name).container();
    let (one, two) = (etcd("etcd1")?, etcd("etcd2")?);
    // Two are a majority.
    one.kill()?;
    let (host, began) = (address(&leader(demo)?.1)?, Instant::now());
    last_until(began + Duration::from_secs(25));
    let still = format!(
        "SELECT NOT pg_catalog.pg_is_in_recovery() AND pg_catalog.host(pg_catalog.inet_server_addr()) = '{host}'"
    );
    writers(demo).answers("the leader stays without one etcd", &still, "t")?;
    comes_to_find(demo, "degraded  etcd_unreachable", "etcd1", 30)?;
    let (_, old) = leader(demo)?;
    let began = Instant::now();
    two.kill()?;
    wait("the leader to give up", GIVES_UP, || require(!takes_writes(&old), "it takes writes"))?;
    let gave_up = began.elapsed().as_secs();
    let report = comes_to_find(demo, "broken    etcd_unreachable", "etcd", 60)?;
    require(report.contains("no_writable_server") && !report.contains("pg_promote"), &report)?;
    one.start()?;
    two.start()?;
    writers(demo).comes_to_answer("a leader", TAKES_WRITES, "t", GIVES_UP)?;
    let took = began.elapsed().as_secs();
    comes_to_be_whole(demo)?;
    let receipt = receipt_since(demo, began)?;
    println!("        without etcd the leader gave up after {gave_up} s");
    say_cost("etcd gone and back", took, &receipt);
    same("lost rows", &Value::from(0), &receipt["lost"])
}

pub fn paused_cluster_promotes_nobody(demo: &Demo) -> Outcome {
    demo.must_be_asked()?;
    need(demo)?;
    patronictl(demo, &["pause", "operations", "--wait"])?;
    let paused = comes_to_find(demo, "patroni_paused", "postgres_", 20);
    let (name, old) = leader(demo)?;
    let others: Vec<_> = members(demo)?.into_iter().filter(|(member, _)| *member != name).collect();
    let began = Instant::now();
    old.kill()?;
    // Beyond what its key lives.
    last_until(began + Duration::from_secs(30));
    let promoted: Vec<_> =
        others.iter().filter(|(_, other)| takes_writes(other)).map(|(other, _)| other.clone()).collect();
    let report = try_lab(demo, &["doctor"])?.text();
    old.start()?;
    crate::ha::patronictl_on(&others, &["resume", "operations"])?;
    paused?;
    require(promoted.is_empty(), format!("{promoted:?} took over, though the cluster was paused"))?;
    require(report.contains("patroni_paused"), report)?;
    writers(demo).comes_to_answer("a leader", TAKES_WRITES, "t", GIVES_UP)?;
    comes_to_be_whole(demo)
}

/// A logical slot that Patroni keeps on all servers, and with SYNC=on no row.
pub fn killed_leader_loses_neither_rows_nor_slots(demo: &Demo) -> Outcome {
    demo.must_be_asked()?;
    demo.become_cluster()?;
    demo.down_with_data()?;
    demo.compose().env("SYNC", "on").env("WAL_LEVEL", "logical").up(&[])?;
    let waits = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication WHERE sync_state IN ('sync', 'quorum')";
    writers(demo).comes_to_answer("a replica to be waited for", waits, "1", 60)?;
    let slot = ["slots.cdc.type=logical", "slots.cdc.database=operations_db", "slots.cdc.plugin=test_decoding"];
    let set = slot.iter().flat_map(|one| ["--set", one]);
    patronictl(demo, &["edit-config", "operations", "--force"].into_iter().chain(set).collect::<Vec<_>>())?;
    let there = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots WHERE slot_name = 'cdc' AND slot_type = 'logical'";
    for (member, container) in members(demo)? {
        wait(&format!("{member} to have the slot"), 60, || same("slots", "1", container.psql(there)?.as_str()))?;
    }
    comes_to_be_well(demo)?;
    writers(demo).ask(
        "INSERT INTO public.operations (operation_date, operation_guid, client_id, operation_type, amount, message)
         VALUES (current_date, '00000000-0000-4000-8000-00000000cdc1', 1, 'online', 1, '{}') RETURNING 1",
    )?;
    let receipt = kill_the_leader(demo, "killed leader, synchronous_mode")?;
    same("lost rows", &Value::from(0), &receipt["lost"])?;
    let decoded =
        "SELECT pg_catalog.count(*) > 0 FROM pg_catalog.pg_logical_slot_peek_changes('cdc', NULL, NULL) AS change
        WHERE change.data LIKE '%00000000cdc1%'";
    writers(demo).answers("the slot has what was written before the leader was killed", decoded, "t")?;
    nothing_is_lost(demo)?;
    demo.down_with_data()
}
