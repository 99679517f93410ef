//! The live page and its metrics, as a browser and as Prometheus ask for them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use operations_lab::http::{self, Answer};
use operations_lab::metrics::{CONTENT_TYPE, METRICS, PREFIX};
use serde_json::Value;

use crate::user::{Outcome, PASSWORD, Running, User, program, require};

/// So much memory the page may take, also with many readers.
const MEMORY: u64 = 50 * 1024;

/// Asks as a browser does, by this method and host.
fn ask(port: u16, method: &str, path: &str, host: &str) -> Outcome<Answer> {
    Ok(http::ask(port, method, path, host, Duration::from_secs(10))?)
}

pub fn get(user: &User, path: &str) -> Outcome<Answer> {
    ask(user.lab_port, "GET", path, &format!("127.0.0.1:{}", user.lab_port))
}

pub fn json(user: &User, path: &str) -> Outcome<Value> {
    Ok(serde_json::from_str(&get(user, path)?.body)?)
}

/// The line of a server in a state.
pub fn server<'a>(state: &'a Value, name: &str) -> Outcome<&'a Value> {
    let servers = state["servers"].as_array().ok_or("no servers")?;
    Ok(servers.iter().find(|server| server["name"] == name).ok_or(format!("no server {name}: {state}"))?)
}

/// The samples of `/metrics` by name and labels, as they are written.
pub fn metrics(user: &User) -> Outcome<BTreeMap<String, f64>> {
    let answer = get(user, "/metrics")?;
    require(answer.body.ends_with("\n# EOF\n"), "the metrics have no end")?;
    let mut samples = BTreeMap::new();
    for line in answer.body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').ok_or(format!("no sample: {line}"))?;
        require(samples.insert(name.to_owned(), value.parse()?).is_none(), format!("twice: {name}"))?;
    }
    Ok(samples)
}

/// One of them, by its name without the prefix.
pub fn metric(samples: &BTreeMap<String, f64>, name: &str) -> Outcome<f64> {
    Ok(*samples.get(&format!("{PREFIX}{name}")).ok_or(format!("no sample {name}"))?)
}

/// Waits until a page that has just begun knows both servers and the doctor's verdict.
fn knows_all(user: &User) -> Outcome {
    user.becomes("ok true true", 30, || {
        let state = json(user, "/api/state")?;
        let up = |name: &str| Ok::<_, crate::user::Stop>(server(&state, name)?["up"].clone());
        Ok(format!("{} {} {}", state["verdict"].as_str().unwrap_or_default(), up("primary")?, up("replica")?))
    })
}

pub fn the_page_is_served(user: &User) -> Outcome {
    user.succeeds(&["status"])?;
    user.printed(format!("http://127.0.0.1:{}/", user.lab_port))?;
    knows_all(user)?;
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/uplot.js", "text/javascript; charset=utf-8"),
        ("/uplot.css", "text/css; charset=utf-8"),
        ("/api/state", "application/json"),
        ("/api/history", "application/json"),
        ("/metrics", CONTENT_TYPE),
        ("/healthz", "text/plain; charset=utf-8"),
    ] {
        let answer = get(user, path)?;
        require(answer.status == 200 && !answer.body.is_empty(), format!("{path}: {}", answer.status))?;
        for (name, value) in
            [("content-type", kind), ("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")]
        {
            require(
                answer.headers.get(name).is_some_and(|found| found == value),
                format!("{path}: {name}: {:?}", answer.headers),
            )?;
        }
        let policy = answer.headers.get("content-security-policy").cloned().unwrap_or_default();
        require(policy.starts_with("default-src 'self'"), format!("{path}: {policy}"))?;
    }
    let port = user.lab_port;
    for (method, path, host, status) in [
        ("GET", "/", format!("localhost:{port}"), 200),
        ("GET", "/", format!("[::1]:{port}"), 200),
        ("GET", "/", format!("evil.example:{port}"), 421),
        ("GET", "/metrics", "127.0.0.1.evil.example".to_owned(), 421),
        ("GET", "/nothing", format!("127.0.0.1:{port}"), 404),
        ("GET", "/../settings", format!("127.0.0.1:{port}"), 404),
        ("POST", "/api/state", format!("127.0.0.1:{port}"), 405),
        ("DELETE", "/nothing", format!("127.0.0.1:{port}"), 405),
    ] {
        let answer = ask(port, method, path, &host)?;
        require(answer.status == status, format!("{method} {path} of {host}: {}", answer.status))?;
    }
    for (site, mode, path, status) in [
        ("cross-site", "no-cors", "/api/events", 403),
        ("cross-site", "no-cors", "/metrics", 403),
        ("cross-site", "navigate", "/", 200),
        ("same-origin", "cors", "/api/state", 200),
    ] {
        let host = format!("127.0.0.1:{port}\r\nSec-Fetch-Site: {site}\r\nSec-Fetch-Mode: {mode}");
        let answer = ask(port, "GET", path, &host)?;
        require(answer.status == status, format!("{path}, {site}, {mode}: {}", answer.status))?;
    }
    // The first sample is two seconds away.
    user.becomes("there", 10, || {
        let series = json(user, "/api/history")?["series"].as_object().map_or(0, serde_json::Map::len);
        Ok(if series == 0 { "no series" } else { "there" }.to_owned())
    })?;
    let history = json(user, "/api/history")?;
    let (times, series) =
        (history["t"].as_array().ok_or("no times")?, history["series"].as_object().ok_or("no series")?);
    require(
        !series.is_empty()
            && series.values().all(|values| values.as_array().is_some_and(|values| values.len() == times.len())),
        "series of other lengths",
    )?;
    require(history["runs"].as_array().is_some_and(|runs| !runs.is_empty()), "no runs")?;
    // What the panels name is there.
    let state = json(user, "/api/state")?;
    for panel in state["panels"].as_array().ok_or("no panels")? {
        for line in panel["series"].as_array().ok_or("no series")? {
            let key = line["key"].as_str().unwrap_or_default();
            require(series.contains_key(key), format!("{}: {key}", panel["id"]))?;
        }
    }
    Ok(())
}

pub fn metrics_are_whole_and_true(user: &User) -> Outcome {
    let count = |what: &str| Ok::<_, crate::user::Stop>(user.on_primary(what)?.parse::<f64>()?);
    let done = "SELECT count(*) FROM operations WHERE status = 1;";
    let newest = "SELECT max(id) FROM operations;";
    let written = "SELECT pg_current_wal_lsn() - '0/0';";
    let before = [count(done)?, count(newest)?, count(written)?];
    let since = count("SELECT extract(epoch FROM clock_timestamp());")?;
    user.becomes("true", 20, || {
        let samples = metrics(user)?;
        let asked = |collector: &str| {
            let name = "collector_last_success_timestamp_seconds";
            metric(&samples, &format!("{name}{{server=\"primary\",collector=\"{collector}\"}}"))
        };
        Ok((asked("operations")? > since && asked("position")? > since).to_string())
    })?;
    let samples = metrics(user)?;
    let after = [count(done)?, count(newest)?, count(written)?];
    for ((name, before), after) in [
        "operations_done{server=\"primary\"}",
        "operations_inserted_total{server=\"primary\"}",
        "wal_written_bytes_total{server=\"primary\"}",
    ]
    .iter()
    .zip(before)
    .zip(after)
    {
        let value = metric(&samples, name)?;
        require(before <= value && value <= after, format!("{name}: {before} <= {value} <= {after}"))?;
    }
    for name in METRICS.iter().map(|metric| format!("{PREFIX}{}", metric.name)) {
        let is_there = samples
            .keys()
            .any(|key| key.strip_prefix(&name).is_some_and(|rest| rest.is_empty() || rest.starts_with('{')));
        require(is_there, format!("no sample of {name}"))?;
    }
    for (name, query) in [
        ("partitions", "SELECT count(*) FROM pg_inherits WHERE inhparent = 'operations'::regclass;"),
        ("partitions_ahead", "SELECT 3;"),
        ("timeline", "SELECT timeline_id FROM pg_control_checkpoint();"),
        ("writable", "SELECT 1;"),
        ("up", "SELECT 1;"),
    ] {
        let (value, found) = (metric(&samples, &format!("{name}{{server=\"primary\"}}"))?, count(query)?);
        require((value - found).abs() < f64::EPSILON, format!("{name}: {value}, and {found} by psql"))?;
    }
    require(metric(&samples, "verdict{verdict=\"ok\"}")? > 0.0, "the verdict is not ok")?;
    require(
        samples.iter().filter(|(name, _)| name.contains("collector_success")).all(|(_, value)| *value > 0.0),
        "a collector fails",
    )?;
    // All months together are all rows, up to those of the last half minute.
    let months: f64 =
        samples.iter().filter(|(name, _)| name.contains("month_operations{")).map(|(_, value)| value).sum();
    let all = count("SELECT count(*) FROM operations;")?;
    require(months <= all && months > all - 60.0, format!("{months} rows by month of {all}"))?;
    // The replica's own answers.
    let lag = metric(&samples, "replay_lag_bytes{server=\"replica\"}")?;
    require((0.0..16_777_216.0).contains(&lag), format!("a lag of {lag} bytes"))?;
    let now = count("SELECT extract(epoch FROM clock_timestamp());")?;
    for name in ["last_replayed_commit_timestamp_seconds", "receiver_last_message_timestamp_seconds"] {
        let age = now - metric(&samples, &format!("{name}{{server=\"replica\"}}"))?;
        require((-1.0..15.0).contains(&age), format!("{name} is {age} s old"))?;
    }
    Ok(())
}

pub fn the_role_of_the_page_may_only_look(user: &User) -> Outcome {
    let file = user.demo("serve/password");
    let mode = std::fs::metadata(&file)?.permissions().mode() & 0o777;
    require(mode == 0o600, format!("its password has mode {mode:o}"))?;
    let password = std::fs::read_to_string(&file)?;
    let password = password.trim();
    require(password.len() == 32, format!("a password of {} characters", password.len()))?;
    let attributes = "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolconnlimit FROM pg_roles WHERE rolname = 'operations_lab';";
    let found = user.on_primary(attributes)?;
    require(found == "f|f|f|f|f|20", found)?;
    for statement in [
        "DELETE FROM operations",
        "CALL operation_insert_one()",
        "CALL change_status()",
        "CREATE TABLE public.mine ()",
        "COPY operations TO PROGRAM 'cat'",
        "SELECT pg_read_file('PG_VERSION')",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename = 'postgres'",
    ] {
        let mut psql = Command::new(user.bindir.join("psql"));
        let server = format!("host=127.0.0.1 port={} user=operations_lab dbname=operations_db", user.primary_port);
        psql.args(["-X", "-w", "-v", "ON_ERROR_STOP=1", &server, "-c", statement]).env("PGPASSWORD", password);
        let done = user.run(psql)?;
        let nothing = user.output().contains("(0 rows)");
        require(!done || nothing, format!("{statement}: {}", user.output()))?;
    }
    for name in ["primary.log", "replica.log", "serve/log", "receipt/log"] {
        let text = std::fs::read(user.demo(name))?;
        require(!String::from_utf8_lossy(&text).contains(password), format!("{name} has its password"))?;
    }
    Ok(())
}

/// Serves other servers, by their URLs.
fn serve(user: &User, port: u16, password: &str, urls: &[String]) -> Outcome<Running> {
    let mut command = Command::new(program());
    command.args(["serve", "--port", &port.to_string()]).args(urls).env("PGPASSWORD", password);
    command.env_remove("LAB_HOST").env_remove("LAB_NAMES").stdin(Stdio::null()).stdout(Stdio::null());
    let serving = Running(command.stderr(Stdio::null()).spawn()?);
    user.becomes("200", 20, || Ok(ask(port, "GET", "/healthz", "localhost")?.status.to_string()))?;
    Ok(serving)
}

pub fn other_servers_are_one_line_each(user: &User) -> Outcome {
    let url =
        |option: &str, port: u16| [option.to_owned(), format!("postgresql://postgres@127.0.0.1:{port}/operations_db")];
    let port = user.free_port()?;
    let seen = |wanted: &str| {
        user.becomes(wanted, 30, || {
            let state: Value = serde_json::from_str(&ask(port, "GET", "/api/state", "localhost")?.body)?;
            let codes =
                state["findings"].as_array().into_iter().flatten().filter_map(|finding| finding["code"].as_str());
            let mut codes: Vec<_> = codes.collect();
            codes.dedup();
            let errors =
                state["servers"].as_array().into_iter().flatten().filter_map(|server| server["error"].as_str());
            let long = errors.filter(|error| error.contains('\n')).count();
            Ok(format!("{} {} {long}", state["verdict"].as_str().unwrap_or_default(), codes.join(",")))
        })
    };
    let (primary, replica) = (url("--primary", user.primary_port), url("--replica", user.replica_port));
    let wrong = serve(user, port, "wrong", &[primary, replica].concat())?;
    seen("unknown password_refused 0")?;
    drop(wrong);
    // A primary that is a replica, and the replica that is the primary.
    let (primary, replica) = (url("--primary", user.replica_port), url("--replica", user.primary_port));
    let swapped = serve(user, port, PASSWORD, &[primary.to_vec(), replica.to_vec()].concat())?;
    seen("degraded roles_swapped 0")?;
    drop(swapped);
    let alone = serve(user, port, PASSWORD, &primary)?;
    seen("broken no_writable_server 0")?;
    // The port is taken now.
    let mut second = Command::new(program());
    second.args(["serve", "--port", &port.to_string()]).args(&primary).env("PGPASSWORD", PASSWORD);
    require(!user.run(second)?, "a second one serves on the same port")?;
    require(user.output().lines().count() == 1, user.output())?;
    user.printed(format!("error: port {port} of 127.0.0.1, for the page, is taken"))?;
    drop(alone);
    let nothing = user.free_port()?;
    let nobody = serve(user, port, PASSWORD, &url("--primary", nothing))?;
    seen("broken server_down 0")?;
    drop(nobody);
    Ok(())
}

pub fn a_taken_lab_port_is_said(user: &User) -> Outcome {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    user.succeeds(&["demo", &format!("LAB_PORT={port}")])?;
    user.printed(format!("The page is not served: port {port} of 127.0.0.1 is taken: stop what listens there and make demo again, or make demo LAB_PORT="))?;
    user.fails(&["demo", "LAB_PORT=99999"])?;
    user.printed("error: LAB_PORT=99999 is no port")?;
    user.succeeds(&["demo", "LAB_PORT=off"])?;
    user.succeeds(&["status"])?;
    user.printed("not served (LAB_PORT=off)")?;
    // That is remembered as a port is.
    let mut make = user.make(&["demo"]);
    make.env_remove("LAB_PORT");
    require(user.run(make)?, "make demo failed")?;
    user.not_printed("    page     http://")?;
    user.succeeds(&["demo"])?;
    user.printed(format!("    page     http://127.0.0.1:{}/", user.lab_port))?;
    knows_all(user)
}

/// The page's process, as its folder says.
pub fn pid(user: &User) -> Outcome<u32> {
    Ok(std::fs::read_to_string(user.demo("serve/pid"))?.trim().parse()?)
}

fn memory(user: &User) -> Outcome<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid(user)?))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// A page that is open.
fn open(user: &User) -> Outcome<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", user.lab_port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    Ok(stream)
}

pub fn fifty_pages_and_slow_readers(user: &User) -> Outcome {
    // Half of them never read anything.
    let slow = (0..25).map(|_| open(user)).collect::<Outcome<Vec<_>>>()?;
    let threads: Vec<_> = (0..25)
        .map(|_| {
            Ok(std::thread::spawn({
                let stream = open(user)?;
                move || samples_within(stream, 15)
            }))
        })
        .collect::<Outcome<_>>()?;
    user.becomes("50", 10, || Ok(format!("{}", metric(&metrics(user)?, "page_readers")?)))?;
    let began = Instant::now();
    // All of them ask for the history, too, as pages do when they are opened.
    for _ in 0..50 {
        require(get(user, "/api/history")?.status == 200, "no history")?;
    }
    require(began.elapsed() < Duration::from_secs(10), format!("50 histories took {:?}", began.elapsed()))?;
    for thread in threads {
        let seen = thread.join().map_err(|_| "a reader ended early")?;
        require(seen >= 5, format!("a reader got {seen} samples in 15 s"))?;
    }
    let memory = memory(user)?;
    require(memory < MEMORY, format!("the page took {memory} kB"))?;
    drop(slow);
    // Those that are gone are noticed when the next event is sent to them.
    user.becomes("0", 30, || Ok(format!("{}", metric(&metrics(user)?, "page_readers")?)))?;
    knows_all(user)
}

/// How many samples come in so many seconds.
fn samples_within(stream: TcpStream, seconds: u64) -> usize {
    let began = Instant::now();
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines.take_while(|_| began.elapsed() < Duration::from_secs(seconds)).filter(|line| line == "event: sample").count()
}
