//! A demo with three replicas: one command makes them, and all others know them.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use operations_lab::checkout;
use operations_lab::server::Signal;

use crate::page::{get, metric, metrics};
use crate::receipt::{data, write_more};
use crate::user::{Outcome, PASSWORD, Running, Stop, User, require};

/// The folders of the replicas, by the numbers that they were made with.
const REPLICAS: [&str; 3] = ["replica", "replica_2", "replica_3"];

const SLOTS: &str = "SELECT string_agg(slot_name, ' ' ORDER BY slot_name) FROM pg_replication_slots WHERE active;";

/// The port of the server that was made as this: 0 is the primary.
fn port(user: &User, number: u16) -> u16 {
    if number == 0 { user.primary_port } else { user.replica_port + number - 1 }
}

/// The answer of the replica that was made as this.
fn on_replica(user: &User, number: u16, query: &str) -> Outcome<String> {
    user.on_replica_at(port(user, number), query)
}

/// The doctor and the status find nothing wrong with all four.
fn is_well(user: &User) -> Outcome {
    user.succeeds(&["status"])?;
    user.printed("ok: 4 servers asked, nothing wrong")?;
    let lines = user.output().lines().filter(|line| line.starts_with("replica      127.0.0.1:")).count();
    require(lines == 3, format!("{lines} lines of replicas"))
}

pub fn three_replicas_start(user: &User) -> Outcome {
    user.succeeds(&["demo", "REPLICAS=3"])?;
    let ports: Vec<_> = (1..4).map(|number| port(user, number).to_string()).collect();
    user.printed(format!("    replica  127.0.0.1:{}    database", ports.join(", ")))?;
    is_well(user)?;
    let slots = user.on_primary(SLOTS)?;
    require(slots == "operations_replica operations_replica_2 operations_replica_3", format!("slots: {slots}"))?;
    let senders = "SELECT string_agg(application_name, ' ' ORDER BY application_name) FROM pg_stat_replication;";
    require(user.on_primary(senders)? == slots, "a replica has another name than its slot")?;
    require(REPLICAS.iter().all(|name| user.demo(name).join("PG_VERSION").exists()), "a folder has another name")?;
    // It is remembered.
    user.succeeds(&["demo"])?;
    user.printed("The demo is already running.")
}

/// Each in one line, and nothing is changed.
pub fn wrong_numbers_of_replicas(user: &User) -> Outcome {
    for value in ["0", "10", "three", "-1"] {
        user.fails(&["demo", &format!("REPLICAS={value}")])?;
        user.printed(format!("error: REPLICAS={value} is no number of replicas: give a whole number from 1 to 9"))?;
    }
    user.fails(&["demo", "CASCADE=maybe"])?;
    user.printed("error: CASCADE=maybe is neither on nor off")?;
    for wrong in ["4", "0", "-c", "x"] {
        user.fails(&["psql-replica", &format!("N={wrong}")])?;
        let ports = (1..4).map(|number| port(user, number).to_string()).collect::<Vec<_>>().join(", ");
        user.printed(format!("error: N={wrong} is not the port of a replica: give one of {ports}"))?;
    }
    let (by_place, at) = (user.on_replica_at(2, "SELECT inet_server_port();")?, port(user, 2).to_string());
    require(by_place == at, format!("N=2 is the replica on port {by_place}, not {at}"))?;
    user.fails(&["drill", "NAME=primary-killed"])?;
    user.printed("it is for a demo of one replica, and this one has 3: make demo REPLICAS=1")?;
    is_well(user)
}

pub fn a_row_is_on_all_replicas(user: &User) -> Outcome {
    user.session("psql", "CREATE TABLE marked AS SELECT 7 AS number;")?;
    for number in 1..4 {
        user.becomes("7", 20, || on_replica(user, number, "SELECT number FROM marked;"))?;
        let asked = on_replica(user, number, "SELECT inet_server_port();")?;
        require(asked == port(user, number).to_string(), format!("replica {number} is port {asked}"))?;
    }
    Ok(())
}

fn part(user: &User, path: &str) -> Outcome<u16> {
    Ok(get(user, path)?.status)
}

pub fn the_page_knows_all_replicas(user: &User) -> Outcome {
    user.becomes("all", 20, || {
        let samples = metrics(user)?;
        for name in REPLICAS {
            metric(&samples, &format!("replay_lag_bytes{{server=\"{name}\"}}"))?;
            require(metric(&samples, &format!("up{{server=\"{name}\"}}"))? > 0.0, format!("{name} is not up"))?;
        }
        Ok("all".to_owned())
    })?;
    for (path, wanted) in [
        ("/primary/primary", 200),
        ("/primary/replica_2", 503),
        ("/replica/primary", 503),
        ("/replica/replica_3", 200),
        ("/replica/replica_4", 404),
    ] {
        user.becomes(&wanted.to_string(), 20, || Ok(part(user, path)?.to_string()))?;
    }
    Ok(())
}

/// Each `psql` line of docs/readers.md, with the ports of this demo.
pub fn examples_of_the_page_connect(user: &User) -> Outcome {
    let page = std::fs::read_to_string(checkout().join("docs/readers.md"))?;
    let examples: Vec<_> = page.lines().filter(|line| line.starts_with("psql ")).collect();
    require(examples.len() >= 2, format!("the page has few examples: {examples:?}"))?;
    let path = format!("{}:{}", user.bindir.display(), std::env::var("PATH").unwrap_or_default());
    for example in examples {
        let typed = (0..4).fold(example.to_owned(), |line, number| {
            line.replace(&format!(":{}", 5432 + number), &format!(":{}", port(user, number)))
        });
        let mut shell = Command::new("bash");
        shell.args(["-c", &typed]).env("PATH", &path).env("PGPASSWORD", PASSWORD);
        require(user.run(shell)?, format!("{typed} failed"))?;
        let found: u16 = user.output().trim().parse()?;
        let is_primary = found == user.primary_port;
        require(is_primary == example.contains("read-write"), format!("{typed} led to port {found}"))?;
    }
    Ok(())
}

pub fn a_replica_that_is_killed_is_named(user: &User) -> Outcome {
    user.kill("replica_2")?;
    user.fails(&["doctor"])?;
    user.printed(format!("broken    server_down   replica 127.0.0.1:{}", port(user, 2)))?;
    user.printed("slot operations_replica_2")?;
    user.becomes("503", 20, || Ok(part(user, "/replica/replica_2")?.to_string()))?;
    user.fails(&["psql-replica", &format!("N={}", port(user, 2))])?;
    user.printed(format!("error: the replica on port {} is not running: make demo starts it", port(user, 2)))?;
    user.succeeds(&["demo"])?;
    is_well(user)?;
    user.becomes("200", 20, || Ok(part(user, "/replica/replica_2")?.to_string()))
}

pub fn readers_share_a_load(user: &User) -> Outcome {
    user.succeeds(&["load", "RATE=40", "SECONDS=3"])?;
    for number in 1..4 {
        let replica = format!("replica 127.0.0.1:{}", port(user, number));
        let line = user.output().lines().find(|line| line.starts_with(&replica)).unwrap_or_default().to_owned();
        let done: u64 = line.split_whitespace().nth(2).unwrap_or_default().parse().unwrap_or(0);
        require(done > 0 && line.ends_with(" ms       0"), format!("the line of {replica}: {line:?}"))?;
        user.printed(format!("lag of {replica}: before "))?;
    }
    user.not_printed("transaction type")?;
    user.printed(" 0 failed")?;
    user.succeeds(&["load", "RATE=40", "SECONDS=2", "LOAD=--details"])?;
    user.printed("transaction type")
}

/// The server whose port this is now the primary's, by its number.
fn primary(user: &User) -> Outcome<u16> {
    let found: u16 = user.on_primary("SELECT inet_server_port();")?.parse()?;
    Ok((0..4).find(|number| port(user, *number) == found).ok_or(format!("port {found} is no server's"))?)
}

/// The one that has most is promoted, the others follow it, and no slot is left to keep WAL for nobody.
pub fn a_failover_leads_the_others(user: &User) -> Outcome {
    let held = user.on_primary(
        "SELECT string_agg(pid::text, ' ') FROM pg_stat_replication WHERE application_name <> 'operations_replica_2';",
    )?;
    for pid in held.split(' ') {
        data(user, "primary").signal_process(pid.parse()?, Signal::STOP)?;
    }
    user.session("psql", "UPDATE marked SET number = 8;")?;
    user.becomes("8", 20, || on_replica(user, 2, "SELECT number FROM marked;"))?;
    data(user, "primary").kill_all()?;
    user.succeeds(&["failover"])?;
    user.printed(format!("Promoting the replica on port {}", port(user, 2)))?;
    user.printed(format!("    follow it         the replicas on port {}, {}", port(user, 1), port(user, 3)))?;
    require(primary(user)? == 2, "another one was promoted")?;
    write_more(user, 10)?;
    require(user.on_primary(SLOTS)? == "operations_replica operations_replica_3", "the others do not follow")?;
    for number in [1, 3] {
        user.becomes("8", 20, || on_replica(user, number, "SELECT number FROM marked;"))?;
    }
    user.succeeds(&["demo"])?;
    user.printed(format!("Making the old primary on port {} a replica", port(user, 0)))?;
    is_well(user)?;
    require(user.on_primary(SLOTS)? == "operations_replica operations_replica_2 operations_replica_3", "slots differ")?;
    for number in [0, 1, 3] {
        let slots = on_replica(user, number, "SELECT count(*) FROM pg_replication_slots;")?;
        require(slots == "0", format!("replica {number} has {slots} slots"))?;
    }
    Ok(())
}

/// Nobody deletes the server that takes writes, nor one that took them and has not come back.
pub fn a_replica_that_was_promoted_stays(user: &User) -> Outcome {
    user.fails(&["demo", "REPLICAS=1"])?;
    let said = format!("would remove the server on port {}, which is the primary since a failover", port(user, 2));
    user.printed(format!("error: REPLICAS=1 {said}"))?;
    user.kill("replica_3")?;
    user.succeeds(&["failover"])?;
    user.printed(format!(
        "the server on port {} is not one to be promoted: the replica is not running",
        port(user, 3)
    ))?;
    user.printed("    lost              nothing")?;
    user.fails(&["demo", "REPLICAS=1"])?;
    user.printed("which was the primary, and may hold rows that no other has: make rejoin first")?;
    require(user.demo("replica_2/PG_VERSION").exists(), "its data are gone")
}

/// HAProxy of the machine, or the one that `HAPROXY` names.
fn haproxy() -> Outcome<PathBuf> {
    let given = std::env::var_os("HAPROXY").filter(|given| !given.is_empty()).map(PathBuf::from);
    let found = given
        .or_else(|| ["/usr/sbin/haproxy", "/usr/bin/haproxy"].map(PathBuf::from).into_iter().find(|one| one.exists()));
    found.ok_or_else(|| Stop::Skipped("there is no haproxy on this machine (or in HAPROXY)".to_owned()))
}

/// The example of the project, with the ports of this demo.
pub fn haproxy_sends_each_to_the_right_servers(user: &User) -> Outcome {
    let haproxy = haproxy()?;
    let example = checkout().join("docker/haproxy.cfg");
    let mut check = Command::new(&haproxy);
    check.arg("-c").arg("-f").arg(&example).current_dir(checkout());
    require(user.run(check)?, "haproxy refuses its configuration")?;
    let writers = user.free_port()?;
    let readers = (writers + 1..).find(|port| operations_lab::server::ports::is_free(*port)).ok_or("no port")?;
    let mut text = std::fs::read_to_string(&example)?;
    for number in 0..4 {
        text = text.replace(&format!(":{}\n", 5432 + number), &format!(":{}\n", port(user, number)));
    }
    let frontends = [(":6432\n", writers), (":6433\n", readers)];
    text = frontends.iter().fold(text, |text, (from, to)| text.replace(from, &format!(":{to}\n")));
    text = text.replace("port 8080 ", &format!("port {} ", user.lab_port));
    let config = user.path("haproxy.cfg");
    std::fs::write(&config, text)?;
    let mut run = Command::new(&haproxy);
    run.arg("-db").arg("-f").arg(&config).current_dir(checkout()).stdout(Stdio::null()).stderr(Stdio::null());
    let _running = Running(run.spawn()?);
    let ask = |at: u16| {
        let mut psql = Command::new(user.bindir.join("psql"));
        let to = format!("host=127.0.0.1 port={at} user=postgres dbname=operations_db connect_timeout=3");
        psql.args(["-XwAt", "-c", "SELECT inet_server_port()", &to]).env("PGPASSWORD", PASSWORD);
        user.run(psql)?;
        Ok::<_, Stop>(user.output().trim().to_owned())
    };
    let before = port(user, primary(user)?);
    user.becomes(&before.to_string(), 20, || ask(writers))?;
    let is_read = |at: &str| at.parse().is_ok_and(|found: u16| (0..4).any(|n| port(user, n) == found));
    for _ in 0..6 {
        user.becomes("a replica", 20, || {
            let found = ask(readers)?;
            let is_replica = is_read(&found) && found != before.to_string();
            Ok(if is_replica { "a replica".to_owned() } else { found })
        })?;
    }
    user.succeeds(&["failover"])?;
    let after = port(user, primary(user)?);
    require(after != before, "nobody was promoted")?;
    user.becomes(&after.to_string(), 20, || ask(writers))
}

/// Also those that were fenced off before, which follow from then on.
pub fn stop_and_start_keeps_all_replicas(user: &User) -> Outcome {
    user.succeeds(&["stop"])?;
    user.no_server_left()?;
    // Ports are remembered as their number is.
    let mut demo = user.make(&["demo"]);
    for name in ["PRIMARY_PORT", "REPLICA_PORT", "LAB_PORT"] {
        demo.env_remove(name);
    }
    require(user.run(demo)?, "make demo without ports failed")?;
    user.not_printed("cloning")?;
    is_well(user)?;
    let primary = primary(user)?;
    for number in (0..4).filter(|number| *number != primary) {
        require(on_replica(user, number, "SELECT number FROM marked;")? == "8", "a replica lost its rows")?;
    }
    Ok(())
}

/// Whom each replica follows, by ports, in the order of `make status`.
fn followed(user: &User) -> Outcome<Vec<String>> {
    let primary = primary(user)?;
    let replicas = (0..4).filter(|number| *number != primary);
    replicas.map(|number| on_replica(user, number, "SELECT sender_port FROM pg_stat_wal_receiver;")).collect()
}

pub fn replicas_cascade(user: &User) -> Outcome {
    let primary = user.on_primary("SELECT inet_server_port();")?;
    user.succeeds(&["demo", "CASCADE=on"])?;
    user.not_printed("cloning")?;
    is_well(user)?;
    let first = user.on_replica("SELECT inet_server_port();")?;
    let found = followed(user)?;
    require(found == [&primary, &first, &first].map(Clone::clone), format!("they follow {found:?}"))?;
    user.printed(format!("through the replica on port {first}"))?;
    let slots = user.on_primary("SELECT count(*) FROM pg_replication_slots;")?;
    require(slots == "1", format!("the primary has {slots} slots"))?;
    // The one in the middle breaks.
    let number = (0..4).find(|number| port(user, *number).to_string() == first).unwrap_or_default();
    let folder = if number == 0 { "primary" } else { REPLICAS[usize::from(number) - 1] };
    data(user, folder).kill_postmaster()?;
    user.becomes("seen", 20, || {
        user.fails(&["doctor"])?;
        let middle = user.printed(format!("broken    server_down   replica 127.0.0.1:{first}"));
        let behind = user.output().matches("broken    upstream_gone   replica 127.0.0.1:").count();
        let others = ["receiver_missing", "receiver_silent"].into_iter().any(|code| user.output().contains(code));
        Ok(if middle.is_ok() && behind == 2 && !others { "seen".to_owned() } else { user.output() })
    })?;
    user.printed(format!("it follows replica 127.0.0.1:{first}, which does not answer, and receives nothing"))?;
    user.printed("> make demo # starts whom it follows; make demo CASCADE=off has it follow the primary")?;
    user.succeeds(&["demo"])?;
    user.succeeds(&["demo", "CASCADE=off"])?;
    user.not_printed("cloning")?;
    is_well(user)?;
    require(followed(user)?.iter().all(|found| *found == primary), "one of them still follows another replica")
}

pub fn fewer_replicas_leave_nothing_behind(user: &User) -> Outcome {
    user.succeeds(&["demo", "REPLICAS=1"])?;
    for number in [2, 3] {
        user.printed(format!("Removing the replica on port {} (REPLICAS=1)", port(user, number)))?;
    }
    user.succeeds(&["status"])?;
    user.printed("ok: 2 servers asked, nothing wrong")?;
    let left = std::fs::read_dir(user.path("demo"))?.flatten().map(|entry| entry.file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with("replica_")).collect();
    require(left.is_empty(), format!("{left:?} are left"))?;
    let slots = user.on_primary("SELECT string_agg(slot_name, ' ') FROM pg_replication_slots;")?;
    require(slots == "operations_replica", format!("slots: {slots}"))
}
