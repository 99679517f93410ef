//! The first start: cut short, then whole; and what a user sees of a demo that lives.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use operations_lab::server::ports::listens;
use operations_lab::tools::Major;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::user::{Outcome, PASSWORD, REPLICATION_PASSWORD, Running, User, require};

/// Starts a demo in a process group of its own, and waits until it loads its rows.
fn begin_long_load(user: &User) -> Outcome<Running> {
    let log = user.path("cut.log");
    let output = std::fs::File::create(&log)?;
    let mut make = user.make(&["demo"]);
    make.env("OPERATIONS_TEST_ROWS", "3000000").process_group(0).stderr(output.try_clone()?).stdout(output);
    let mut child = Running(make.spawn()?);
    user.prints(&mut child, &log, "02_schema.sql", 600)?;
    Ok(child)
}

fn signal_group(child: &Child, signal: Signal) -> Outcome {
    let group = Pid::from_raw(i32::try_from(child.id())?).ok_or("no process")?;
    Ok(kill_process_group(group, signal)?)
}

pub fn init_that_was_cut_short(user: &User) -> Outcome {
    let mut make = begin_long_load(user)?;
    signal_group(&make.0, Signal::KILL)?;
    make.0.wait()?;
    let (half_made, whole) = (user.demo("primary.new/PG_VERSION").exists(), user.demo("primary").exists());
    require(half_made && !whole, format!("half-made {half_made}, whole {whole}"))?;
    user.fails(&["status"])?;
    user.printed("There is no demo yet")
}

/// Ctrl-C, which the terminal gives to all of the group.
pub fn init_that_was_interrupted(user: &User) -> Outcome {
    let mut make = begin_long_load(user)?;
    signal_group(&make.0, Signal::INT)?;
    let status = make.0.wait()?;
    require(!status.success(), "it went on")?;
    user.becomes("", 20, || Ok(user.processes_in(&user.path("demo"))))?;
    require(user.demo("primary.new/PG_VERSION").exists(), "there is no half-made primary")
}

pub fn start_after_a_cut_one_begins_anew(user: &User) -> Outcome {
    user.succeeds(&["demo"])?;
    user.printed("An earlier start was cut short: removing its half-made primary and starting over")?;
    require(!user.demo("primary.new").exists(), "the half-made primary is still there")
}

pub fn demo_starts(user: &User) -> Outcome {
    let done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch_command_lines(&done));
        let started = user.succeeds(&["demo"]);
        done.store(true, Ordering::Relaxed);
        let seen = watcher.join().map_err(|_| "the watcher ended early")?;
        started?;
        Ok::<_, crate::user::Stop>(seen)
    })?;
    user.printed("03_test_data.sql")?;
    user.printed(format!("127.0.0.1:{}", user.primary_port))?;
    user.printed(format!("127.0.0.1:{}", user.replica_port))?;
    require(seen.is_empty(), format!("command lines with a password: {seen:?}"))
}

/// Looks at every command line on the machine, every 50 ms: none may hold a password.
fn watch_command_lines(done: &AtomicBool) -> Vec<String> {
    let mut seen = Vec::new();
    while !done.load(Ordering::Relaxed) {
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if ["top:se", "wal:se"].iter().any(|secret| line.contains(secret)) {
                seen.push(line);
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    seen
}

pub fn second_demo_says_so(user: &User) -> Outcome {
    user.succeeds(&["demo"])?;
    user.printed("The demo is already running.")?;
    user.not_printed("OPERATIONS_TEST_ROWS")?;
    user.not_printed("is ignored")?;
    user.not_printed("make doctor says more")?;
    // What is asked for is not done, so this is no success.
    user.fails(&["demo", &format!("PRIMARY_PORT={}", user.free_port()?)])?;
    user.printed(format!("error: the primary already runs on port {}: to move it, make stop", user.primary_port))?;
    user.not_printed("The demo lives")?;
    for setting in ["PG_CONFIG=/bin/false", "EXTENSION=build"] {
        user.succeeds(&["demo", setting])?;
        user.printed(format!("{setting} is ignored: the demo runs already; make stop first"))?;
    }
    user.on_replica("SELECT pg_wal_replay_pause();")?;
    let told =
        user.succeeds(&["demo"]).and_then(|()| user.printed("But broken: replay_paused (make doctor says more)"));
    user.on_replica("SELECT pg_wal_replay_resume();")?;
    told
}

pub fn rows_are_made_once(user: &User) -> Outcome {
    user.succeeds(&["demo", "OPERATIONS_TEST_ROWS=5"])?;
    user.printed("OPERATIONS_TEST_ROWS=5 is ignored: the rows are made at the first start only, which made 20000")
}

pub fn status_of_a_live_demo(user: &User) -> Outcome {
    user.succeeds(&["status"])?;
    user.printed(format!("running, PostgreSQL {}", Major::chosen()?))?;
    for text in ["streaming, ", "operations   20,0", "client_type_sum_mv: ", "3 ahead of today"] {
        user.printed(text)?;
    }
    let jobs =
        ["operation_insert_one", "change_status", "operations_maintain_partitions", "operations_prune_job_history"];
    for job in jobs {
        user.printed(job)?;
    }
    let lines = user.output().lines().count();
    require(lines <= 24, format!("it has {lines} lines, more than a screen"))
}

/// What only the doctor looks at counts, too.
pub fn status_and_doctor_agree(user: &User) -> Outcome {
    user.session("psql", "ALTER SYSTEM SET autovacuum = off;\nSELECT pg_reload_conf();")?;
    user.becomes("off", 10, || user.on_primary("SHOW autovacuum;"))?;
    user.fails(&["status"])?;
    user.printed("degraded: autovacuum_off")?;
    user.printed("Not well: the doctor's verdict is degraded (make doctor says why)")?;
    user.session("psql", "ALTER SYSTEM RESET autovacuum;\nSELECT pg_reload_conf();")?;
    user.becomes("on", 10, || user.on_primary("SHOW autovacuum;"))?;
    user.succeeds(&["status"])
}

pub fn doctor_of_a_live_demo(user: &User) -> Outcome {
    user.succeeds(&["doctor"])?;
    user.printed("ok")?;
    user.printed(format!("127.0.0.1:{}", user.primary_port))?;
    user.succeeds(&["doctor", "DOCTOR=--json"])?;
    user.printed("\"verdict\"")
}

/// Whoever asks a running demo finds it where it runs, whatever ports the environment names for the next one.
pub fn asked_where_it_runs(user: &User) -> Outcome {
    let other = user.free_port()?;
    let said = format!("the demo runs on port {}, not {other} (PRIMARY_PORT)", user.primary_port);
    let ports = [format!("PRIMARY_PORT={other}"), "POSTGRES_PASSWORD=other".to_owned()];
    for command in ["status", "doctor"] {
        user.succeeds(&[command, &ports[0], &ports[1]])?;
        user.printed(&said)?;
        user.printed("ok: 2 servers asked, nothing wrong")?;
        user.not_printed("(REPLICA_PORT)")?;
    }
    let mut psql = user.make(&["psql", &ports[0], &ports[1]]);
    psql.stdin(std::fs::File::open("/dev/null")?);
    require(user.run(psql)?, "make psql failed")?;
    user.printed(&said)?;
    // It is still taken by the servers when it was changed in them, and then kept.
    user.session("psql", "ALTER ROLE postgres PASSWORD 'changed';")?;
    user.fails(&["status"])?;
    user.succeeds(&["demo", "POSTGRES_PASSWORD=changed"])?;
    user.succeeds(&["status"])?;
    require(user.on_primary("SELECT 1;")? == "1", "psql has the old password")?;
    user.session("psql", &format!("ALTER ROLE postgres PASSWORD $${PASSWORD}$$;"))?;
    user.succeeds(&["demo"])?;
    user.succeeds(&["status"])
}

pub fn psql_from_a_pipe(user: &User) -> Outcome {
    let query = "SELECT current_database() || pg_is_in_recovery();";
    let answers = [user.on_primary(query)?, user.on_replica(query)?];
    require(answers == ["operations_dbfalse", "operations_dbtrue"], format!("{answers:?}"))?;
    let refused = user.session_text("psql-replica", "CREATE TABLE mine ();")?;
    require(refused.contains("cannot execute CREATE TABLE in a read-only transaction"), refused)?;
    // A file that the servers' user could write gives nobody more rights than that user has.
    let shell = user.session_text("psql", "\\! id -un")?;
    require(shell.contains(&user.owner.name), shell)?;
    // The whole surface is described.
    let surface = user.session_text("psql", "\\dT+ operation_type_enum\n\\df+ operation*")?;
    require(surface.contains("operation_insert_one"), surface)
}

pub fn replica_has_the_same_rows(user: &User) -> Outcome {
    let rows: u64 = user.on_primary("SELECT count(*) FROM operations;")?.parse()?;
    require(rows >= 20_000, format!("{rows} rows"))?;
    user.becomes("t", 20, || user.on_replica(&format!("SELECT count(*) >= {rows} FROM operations;")))
}

pub fn rows_grow_and_change(user: &User) -> Outcome {
    let last = user.on_primary("SELECT max(id) FROM operations;")?;
    user.becomes("t", 30, || user.on_primary(&format!("SELECT max(id) > {last} FROM operations;")))?;
    user.becomes("t", 60, || user.on_primary("SELECT count(*) > 20000 FROM operations WHERE status = 1;"))
}

pub fn roles_and_passwords(user: &User) -> Outcome {
    let work = "SET ROLE operations_worker; CALL operation_insert_one(); CALL change_status(); \
                SELECT 'rows', count(*) > 0 FROM operations;";
    let done = user.on_primary(work)?;
    require(done.contains("rows|t"), done)?;
    let refused = user.session_text("psql", "SET ROLE operations_reader; DELETE FROM operations;")?;
    require(refused.contains("permission denied"), refused)?;
    wrong_password(user, "postgres", "dbname=operations_db")?;
    wrong_password(user, "replicator", "replication=true")
}

fn wrong_password(user: &User, role: &str, kind: &str) -> Outcome {
    let mut psql = Command::new(user.bindir.join("psql"));
    let server = format!("host=127.0.0.1 port={} user={role} {kind}", user.primary_port);
    psql.args(["-w", &server, "-c", "SELECT 1"]).env("PGPASSWORD", "wrong");
    require(!user.run(psql)?, format!("{role} came in with a wrong password"))?;
    user.printed("password authentication failed")
}

pub fn no_password_in_logs(user: &User) -> Outcome {
    let state = user.pg_config.ancestors().nth(3).ok_or("PG_CONFIG is not that of make test")?;
    let mut files = Vec::new();
    for folder in [user.path("demo"), state.join("logs")] {
        let entries = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path());
        files.extend(entries.filter(|path| path.extension().is_some_and(|extension| extension == "log")));
    }
    for server in ["primary", "replica"] {
        files.extend(["postgresql.auto.conf", "postmaster.opts"].map(|name| user.demo(server).join(name)));
    }
    require(files.len() >= 8, format!("few files: {files:?}"))?;
    for file in files {
        let text = String::from_utf8_lossy(&std::fs::read(&file)?).into_owned();
        let found = [PASSWORD, REPLICATION_PASSWORD].iter().any(|secret| text.contains(&secret[..6]));
        require(!found, format!("{} has a password", file.display()))?;
    }
    for name in ["settings", "replica.pgpass"] {
        let mode = std::fs::metadata(user.demo(name))?.permissions().mode() & 0o777;
        require(mode == 0o600, format!("{name} has mode {mode:o}"))?;
    }
    Ok(())
}

pub fn clean_leaves_nothing(user: &User) -> Outcome {
    user.succeeds(&["clean"])?;
    user.printed("Deleted the demo's data")?;
    require(!user.path("demo").exists(), "the demo's folder is still there")?;
    user.no_server_left()?;
    require(!listens(user.primary_port), "somebody listens on the primary's port")
}
