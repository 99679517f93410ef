//! Three servers under Patroni (docker/compose.ha.yaml): who takes writes, and what becomes of them when the leader goes.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use operations_lab::checks::{Outcome, require, same};
use operations_lab::connect::within;
use operations_lab::server::text;
use postgres::{Client, Config, NoTls};
use serde_json::Value;

use crate::access::has_no_password;
use crate::container::Container;
use crate::contents::jobs_tick_on;
use crate::demo::{Demo, took_at_most};
use crate::lab::{comes_to_be_ok, nothing_is_lost, try_lab};
use crate::programs::wait;
use crate::service::Service;

/// Its key lives for 20 s (ttl), and who follows looks at once; the rest is for machines that do much else.
const ANOTHER_LEADER: u64 = 60;

/// A server that comes back is rewound or cloned, and streams.
const REJOINS: u64 = 90;

/// Also where the check before has failed, or was none of these.
pub fn need(demo: &Demo) -> Outcome {
    demo.become_cluster()?;
    demo.comes_up(180)?;
    comes_to_be_ok(demo, 120)?;
    Ok(())
}

/// Whoever takes writes, through HAProxy.
pub fn writers(demo: &Demo) -> Service<'_> {
    Service { demo, name: "haproxy", port: demo.primary_port }
}

fn readers(demo: &Demo) -> Service<'_> {
    Service { demo, name: "haproxy", port: demo.replica_port }
}

fn containers(demo: &Demo) -> Outcome<Vec<Container<'_>>> {
    Ok(demo.primary().containers()?.into_iter().chain(demo.replica().containers()?).collect())
}

/// The containers, with the names by which Patroni knows them; one that is away for long it does not know.
pub fn members(demo: &Demo) -> Outcome<Vec<(String, Container<'_>)>> {
    let (listed, mut members) = (listed(demo)?, Vec::new());
    for container in containers(demo)? {
        let host = container.inspect("{{.Config.Hostname}}")?;
        let found = listed.iter().find(|member| member["Host"] == host.as_str());
        members.extend(found.map(|found| (text_of(found, "Member"), container)));
    }
    Ok(members)
}

fn text_of(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

/// `patronictl list`, asked where a container runs.
fn listed(demo: &Demo) -> Outcome<Vec<Value>> {
    let runs = |container: &Container<'_>| container.inspect("{{.State.Running}}").is_ok_and(|runs| runs == "true");
    let container = containers(demo)?.into_iter().find(runs).ok_or("no server runs")?;
    Ok(serde_json::from_str(&container.exec("root", &["patronictl", "list", "--format", "json"])?)?)
}

/// The same on the first of these.
pub fn patronictl_on(members: &[(String, Container<'_>)], arguments: &[&str]) -> Outcome<String> {
    let (_, container) = members.first().ok_or("no member")?;
    container.exec("root", &[&["patronictl"], arguments].concat())
}

pub fn patronictl(demo: &Demo, arguments: &[&str]) -> Outcome<String> {
    demo.compose().run(&[&["exec", "--no-TTY", "postgres_primary", "patronictl"], arguments].concat())
}

/// Who holds the leader's key, and its container.
pub fn leader(demo: &Demo) -> Outcome<(String, Container<'_>)> {
    let listed = listed(demo)?;
    let found = listed.iter().find(|member| member["Role"] == "Leader").ok_or("there is no leader")?;
    let name = text_of(found, "Member");
    let member = members(demo)?.into_iter().find(|(member, _)| *member == name);
    Ok(member.ok_or_else(|| format!("{name} has no container"))?)
}

/// The two others stream.
fn two_stream(demo: &Demo, seconds: u64) -> Outcome {
    let streams = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication WHERE state = 'streaming'";
    writers(demo).comes_to_answer("two replicas to stream", streams, "2", seconds)
}

/// After a fault all three are there again, and the doctor finds nothing.
pub fn comes_to_be_whole(demo: &Demo) -> Outcome {
    two_stream(demo, REJOINS)?;
    comes_to_be_ok(demo, 120)?;
    Ok(())
}

/// Another one takes the writes, the jobs among them; how long that took.
pub fn another_than(demo: &Demo, host: &str) -> Outcome<u64> {
    let began = Instant::now();
    let asked = format!(
        "SELECT NOT pg_catalog.pg_is_in_recovery() AND pg_catalog.host(pg_catalog.inet_server_addr()) <> '{host}'"
    );
    writers(demo).comes_to_answer("another server to take the writes", &asked, "t", ANOTHER_LEADER)?;
    let took = began.elapsed().as_secs();
    jobs_tick_on(writers(demo))?;
    Ok(took)
}

/// Where a server is reached by HAProxy.
pub fn address(container: &Container<'_>) -> Outcome<String> {
    container.inspect(&format!("{{{{(index .NetworkSettings.Networks \"{}\").IPAddress}}}}", container.network()))
}

/// What the receipt says of all that was written since a moment.
pub fn receipt_since(demo: &Demo, began: Instant) -> Outcome<Value> {
    let since = format!("{}s", began.elapsed().as_secs() + 1);
    let answer = try_lab(demo, &["receipt", "--json", "--since", &since])?;
    Ok(serde_json::from_str(&answer.stdout).map_err(|error| format!("{error}: {}", answer.text()))?)
}

pub fn say_cost(what: &str, took: u64, receipt: &Value) {
    println!(
        "        {what}: another one takes writes after {took} s; {} of {} acknowledged rows lost, nobody could write for {} ms",
        receipt["lost"], receipt["acknowledged"], receipt["longest_gap_ms"]
    );
}

pub fn cluster_starts_under_patroni(demo: &Demo) -> Outcome {
    demo.become_cluster()?;
    demo.down_with_data()?;
    demo.compose().up(&[])?;
    let report = comes_to_be_ok(demo, 120)?;
    for server in
        ["primary postgres_primary:5432", "replica postgres_replica_1:5432", "replica postgres_replica_2:5432"]
    {
        require(report.contains(server), format!("{server} was not asked: {report}"))?;
    }
    two_stream(demo, 30)?;
    let in_recovery = "SELECT pg_catalog.pg_is_in_recovery()";
    writers(demo).answers("the writers' port leads to the leader", in_recovery, "f")?;
    readers(demo).answers("the readers' port leads to a replica", in_recovery, "t")?;
    // Those of postgresql.conf, also where Patroni has others by default.
    let settings = "SELECT pg_catalog.string_agg(setting, ' ' ORDER BY name) FROM pg_catalog.pg_settings WHERE name IN
        ('data_checksums', 'max_worker_processes', 'server_encoding', 'synchronous_standby_names', 'track_commit_timestamp', 'wal_level')";
    writers(demo).answers("settings", settings, "on 16 UTF8  on replica")?;
    jobs_tick_on(writers(demo))?;
    jobs_run_on_the_leader_alone(demo)?;
    for command in [&["failover"][..], &["rejoin"], &["drill", "replay-paused"]] {
        let refused = try_lab(demo, command)?.refused("Patroni decides")?.text();
        require(refused.contains("patronictl switchover operations"), refused)?;
    }
    nothing_is_lost(demo)?;
    // Another Patroni on the same data would be a second one of that name.
    let run = |command: &[&str]| {
        let run = ["run", "--rm", "--no-TTY", "--no-deps", "postgres_primary"];
        demo.compose().try_run(&[&run, command].concat())
    };
    let refused = run(&["patroni"])?.refused("the first one runs")?.text();
    require(refused.contains("another container runs postgres_primary"), refused)?;
    run(&["psql", "--version"])?.output()?;
    comes_to_be_ok(demo, 120)?;
    Ok(())
}

fn jobs_run_on_the_leader_alone(demo: &Demo) -> Outcome {
    let (name, _) = leader(demo)?;
    let schedulers =
        "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'pg_cron launcher'";
    let members = members(demo)?;
    same("members", &3, &members.len())?;
    for (member, container) in members {
        let wanted = if member == name { "1" } else { "0" };
        wait(&format!("{member} to have {wanted} schedulers"), 10, || {
            same("schedulers", wanted, container.psql(schedulers)?.as_str())
        })?;
    }
    Ok(())
}

pub fn passwords_of_a_cluster_are_nowhere_to_be_seen(demo: &Demo) -> Outcome {
    need(demo)?;
    let ask = ["etcdctl", "get", "--prefix", "/service"];
    let etcd = demo.service("etcd1").container()?;
    etcd.try_exec("etcd", &ask)?.refused("etcd asks for a password")?;
    let as_root = format!("ETCDCTL_USER=root:$(cat /var/lib/postgresql/data/etcd.token) {}", ask.join(" "));
    let kept = demo.primary().container()?.exec("postgres", &["sh", "-c", &as_root])?;
    require(kept.contains("postgres_replica_2"), "etcd was not asked for all that Patroni keeps there")?;
    for (member, container) in members(demo)? {
        let seen = [
            container.inspect("{{json .Path}} {{json .Args}} {{json .Config.Cmd}} {{json .Config.Healthcheck}}")?,
            demo.engine.ask(&["top", &container.id, "-eo", "pid,args"])?,
            container.log()?.0,
            kept.clone(),
        ];
        has_no_password(&member, &seen)?;
        let others = ["find", "/run/operations", "/var/lib/postgresql/data", "-maxdepth", "1", "-type", "f"];
        let readable = container.exec("root", &[&others[..], &["-perm", "/044", "-size", "+0"]].concat())?;
        let secret: Vec<_> = readable
            .lines()
            .filter(|file| [".yml", "pgpass", "token"].iter().any(|secret| file.ends_with(secret)))
            .collect();
        require(secret.is_empty(), format!("others may read {secret:?} of {member}"))?;
        // Whoever is let in may look; who gives orders must know more.
        let order = "import sys, urllib.request as r\ntry: r.urlopen(r.Request('http://127.0.0.1:8008/config', b'{}', method='PATCH'))\nexcept Exception as e: sys.exit(0 if '401' in str(e) else str(e))\nsys.exit('taken')";
        container.exec("root", &["python3", "-c", order])?;
    }
    Ok(())
}

/// Clients ask for the writers one after the other while `work` goes on. Each is to be let in or to be sent away, and soon; who was let in by
/// a server that leads no more is to lose that session.
fn while_clients_come<T>(demo: &Demo, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let (config, (working, ends)) = (writers(demo).config(), mpsc::channel());
    let (result, astray) = std::thread::scope(move |scope| {
        let clients = scope.spawn(move || clients_come(&config, &ends));
        let result = work();
        drop(working);
        (result, clients.join().unwrap_or_else(|_| Err("the clients panicked".into())))
    });
    let (result, mut astray) = (result?, astray?);
    wait("the sessions with the old leader to be ended", 20, || {
        astray.retain_mut(|session| follows(session) == Some(true));
        require(astray.is_empty(), format!("{} sessions are still with a server that leads no more", astray.len()))
    })?;
    Ok(result)
}

/// Whether the server of a session follows another one; nothing if it gives no answer.
fn follows(session: &mut Client) -> Option<bool> {
    text(session, "SELECT pg_catalog.pg_is_in_recovery()").ok().map(|answer| answer == "t")
}

/// Sessions whose server followed another one when they were opened. It may be the new leader, which was not promoted yet. Clients come until
/// the channel's other end is gone.
fn clients_come(config: &Config, ends: &Receiver<()>) -> Outcome<Vec<Client>> {
    const SOON: Duration = Duration::from_secs(30);
    let (mut kept, mut one_was_let_in) = (Vec::new(), false);
    while ends.recv_timeout(Duration::from_millis(50)) == Err(RecvTimeoutError::Timeout) {
        let config = config.clone();
        let come = move || {
            let mut session = config.connect(NoTls).ok()?;
            follows(&mut session).map(|follows| (session, follows))
        };
        match within(SOON, come) {
            None => Err(format!("a client of the writers' port heard nothing for {} s", SOON.as_secs()))?,
            Some(Some((session, true))) => kept.push(session),
            Some(Some((_, false))) => one_was_let_in = true,
            // It was sent away.
            Some(None) => {}
        }
    }
    require(one_was_let_in, "no client was let in")?;
    Ok(kept)
}

pub fn switchover_loses_nothing(demo: &Demo) -> Outcome {
    need(demo)?;
    let (name, container) = leader(demo)?;
    let host = address(&container)?;
    let began = Instant::now();
    let took = while_clients_come(demo, || {
        patronictl(demo, &["switchover", "operations", "--leader", &name, "--force"])?;
        another_than(demo, &host)
    })?;
    two_stream(demo, REJOINS)?;
    jobs_run_on_the_leader_alone(demo)?;
    comes_to_be_ok(demo, 120)?;
    let receipt = receipt_since(demo, began)?;
    say_cost("switchover", took, &receipt);
    same("lost rows", &Value::from(0), &receipt["lost"])?;
    // The leader may now be another server than the one that was made first, and all of it stopped and started.
    demo.compose().run(&["down"])?;
    demo.compose().up(&[])?;
    comes_to_be_ok(demo, 120)?;
    nothing_is_lost(demo)
}

/// The doctor finds nothing but what a check has made: a slot that nobody reads.
pub fn comes_to_be_well(demo: &Demo) -> Outcome {
    wait("the doctor to find nothing wrong", 120, || {
        let said = demo.headline()?;
        require(said.starts_with("ok:") || said == "degraded: slot_inactive", said)
    })
}

/// Kills the leader; the new one takes the writes, and the old one comes back as a replica, by itself.
pub fn kill_the_leader(demo: &Demo, what: &str) -> Outcome<Value> {
    let (name, container) = leader(demo)?;
    let host = address(&container)?;
    let began = Instant::now();
    container.kill()?;
    let took = another_than(demo, &host)?;
    require(leader(demo)?.0 != name, format!("{name} was killed, and is the leader"))?;
    let report = try_lab(demo, &["doctor"])?.text();
    let says = report.lines().any(|line| line.contains("server_down") && line.contains(&name));
    require(says && !report.contains("two_writable") && !report.contains("operations-lab failover"), &report)?;
    container.start()?;
    two_stream(demo, REJOINS)?;
    took_at_most(began, ANOTHER_LEADER + REJOINS + 30, "all of it")?;
    comes_to_be_well(demo)?;
    jobs_run_on_the_leader_alone(demo)?;
    let receipt = receipt_since(demo, began)?;
    say_cost(what, took, &receipt);
    Ok(receipt)
}

pub fn killed_leader_is_replaced(demo: &Demo) -> Outcome {
    need(demo)?;
    let receipt = kill_the_leader(demo, "killed leader")?;
    require(receipt["acknowledged"].as_u64().unwrap_or(0) > 0, "nothing was written")
}
