//! A load, as a user runs it: it comes at about the rate, on the server that is meant, with no rights that it does not need, and
//! what it says of itself is so.

use std::os::unix::process::CommandExt;

use operations_lab::checkout;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::user::{Outcome, PASSWORD, Running, User, require};

const ROWS: &str = "SELECT count(*) FROM operations;";
const EACH: &str = "MIX=insert=1,flip=1,correct=1,cancel=1,late=1,balance=1,dashboard=1";

fn number(text: &str) -> Outcome<i64> {
    Ok(text.trim().parse().map_err(|_| format!("no number: {text}"))?)
}

fn sums_are_exact(user: &User) -> Outcome {
    let differences = user.on_primary("SELECT count(*) FROM operations_verify_rollup();")?;
    require(differences == "0", format!("{differences} sums are wrong"))
}

pub fn load_comes_at_the_rate(user: &User) -> Outcome {
    let reads = "SELECT sum(idx_scan) FROM pg_stat_user_indexes \
                 WHERE indexrelname = 'client_type_sum_mv_client_id_operation_type_idx';";
    let before = (number(&user.on_primary(ROWS)?)?, number(&user.on_replica(reads)?)?);
    user.succeeds(&["load", "RATE=40", "SECONDS=6", "CLIENTS=2", "MIX=insert=3,balance=1"])?;
    for text in ["primary:", "replica:", "number of transactions actually processed: ", "latency average = ", "tps = "]
    {
        user.printed(text)?;
    }
    // It says how long it took, which may be more than it was asked for.
    user.printed("Load of ")?;
    let marks = std::fs::read_to_string(user.demo("marks"))?;
    let marks: Vec<_> = marks.lines().filter(|line| line.contains("\"kind\":\"load\"")).collect();
    require(marks.len() == 2 && marks[1].contains("Load of "), "the load is not marked for the page")?;
    user.printed(" 0 failed")?;
    for when in ["before    lag ", "meanwhile lag ", "after     lag "] {
        user.printed(when)?;
    }
    // 180 and 60 are asked for; the gaps between them are random. The job adds one or two.
    let inserted = number(&user.on_primary(ROWS)?)? - before.0;
    require((110..=260).contains(&inserted), format!("{inserted} rows were inserted"))?;
    user.becomes("read", 10, || {
        let read = number(&user.on_replica(reads)?)? - before.1;
        Ok(if (25..=110).contains(&read) { "read".to_owned() } else { format!("{read} reads on the replica") })
    })
}

pub fn each_script_does_its_work(user: &User) -> Outcome {
    let earlier = "SELECT count(*) FROM operations WHERE operation_date < date_trunc('month', current_date);";
    let before = number(&user.on_primary(earlier)?)?;
    user.succeeds(&["load", "RATE=140", "SECONDS=5", EACH])?;
    for script in operations_lab::load::SCRIPTS.iter() {
        user.printed(format!("/{}.sql", script.name))?;
    }
    user.printed(" 0 failed")?;
    let late = number(&user.on_primary(earlier)?)? - before;
    require(late > 20, format!("{late} rows came late"))?;
    // Until then what the bank received says the amount.
    let corrected = "SELECT count(*) > 10 FROM operations WHERE amount <> (message ->> 'amount')::numeric;";
    user.becomes("t", 10, || user.on_primary(corrected))?;
    let cancelled = "SELECT sum(n_tup_del) > 3 FROM pg_stat_user_tables WHERE relname LIKE 'operations\\_2%';";
    user.becomes("t", 10, || user.on_primary(cancelled))?;
    sums_are_exact(user)
}

pub fn wrong_loads_are_refused(user: &User) -> Outcome {
    for (setting, why) in [
        ("RATE=0", "error: --rate (RATE=) 0: give a whole number from 1 to 100000"),
        ("RATE=-1", "error: --rate (RATE=) -1: give a whole number from 1 to 100000"),
        ("RATE=100001", "error: --rate (RATE=) 100001: give a whole number from 1 to 100000"),
        ("RATE=many", "error: --rate (RATE=) many: give a whole number from 1 to 100000"),
        ("SECONDS=0", "error: --seconds (SECONDS=) 0: give a whole number from 1 to 86400"),
        ("CLIENTS=51", "error: --clients (CLIENTS=) 51: give a whole number from 1 to 50"),
        (
            "MIX=nonsense=1",
            "there is no \"nonsense\": name some of insert, flip, correct, cancel, late, balance, dashboard",
        ),
        ("MIX=insert=0", "all weights are 0, so there is nothing to do"),
        ("PROFILE=year", "error: --profile (PROFILE=) year: give day"),
        ("MINUTES=1", "error: --minutes (MINUTES=) is for a day: give --profile day (PROFILE=day), too"),
    ] {
        user.fails(&["load", setting])?;
        user.printed(why)?;
    }
    user.fails(&["load", "PROFILE=day", "SECONDS=5"])?;
    user.printed("cannot be used with")
}

/// As a superuser it could do all.
pub fn load_needs_no_superuser(user: &User) -> Outcome {
    user.on_primary("REVOKE DELETE ON operations FROM operations_load;")?;
    user.fails(&["load", "RATE=20", "SECONDS=20", "MIX=cancel=1"])?;
    let failed =
        user.printed("permission denied for table operations").and_then(|()| user.printed("one pgbench was aborted"));
    user.on_primary("GRANT DELETE ON operations TO operations_load;")?;
    failed
}

pub fn interrupted_load_says_what_it_did(user: &User) -> Outcome {
    let log = user.path("load.log");
    let output = std::fs::File::create(&log)?;
    let mut make = user.make(&["load", "RATE=40", "PROFILE=day", "MINUTES=1"]);
    make.process_group(0).stderr(output.try_clone()?).stdout(output);
    let mut load = Running(make.spawn()?);
    user.prints(&mut load, &log, "\n01:00  ", 60)?;
    for process in std::fs::read_dir("/proc")?.flatten() {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        require(!String::from_utf8_lossy(&line).contains(PASSWORD), "the list of processes shows the password")?;
    }
    let group = Pid::from_raw(i32::try_from(load.0.id())?).ok_or("no process")?;
    kill_process_group(group, Signal::INT)?;
    let status = load.0.wait()?;
    let said = std::fs::read_to_string(&log)?;
    require(!status.success(), "it succeeded")?;
    require(said.contains("\nLoad of ") && said.contains("\nafter     lag "), &said)?;
    require(!said.contains("\n12:00  "), "it went on")?;
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'operations-lab load';";
    user.becomes("0", 10, || user.on_primary(sessions))
}

pub fn servers_are_loaded_by_their_urls(user: &User) -> Outcome {
    let url = |port: u16| format!("postgresql://postgres@127.0.0.1:{port}/operations_db");
    let by_url = |primary: u16, replica: u16| {
        let servers = format!("LOAD=--primary {} --replica {}", url(primary), url(replica));
        let mut make = user.make(&["load", "RATE=20", "SECONDS=2", &servers]);
        make.env("PGPASSWORD", PASSWORD);
        user.run(make)
    };
    require(by_url(user.primary_port, user.replica_port)?, "it failed")?;
    user.printed(" 0 failed")?;
    require(!by_url(user.replica_port, user.primary_port)?, "a replica took writes")?;
    user.printed(format!("for want of primary 127.0.0.1:{}: it is a replica, and takes no writes", user.replica_port))?;
    let alone = format!("LOAD=--primary {}", url(user.primary_port));
    let mut make = user.make(&["load", "RATE=20", "SECONDS=2", &alone]);
    make.env("PGPASSWORD", PASSWORD);
    require(!user.run(make)?, "the replica was read without a name")?;
    user.printed("error: no replica is named: give --replica, or a --mix without balance and dashboard")
}

pub fn a_primary_is_loaded_without_its_replica(user: &User) -> Outcome {
    user.kill("replica")?;
    user.fails(&["load", "RATE=20", "SECONDS=2"])?;
    user.printed("error: nothing is loaded, for want of replica ")?;
    user.printed("without it: --mix (MIX=..) without balance and dashboard")?;
    // The verdict was broken before, and is no worse afterwards.
    user.succeeds(&["load", "RATE=20", "SECONDS=2", "MIX=insert=1"])?;
    user.printed("not seen")?;
    user.printed(" 0 failed")?;
    user.succeeds(&["demo"])
}

pub fn commands_of_the_page_run(user: &User) -> Outcome {
    let page = std::fs::read_to_string(checkout().join("docs/load.md"))?;
    let commands: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("make load")).collect();
    require(commands.len() >= 3, "docs/load.md has few commands")?;
    for command in commands.into_iter().filter(|command| !command.contains("PROFILE=")) {
        let mut words = vec!["load"];
        words.extend(command.split_whitespace());
        // Of two settings of one name the last counts.
        words.extend(["RATE=20", "SECONDS=2"]);
        user.succeeds(&words)?;
    }
    Ok(())
}

pub fn jobs_insert_as_many_operations_as_are_set(user: &User) -> Outcome {
    for wrong in ["0", "-1", "10001", "many"] {
        user.fails(&["demo", &format!("OPERATIONS_INSERT_BATCH={wrong}")])?;
        user.printed(format!(
            "error: OPERATIONS_INSERT_BATCH={wrong} is no number of operations: give a whole number from 1 to"
        ))?;
    }
    let before = number(&user.on_primary(ROWS)?)?;
    user.succeeds(&["demo", "OPERATIONS_INSERT_BATCH=300"])?;
    user.printed("The demo is already running.")?;
    user.printed("The demo lives: 300 new operations every 5 s")?;
    user.becomes("many", 30, || {
        let more = number(&user.on_primary(ROWS)?)? - before;
        Ok(if more >= 600 { "many".to_owned() } else { format!("{more} more rows") })
    })?;
    let batch = "SHOW operations_ext.insert_batch;";
    require(user.on_replica(batch)? == "300", "the replica would insert another number when it is promoted")?;
    sums_are_exact(user)?;
    user.succeeds(&["demo", "OPERATIONS_INSERT_BATCH=1"])?;
    require(user.on_primary(batch)? == "1", "it stays as it was")
}

/// The servers have changed their roles by now.
pub fn who_takes_writes_is_loaded(user: &User) -> Outcome {
    let before = number(&user.on_primary(ROWS)?)?;
    user.succeeds(&["load", "RATE=40", "SECONDS=3", "MIX=insert=3,balance=1"])?;
    user.printed(" 0 failed")?;
    let inserted = number(&user.on_primary(ROWS)?)? - before;
    require(inserted > 30, format!("{inserted} rows were inserted"))
}
