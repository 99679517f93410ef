//! The primary dies, is replaced, and comes back; and what the receipt says of it. Each check leaves both servers well, whichever
//! is the primary then.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use operations_lab::server::{Signal, Stop};

use crate::receipt::{acknowledged, data, last_acknowledged, listed, number, roles, write_more};
use crate::user::{Outcome, PASSWORD, Running, User, require};

fn port(user: &User, server: &str) -> u16 {
    if server == "primary" { user.primary_port } else { user.replica_port }
}

/// Stops the process that sends the primary's WAL.
fn hold_back(user: &User, primary: &str) -> Outcome {
    let sender = user.on_primary("SELECT pid FROM pg_stat_replication;")?.parse()?;
    Ok(data(user, primary).signal_process(sender, Signal::STOP)?)
}

fn is_alone_in_writing(user: &User, old: &str) -> Outcome {
    require(!operations_lab::server::ports::listens(port(user, old)), "the old primary listens")
}

/// What listens where the primary did may be the primary: then nothing is promoted.
pub fn what_cannot_be_fenced_is_not_replaced(user: &User) -> Outcome {
    let (primary, replica) = roles(user)?;
    user.kill(primary)?;
    let listener = TcpListener::bind(("127.0.0.1", port(user, primary)))?;
    user.fails(&["failover"])?;
    user.printed("could not be fenced off, so nothing was promoted or changed")?;
    drop(listener);
    require(user.demo(&format!("{replica}/standby.signal")).exists(), "it was promoted")?;
    user.succeeds(&["demo"])?;
    user.succeeds(&["status"])
}

/// Somebody else who may replicate, and calls himself the replica.
fn pretend(user: &User, primary: &str) -> Outcome<Running> {
    user.session("psql", "CREATE ROLE pretender LOGIN REPLICATION PASSWORD 'x';")?;
    let mut receive = Command::new(user.bindir.join("pg_receivewal"));
    let folder = user.path("received");
    std::fs::create_dir_all(&folder)?;
    std::os::unix::fs::chown(&folder, Some(user.owner.uid()), None)?;
    let connection =
        format!("host=127.0.0.1 port={} user=pretender application_name=operations_replica", port(user, primary));
    receive.arg("-w").arg("-D").arg(folder).arg("-d").arg(connection).env("PGPASSWORD", "x");
    let running = Running(receive.stderr(Stdio::null()).stdout(Stdio::null()).spawn()?);
    let streams = "SELECT usename FROM pg_stat_replication WHERE application_name = 'operations_replica' AND state = 'streaming';";
    user.becomes("pretender", 20, || user.on_primary(streams))?;
    Ok(running)
}

/// What the replica lacks would be lost.
pub fn a_primary_that_lives_is_not_given_up_for_a_replica_that_is_away(user: &User) -> Outcome {
    let (primary, replica) = roles(user)?;
    // The replica runs, and is kept from connecting.
    user.session("psql-replica", "ALTER SYSTEM SET primary_conninfo = 'port=1';\nSELECT pg_reload_conf();")?;
    user.becomes("0", 20, || user.on_primary("SELECT count(*) FROM pg_stat_replication;"))?;
    user.fails(&["failover"])?;
    user.printed("error: the replica does not stream, and the primary lives")?;
    let pretender = pretend(user, primary)?;
    user.fails(&["failover"])?;
    user.printed("error: the replica does not stream, and the primary lives")?;
    user.fails(&["status"])?;
    user.printed("not streaming; its slot is ")?;
    drop(pretender);
    user.session("psql", "DROP ROLE pretender;")?;
    require(roles(user)? == (primary, replica), "the roles are others")?;
    user.succeeds(&["demo"])?;
    user.succeeds(&["status"])
}

/// What would be found out only after the fence is refused before.
pub fn a_replica_that_replays_late_is_refused(user: &User) -> Outcome {
    let (primary, replica) = roles(user)?;
    user.session("psql-replica", "ALTER SYSTEM SET recovery_min_apply_delay = '5s';\nSELECT pg_reload_conf();")?;
    user.becomes("5s", 20, || user.on_replica("SHOW recovery_min_apply_delay;"))?;
    user.fails(&["failover"])?;
    user.printed("error: the replica replays 5s late (recovery_min_apply_delay), so nothing was changed")?;
    user.session("psql-replica", "ALTER SYSTEM RESET recovery_min_apply_delay;\nSELECT pg_reload_conf();")?;
    user.becomes("0", 20, || user.on_replica("SHOW recovery_min_apply_delay;"))?;
    require(roles(user)? == (primary, replica), "the roles are others")?;
    user.succeeds(&["status"])
}

/// As a failover leaves it that is killed between the fence and the promotion.
pub fn half_a_failover_is_undone_or_gone_on_with(user: &User) -> Outcome {
    let (old, new) = roles(user)?;
    let break_off = || {
        user.kill(old)?;
        let files = [user.demo(&format!("{old}/standby.signal")), user.demo(&format!("{old}.fenced"))];
        for file in &files {
            user.owner.write(file, b"", false)?;
        }
        Ok::<_, crate::user::Stop>(())
    };
    break_off()?;
    user.fails(&["demo"])?;
    user.printed("error: a failover broke off: both servers are replicas now")?;
    user.succeeds(&["stop"])?;
    user.succeeds(&["demo"])?;
    user.printed("A failover broke off before anything was promoted")?;
    require(roles(user)? == (old, new), "the roles are others")?;
    user.succeeds(&["status"])?;
    break_off()?;
    user.succeeds(&["failover"])?;
    user.printed("    lost              nothing")?;
    user.succeeds(&["rejoin"])?;
    require(roles(user)? == (new, old), "the old primary takes the writes")?;
    user.succeeds(&["status"])
}

pub fn what_was_held_back_is_lost_and_told(user: &User) -> Outcome {
    let (old, new) = roles(user)?;
    hold_back(user, old)?;
    user.session("psql", "CALL operation_insert_one();")?;
    write_more(user, 20)?;
    data(user, old).kill_all()?;
    user.succeeds(&["failover"])?;
    user.printed(format!("The server on port {} is the primary now", port(user, new)))?;
    user.printed("rows of the receipt (make receipt lists them)")?;
    is_alone_in_writing(user, old)?;
    // What the new primary has, told by itself and not by the receipt.
    let timeline: u32 =
        user.on_primary("SELECT ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int;")?.parse()?;
    let last: u64 = user
        .on_primary(&format!("SELECT max(sequence) FROM operations_lab.receipt WHERE timeline < {timeline};"))?
        .parse()?;
    let lost = acknowledged(user)?.iter().filter(|(sequence, on)| *sequence > last && *on < timeline).count();
    require(lost >= 20, format!("{lost} rows were held back"))?;
    user.fails(&["receipt", "RECEIPT=--json"])?;
    let told = (number(user, "lost")?, listed(user, "forked")?, number(user, "unexpected")?);
    require(told == (lost as u64, lost, 0), format!("{lost} are lost, and the receipt says {told:?}"))?;
    user.becomes("2", 30, || {
        user.on_primary(
            "SELECT count(*) FROM operations_jobs() WHERE runs > 0 AND last_status = 'succeeded' AND \
                         job_name IN ('operation_insert_one', 'change_status');",
        )
    })
}

/// The old primary of the check before, started by hand: it takes no writes.
pub fn an_old_primary_that_is_started_by_hand_takes_no_writes(user: &User) -> Outcome {
    let (_, old) = roles(user)?;
    let (config, sockets) = (user.demo("docker/postgresql.conf"), user.demo("run"));
    let options = format!(
        "-c config_file={} -c listen_addresses=127.0.0.1 -p {} -k {}",
        config.display(),
        port(user, old),
        sockets.display()
    );
    let mut start = Command::new(user.bindir.join("pg_ctl"));
    start.args(["start", "-s", "-w", "-l"]).arg(user.demo(&format!("{old}.log"))).arg("-D").arg(user.demo(old));
    start.args(["-o", &options]);
    require(user.run(start)?, "it did not start")?;
    let mut psql = Command::new(user.bindir.join("psql"));
    psql.args(["-w", "-U", "postgres", "-h", "127.0.0.1", "-d", "operations_db", "-p", &port(user, old).to_string()]);
    psql.args(["-c", "DELETE FROM operations_lab.receipt;"]).env("PGPASSWORD", PASSWORD);
    let deleted = user.run(psql)?;
    user.printed("cannot execute DELETE in a read-only transaction")?;
    require(!deleted, "it takes writes")
}

/// Who plans a query runs the constant parts of an index as himself: nothing of another role is read by a superuser.
pub fn rejoin_reads_no_table_of_another_role(user: &User) -> Outcome {
    let (old, new) = roles(user)?;
    user.session(
        "psql",
        "CREATE ROLE intruder; CREATE SCHEMA intruder AUTHORIZATION intruder; SET ROLE intruder;\n\
         CREATE TABLE intruder.t (a text); \
         CREATE FUNCTION intruder.f(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS \
         'begin if pg_catalog.current_setting(''is_superuser'') = ''on'' and session_user <> ''intruder'' and \
         current_user <> ''intruder'' then raise exception ''planned as %'', current_user; end if; return $1; end';\n\
         CREATE INDEX ON intruder.t (a) WHERE intruder.f('x') = 'x';\n",
    )?;
    write_more(user, 5)?;
    hold_back(user, old)?;
    user.session("psql", "CALL operation_insert_one();")?;
    write_more(user, 5)?;
    data(user, old).kill_all()?;
    user.succeeds(&["failover"])?;
    user.succeeds(&["rejoin"])?;
    user.printed("not read: 1 tables of roles that are no superusers")?;
    load(user)?;
    require(roles(user)? == (new, old), "the roles are others")?;
    // What was written to it is not lost silently.
    hold_back(user, new)?;
    user.session("psql", "SET ROLE intruder;\nINSERT INTO intruder.t VALUES ('y');")?;
    data(user, new).kill_all()?;
    user.succeeds(&["failover"])?;
    user.fails(&["rejoin"])?;
    user.printed("intruder.t was written to, and is not read as a superuser: it belongs to intruder")?;
    require(user.demo(&format!("{new}/standby.signal")).exists(), "the old primary is not fenced off")?;
    user.succeeds(&["demo", "REPLICA_RECLONE=promoted"])?;
    user.session("psql", "DROP SCHEMA intruder CASCADE; DROP ROLE intruder;")?;
    // What was thrown away would be lost in all that follows.
    user.succeeds(&["stop"])?;
    std::fs::remove_dir_all(user.demo("receipt"))?;
    user.succeeds(&["demo"])?;
    user.succeeds(&["status"])
}

pub fn rejoin_keeps_what_only_the_old_primary_had(user: &User) -> Outcome {
    user.fails(&["receipt", "RECEIPT=--json"])?;
    let lost = usize::try_from(number(user, "lost")?)?;
    // It may have committed rows whose acknowledgements it took along.
    let in_doubt = usize::try_from(number(user, "in_doubt")?)?;
    let operations = user.on_primary("SELECT count(*) FROM operations;")?;
    user.succeeds(&["rejoin"])?;
    user.printed("pg_rewind: servers diverged at WAL location ")?;
    let printed = |rows| user.printed(format!("operations_lab.receipt       {rows} rows that only it has"));
    if (lost..lost + in_doubt).all(|rows| printed(rows).is_err()) {
        printed(lost + in_doubt)?;
    }
    user.printed("public.operations            ")?;
    user.printed("to load them: make psql <")?;
    user.succeeds(&["status"])?;
    user.succeeds(&["rejoin"])?;
    user.printed("There is no old primary")?;
    for _ in 0..2 {
        load(user)?;
        user.succeeds(&["receipt", "RECEIPT=--json"])?;
        let told = (number(user, "lost")?, listed(user, "forked")?, number(user, "unexpected")?);
        require(told == (0, lost, 0), format!("{lost} were lost, and the receipt says {told:?}"))?;
    }
    let loaded = user.on_primary(&format!("SELECT count(*) > {operations} FROM operations;"))?;
    require(loaded == "t", "the operations are not there")
}

/// Loads what was kept last, by the command that is printed.
fn load(user: &User) -> Outcome {
    let mut make = user.make(&["psql"]);
    make.stdin(std::fs::File::open(kept(user)?)?);
    require(user.run(make)?, "the rows could not be loaded")?;
    user.printed("the rows are loaded")
}

fn kept(user: &User) -> Outcome<PathBuf> {
    let entries = std::fs::read_dir(user.demo("kept"))?.flatten();
    let newest = entries.max_by_key(|entry| entry.metadata().and_then(|found| found.modified()).ok());
    Ok(newest.ok_or("nothing was kept")?.path())
}

/// Both take writes, and the client goes on with the old one, as every client would.
pub fn two_primaries_become_one(user: &User) -> Outcome {
    let (old, new) = roles(user)?;
    user.session("psql-replica", "SELECT pg_promote();")?;
    write_more(user, 10)?;
    // So what only the old one has is in two segments of its WAL.
    let mut psql = Command::new(user.bindir.join("psql"));
    psql.args(["-X", "-h", "127.0.0.1", "-U", "postgres", "-d", "operations_db", "-c", "SELECT pg_switch_wal()"]);
    psql.env("PGPASSWORD", PASSWORD).env("PGPORT", port(user, old).to_string());
    require(user.run(psql)?, "the old primary does not switch its WAL")?;
    write_more(user, 10)?;
    user.fails(&["doctor"])?;
    user.printed("two_writable_servers")?;
    user.fails(&["demo"])?;
    user.printed("make rejoin makes the server on the older timeline a replica")?;
    user.fails(&["receipt", "RECEIPT=--json"])?;
    let forked = listed(user, "forked")?;
    require(forked >= 20, format!("{forked} rows are forked"))?;
    user.succeeds(&["rejoin"])?;
    user.printed("rows that only it has")?;
    require(roles(user)? == (new, old), "the newer one is not the primary")?;
    load(user)?;
    user.succeeds(&["receipt"])?;
    let (folder, file) = (user.demo("kept"), kept(user)?);
    user.printed(format!("is kept in {}; to load the newest file: make psql <{}", folder.display(), file.display()))?;
    user.succeeds(&["status"])
}

/// The WAL from which pg_rewind would tell what to take back is gone: a new clone is made, and the rows are kept all the same.
pub fn what_cannot_be_rewound_is_cloned(user: &User) -> Outcome {
    let (old, new) = roles(user)?;
    user.session("psql", "CHECKPOINT;\nSELECT pg_switch_wal();")?;
    write_more(user, 10)?;
    let at = user.on_primary("SELECT pg_current_wal_lsn();")?;
    let segment = user.on_primary(&format!("SELECT pg_walfile_name('{at}');"))?;
    user.becomes("t", 30, || user.on_replica(&format!("SELECT pg_last_wal_replay_lsn() >= '{at}';")))?;
    user.session("psql-replica", "SELECT pg_promote();")?;
    write_more(user, 20)?;
    // The old one is the replica now, by its timeline. It needs no WAL of before for a start of its own.
    user.session("psql-replica", "CHECKPOINT;")?;
    user.fails(&["receipt", "RECEIPT=--json"])?;
    let forked = listed(user, "forked")?;
    require(forked >= 20, format!("{forked} rows are forked"))?;
    for entry in std::fs::read_dir(user.demo(&format!("{old}/pg_wal")))? {
        let file = entry?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.len() == 24 && name < segment {
            std::fs::remove_file(file)?;
        }
    }
    user.succeeds(&["rejoin"])?;
    user.printed("a new clone is needed: error: could not")?;
    user.printed("operations_lab.receipt ")?;
    user.printed("rows that only it has")?;
    user.printed(format!("cloning 127.0.0.1:{}", port(user, new)))?;
    require(roles(user)? == (new, old), "the newer one is not the primary")?;
    load(user)?;
    user.succeeds(&["receipt"])?;
    user.succeeds(&["status"])
}

/// As after a restart of the machine: what is started again finds that the other server went on without it.
pub fn an_old_primary_that_comes_back_by_itself_follows(user: &User) -> Outcome {
    let (old, new) = roles(user)?;
    user.kill(old)?;
    user.session("psql-replica", "SELECT pg_promote();")?;
    write_more(user, 10)?;
    // What the old primary acknowledged last may never have left it. All from here on is the new one's.
    let first = last_acknowledged(user)?;
    write_more(user, 5)?;
    // Both down: the data tell.
    user.succeeds(&["stop"])?;
    user.succeeds(&["demo"])?;
    user.printed(format!("Starting the primary on port {}", port(user, new)))?;
    user.printed(format!("Making the old primary on port {} a replica", port(user, old)))?;
    require(roles(user)? == (new, old), "the old primary takes the writes")?;
    user.succeeds(&["receipt", &format!("RECEIPT=--since {first}")])?;
    user.succeeds(&["status"])?;
    user.succeeds(&["doctor"])
}

/// Once pg_rewind is done, and before what comes after it, the old primary's data look like those of the newest primary. A rejoin that
/// is killed there leaves them so, and the note that it has made before.
pub fn a_rejoin_that_was_killed_is_done_over(user: &User) -> Outcome {
    let (old, new) = roles(user)?;
    user.session("psql-replica", "SELECT pg_promote();")?;
    write_more(user, 5)?;
    data(user, old).stop(Stop::Fast, Duration::from_secs(30))?;
    user.session("psql", "CHECKPOINT;")?;
    let notes = ["rewinding", "fenced"].map(|ending| user.demo(&format!("{old}.{ending}")));
    for note in &notes {
        user.owner.write(note, b"", false)?;
    }
    let source = format!("host=127.0.0.1 port={} user=postgres dbname=operations_db", port(user, new));
    let mut rewind = Command::new(user.bindir.join("pg_rewind"));
    rewind.arg("--target-pgdata").arg(user.demo(old)).arg("--source-server").arg(source).env("PGPASSWORD", PASSWORD);
    user.owner.runs(&mut rewind);
    require(user.run(rewind)?, "pg_rewind failed")?;
    user.printed("servers diverged")?;
    let signal = user.demo(&format!("{old}/standby.signal"));
    require(!signal.exists(), "the old primary's data do not look like a primary's")?;
    require(roles(user)? == (new, old), "the old primary is the primary")?;
    user.fails(&["failover"])?;
    user.fails(&["status"])?;
    // Without the fence the note alone tells.
    std::fs::remove_file(&notes[1])?;
    require(roles(user)? == (new, old), "the old primary is the primary")?;
    user.succeeds(&["stop"])?;
    // What only the old primary had was not kept here, and would be lost in all that follows.
    std::fs::remove_dir_all(user.demo("receipt"))?;
    user.succeeds(&["demo"])?;
    user.printed(format!("Starting the primary on port {}", port(user, new)))?;
    user.printed("an earlier pg_rewind was ended before it was done: a new clone is needed")?;
    user.printed(format!("cloning 127.0.0.1:{}", port(user, new)))?;
    require(roles(user)? == (new, old), "the old primary takes the writes")?;
    require(signal.exists() && notes.iter().all(|note| !note.exists()), "a note outlives the clone")?;
    user.succeeds(&["status"])
}

pub fn one_url_finds_who_takes_writes(user: &User) -> Outcome {
    let url = format!(
        "postgresql://postgres@127.0.0.1:{},127.0.0.1:{}/operations_db?target_session_attrs=read-write",
        user.primary_port, user.replica_port
    );
    let ask = || {
        let mut psql = Command::new(user.bindir.join("psql"));
        psql.args(["-w", "-At", "-c", "SELECT inet_server_port()", &url]).env("PGPASSWORD", PASSWORD);
        require(user.run(psql)?, "psql failed")?;
        Ok::<_, crate::user::Stop>(user.output().trim().to_owned())
    };
    let (old, new) = roles(user)?;
    require(ask()? == port(user, old).to_string(), "it is not the primary")?;
    user.succeeds(&["failover"])?;
    user.printed("    lost              nothing")?;
    require(ask()? == port(user, new).to_string(), "it is not the new primary")?;
    user.succeeds(&["rejoin"])?;
    user.printed("nothing was committed after ")?;
    require(ask()? == port(user, new).to_string(), "it is not the new primary any more")
}

/// The fault of `what_was_held_back_is_lost_and_told`, and nothing is lost.
pub fn synchronous_replication_loses_nothing(user: &User) -> Outcome {
    user.fails(&["demo", "SYNC=maybe"])?;
    user.printed("error: SYNC=maybe is neither on nor off")?;
    user.succeeds(&["demo", "SYNC=on"])?;
    require(
        user.on_primary("SELECT sync_state FROM pg_stat_replication;")? == "sync",
        "the replica is not synchronous",
    )?;
    write_more(user, 20)?;
    let from = last_acknowledged(user)?;
    let (old, _) = roles(user)?;
    hold_back(user, old)?;
    // Writes wait, and the client gives one up.
    user.becomes("in doubt", 20, || {
        let text = std::fs::read_to_string(user.demo("receipt/acknowledged"))?;
        let last = text.lines().rev().find(|line| line.starts_with("ack ") || line.starts_with("doubt "));
        Ok(if last.is_some_and(|line| line.starts_with("doubt ")) { "in doubt" } else { "" }.to_owned())
    })?;
    // The process that was stopped outlives the postmaster, and is ended by the failover.
    data(user, old).signal(Signal::KILL)?;
    user.succeeds(&["failover"])?;
    user.printed("    lost              nothing")?;
    require(user.processes_in(&user.demo(old)).is_empty(), "a process of the old primary lives")?;
    user.succeeds(&["receipt", &format!("RECEIPT=--json --since {from}")])?;
    let told = (number(user, "lost")?, listed(user, "forked")?, number(user, "unexpected")?);
    require(told == (0, 0, 0), format!("lost, forked, unexpected: {told:?}"))?;
    user.succeeds(&["rejoin"])?;
    require(user.on_primary("SELECT sync_state FROM pg_stat_replication;")? == "sync", "it is not synchronous again")?;
    user.succeeds(&["status"])
}

pub fn writes_that_wait_for_the_replica_are_seen(user: &User) -> Outcome {
    let (_, replica) = roles(user)?;
    user.kill(replica)?;
    user.fails(&["doctor"])?;
    user.printed("writes_wait")?;
    user.printed("synchronous_standby_names is operations_replica")?;
    user.succeeds(&["demo", "SYNC=off"])?;
    require(user.on_primary("SHOW synchronous_standby_names;")?.is_empty(), "it is still on")?;
    write_more(user, 10)?;
    user.succeeds(&["demo"])?;
    user.succeeds(&["status"])?;
    user.succeeds(&["receipt", "RECEIPT=--since 20s"])
}
