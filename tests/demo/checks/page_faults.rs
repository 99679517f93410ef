//! What the page shows of faults, and how soon.

use std::time::Instant;

use operations_lab::metrics::PREFIX;
use operations_lab::server::Signal;
use serde_json::Value;

use crate::page::{json, metric, metrics, server};
use crate::receipt::{data, roles};
use crate::user::{Outcome, User, require};

/// Within so many seconds it is said that a server does not answer.
const SOON: f64 = 3.0;

/// Waits until the page says of a server that it answers, or that it does not; how long it took.
fn shown(user: &User, name: &str, up: bool) -> Outcome<f64> {
    let began = Instant::now();
    user.becomes(&up.to_string(), 40, || Ok(server(&json(user, "/api/state")?, name)?["up"].to_string()))?;
    Ok(began.elapsed().as_secs_f64())
}

/// Where a server is that has this name in the metrics.
fn address(user: &User, name: &str) -> Outcome<String> {
    Ok(server(&json(user, "/api/state")?, name)?["address"].as_str().unwrap_or_default().to_owned())
}

fn verdict_becomes(user: &User, wanted: &str, seconds: u64) -> Outcome {
    user.becomes(wanted, seconds, || Ok(json(user, "/api/state")?["verdict"].as_str().unwrap_or_default().to_owned()))
}

/// A mark of the last hour whose text has this, and that has or has not ended.
fn is_marked(user: &User, kind: &str, text: &str) -> Outcome<bool> {
    let history = json(user, "/api/history")?;
    let is_it = |mark: &Value| mark["kind"] == kind && mark["text"].as_str().is_some_and(|found| found.contains(text));
    Ok(history["marks"].as_array().is_some_and(|marks| marks.iter().any(is_it)))
}

fn without_values(user: &User, name: &str) -> Outcome {
    let samples = metrics(user)?;
    require(metric(&samples, &format!("up{{server=\"{name}\"}}"))? < 1.0, "up is not 0")?;
    let stale = samples.keys().find(|key| {
        key.contains(&format!("server=\"{name}\""))
            && !["up", "collector_", "findings", "job_runs_total"]
                .iter()
                .any(|told| key.starts_with(&format!("{PREFIX}{told}")))
    });
    require(stale.is_none(), format!("it does not answer, and {stale:?} has a value"))?;
    let failed = metric(&samples, &format!("collector_success{{server=\"{name}\",collector=\"position\"}}"))?;
    require(failed < 1.0, "its collectors are said to work")
}

pub fn a_server_that_hangs_is_seen_within_3_s(user: &User) -> Outcome {
    let (primary, replica) = roles(user)?;
    // The first process of one takes no new sessions; all of the other are stopped.
    for (name, processes) in [(replica, "its first process"), (primary, "all")] {
        let server = data(user, name);
        let pid = server.pid().ok_or(format!("the {name} does not run"))?;
        let mut stopped = vec![pid];
        if processes == "all" {
            stopped.extend(children(pid)?);
        }
        signal(&stopped, Signal::STOP)?;
        let took = shown(user, name, false);
        let empty = without_values(user, name);
        signal(&stopped, Signal::CONT)?;
        let took = took?;
        println!("        {name}, {processes}: seen after {took:.1} s");
        require(took <= SOON, format!("{name}, {processes}: seen after {took:.1} s"))?;
        empty?;
        let back = shown(user, name, true)?;
        require(back <= 5.0, format!("{name}: back after {back:.1} s"))?;
        require(is_marked(user, "server", &format!("{} ", address(user, name)?))?, "it is not marked")?;
    }
    verdict_becomes(user, "ok", 30)
}

fn children(pid: u32) -> Outcome<Vec<u32>> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(children.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
}

/// Those that have ended meanwhile need none.
fn signal(pids: &[u32], signal: Signal) -> Outcome {
    for pid in pids {
        let pid = rustix::process::Pid::from_raw(i32::try_from(*pid)?).ok_or("no process 0")?;
        let _ = rustix::process::kill_process(pid, signal);
    }
    Ok(())
}

pub fn a_server_that_is_killed_is_seen_and_comes_back(user: &User) -> Outcome {
    let (primary, _) = roles(user)?;
    let began = Instant::now();
    data(user, primary).kill_all()?;
    let took = shown(user, primary, false)?;
    println!("        killed: seen after {took:.1} s");
    require(took <= SOON, format!("seen after {took:.1} s"))?;
    without_values(user, primary)?;
    verdict_becomes(user, "broken", 10)?;
    println!("        killed: the verdict is broken after {:.1} s", began.elapsed().as_secs_f64());
    user.succeeds(&["demo"])?;
    let back = shown(user, primary, true)?;
    require(back <= 5.0, format!("back after {back:.1} s"))?;
    verdict_becomes(user, "ok", 30)?;
    require(is_marked(user, "server", "is down")? && is_marked(user, "verdict", "broken")?, "it is not marked")
}

pub fn a_failing_job_is_told(user: &User) -> Outcome {
    let (primary, _) = roles(user)?;
    let failures = format!("job_runs_total{{server=\"{primary}\",job=\"change_status\",status=\"failed\"}}");
    let before = metric(&metrics(user)?, &failures)?;
    user.succeeds(&["drill", "NAME=job-failing"])?;
    user.becomes("more", 10, || Ok(if metric(&metrics(user)?, &failures)? > before { "more" } else { "" }.to_owned()))?;
    let history = json(user, "/api/history")?;
    let failed = |run: &Value| run["job"] == "change_status" && run["ok"] == false && run["message"] != "";
    require(history["runs"].as_array().is_some_and(|runs| runs.iter().any(failed)), "no run is shown that failed")?;
    let drill = |mark: &Value| mark["kind"] == "drill" && mark["text"] == "job-failing" && mark["end"].is_u64();
    require(
        history["marks"].as_array().is_some_and(|marks| marks.iter().any(drill)),
        format!("no mark: {}", history["marks"]),
    )?;
    require(is_marked(user, "verdict", "job_failing")?, "the verdict is not marked")?;
    verdict_becomes(user, "ok", 30)
}

pub fn the_page_shows_the_new_roles(user: &User) -> Outcome {
    let (old, new) = roles(user)?;
    user.succeeds(&["failover"])?;
    let role = |name: &str| {
        Ok::<_, crate::user::Stop>(
            server(&json(user, "/api/state")?, name)?["role"].as_str().unwrap_or_default().to_owned(),
        )
    };
    user.becomes("primary", 5, || role(new))?;
    require(metric(&metrics(user)?, &format!("writable{{server=\"{new}\"}}"))? > 0.0, "it is not writable")?;
    user.becomes("true", 10, || Ok(is_marked(user, "failover", "promoted after")?.to_string()))?;
    let marked = format!("{} is a primary now", address(user, new)?);
    require(is_marked(user, "role", &marked)?, "the change of roles is not marked")?;
    // Its jobs and operations are those that are shown now.
    let done = format!("operations_done{{server=\"{new}\"}}");
    user.becomes("true", 10, || Ok((metric(&metrics(user)?, &done)? > 0.0).to_string()))?;
    user.succeeds(&["rejoin"])?;
    user.becomes("replica", 15, || role(old))?;
    // Its name in the metrics stays, and the page calls it what it is.
    let state = json(user, "/api/state")?;
    let called = format!("replica {}", address(user, old)?);
    require(server(&state, old)?["called"] == called.as_str(), format!("{old} is not called {called}: {state}"))?;
    verdict_becomes(user, "ok", 40)?;
    user.becomes("little", 20, || {
        let lag = metric(&metrics(user)?, &format!("replay_lag_bytes{{server=\"{old}\"}}"))?;
        Ok(if lag < 16_777_216.0 { "little".to_owned() } else { lag.to_string() })
    })
}
