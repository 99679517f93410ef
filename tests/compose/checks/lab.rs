//! The service `lab`: the doctor, the receipt and the drills, run as a user runs them, by `docker compose exec`.

use operations_lab::checks::{Outcome, require, same};

use crate::demo::Demo;
use crate::programs::{Finished, wait};

/// `docker compose exec lab operations-lab ..`, which may fail.
pub fn try_lab(demo: &Demo, arguments: &[&str]) -> Outcome<Finished> {
    demo.compose().try_run(&[&["exec", "--no-TTY", "lab", "operations-lab"], arguments].concat())
}

/// The same, which must succeed; what it prints.
pub fn lab(demo: &Demo, arguments: &[&str]) -> Outcome<String> {
    try_lab(demo, arguments)?.output()
}

/// The doctor finds nothing wrong, soon.
pub fn comes_to_be_ok(demo: &Demo, seconds: u64) -> Outcome<String> {
    wait("the doctor to find nothing wrong", seconds, || {
        let report = try_lab(demo, &["doctor"])?;
        require(report.success, report.text())?;
        report.output()
    })
}

/// The doctor comes to say this of a server.
pub fn comes_to_find(demo: &Demo, code: &str, server: &str, seconds: u64) -> Outcome<String> {
    wait(&format!("the doctor to find {code}"), seconds, || {
        let report = try_lab(demo, &["doctor"])?.text();
        let found = report.lines().any(|line| line.contains(code) && line.contains(server));
        require(found, report.clone())?;
        Ok(report)
    })
}

/// Nothing that was acknowledged is lost, and the client is at work.
pub fn nothing_is_lost(demo: &Demo) -> Outcome {
    let receipt = lab(demo, &["receipt"])?;
    require(receipt.starts_with("Nothing that was acknowledged is lost"), receipt)
}

/// The same after a primary was killed for whose commits nobody waited: the last of them may be on no other server. Then they were kept aside,
/// and once they are loaded nothing is lost.
pub fn nothing_is_lost_that_was_not_kept(demo: &Demo) -> Outcome {
    let receipt = try_lab(demo, &["receipt"])?;
    if !receipt.success {
        let text = receipt.text();
        let kept = text.split_whitespace().find(|word| word.starts_with("/servers/") && word.ends_with(".sql"));
        let kept = kept.ok_or_else(|| format!("rows are lost, and none were kept: {text}"))?;
        demo.compose().run(&["exec", "--no-TTY", "lab", "psql", "--file", kept])?;
    }
    nothing_is_lost(demo)
}

pub fn lab_sees_that_all_is_well(demo: &Demo) -> Outcome {
    demo.need()?;
    let report = comes_to_be_ok(demo, 30)?;
    for server in ["primary postgres_primary:5432", "replica postgres_replica_1:5432"] {
        require(report.contains(server), format!("{server} was not asked: {report}"))?;
    }
    nothing_is_lost(demo)?;
    // The page asks as a role that may only look, and must see as much.
    let as_page = "SET ROLE operations_lab; SELECT pg_catalog.count(*) FROM public.operations_doctor() WHERE code = 'not_permitted'";
    same(
        "what the page's role may not see",
        "0",
        demo.primary().container()?.psql(as_page)?.lines().last().unwrap_or_default(),
    )?;
    let rows = demo.compose().run(&["exec", "--no-TTY", "lab", "psql", "-Atc", "select pg_is_in_recovery()"])?;
    same("psql of the lab asks whoever takes writes", "f", rows.as_str())
}

/// What it is told comes from the environment or from a file; no argument has a password, and nothing of Docker is in there.
pub fn lab_has_no_way_to_docker(demo: &Demo) -> Outcome {
    demo.need()?;
    let container = demo.lab().container()?;
    let mounts = container.inspect("{{range .Mounts}}{{.Destination}} {{end}}")?;
    require(!mounts.contains("docker"), format!("the lab sees {mounts}"))?;
    container.exec("root", &["test", "!", "-e", "/var/run/docker.sock"])?;
    let published = format!("map[8080/tcp:[{{127.0.0.1 {}}}]]", demo.lab_port);
    same("published ports", published.as_str(), container.inspect("{{.HostConfig.PortBindings}}")?.as_str())?;
    let processes = demo.engine.ask(&["top", &container.id, "-eo", "pid,uid,args"])?;
    let client = processes.lines().find(|line| line.contains("receipt --write")).unwrap_or_default();
    let user = container.exec("root", &["id", "-u", "postgres"])?;
    same("who runs the client", user.as_str(), client.split_whitespace().nth(1).unwrap_or_default())
}

pub fn drills_run_beside_the_servers(demo: &Demo) -> Outcome {
    demo.need()?;
    comes_to_be_ok(demo, 30)?;
    for name in ["replay-paused", "jobs-dropped", "view-locked", "connections-full"] {
        let report = lab(demo, &["drill", name])?;
        require(report.contains(&format!("passed: {name}")), report)?;
    }
    let refused = try_lab(demo, &["drill", "primary-killed"])?.refused("it acts on another container")?.text();
    require(refused.contains("docs/drills.md"), refused)?;
    comes_to_be_ok(demo, 30)?;
    // Docker's own verdict is of the last look.
    demo.primary().becomes("healthy", 60)?;
    demo.replica().becomes("healthy", 60)
}

pub fn replica_that_left_is_forgotten(demo: &Demo) -> Outcome {
    demo.need()?;
    let first = demo.replica_port;
    let two = demo.compose().env("REPLICA_PORT", format!("{first}-{}", first + 1));
    two.up(&["--scale", "postgres_replica=2"])?;
    demo.compose().up(&["--scale", "postgres_replica=1"])?;
    let forget = |more: &[&str]| {
        let exec = ["exec", "--no-TTY", "--env", "AWAY_SECONDS=0", "postgres_replica", "forget-replica"];
        demo.compose().try_run(&[&exec, more].concat())
    };
    // The one that stays may have either number.
    let listed = forget(&[])?.output()?;
    let gone =
        listed.lines().find(|line| line.contains("away for")).ok_or_else(|| format!("nobody is away: {listed}"))?;
    let number = gone.trim_start_matches("replica ").split(':').next().unwrap_or_default();
    comes_to_find(demo, "server_down", &format!("postgres_replica_{number}"), 20)?;
    let other = if number == "1" { "2" } else { "1" };
    let refused = forget(&[other])?.refused("it runs")?.text();
    require(refused.contains("runs: stop it first"), refused)?;
    let said = forget(&[number])?.text();
    require(said.contains(&format!("replica {number} is forgotten")), said)?;
    let slots = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots";
    demo.primary().answers("slots", slots, "1")?;
    comes_to_be_ok(demo, 30)?;
    demo.down_with_data()
}
