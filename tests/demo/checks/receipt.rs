//! What the receipt says of faults after which the same server is the primary; and how the checks read it.

use operations_lab::server::{DataDirectory, Signal};

use crate::user::{Outcome, User, require};

/// The servers by the folders of their data, which stay theirs: the primary, and the replica.
pub fn roles(user: &User) -> Outcome<(&'static str, &'static str)> {
    let primary = user.on_primary("SELECT inet_server_port();")?;
    Ok(if primary == user.primary_port.to_string() { ("primary", "replica") } else { ("replica", "primary") })
}

pub fn data(user: &User, server: &str) -> DataDirectory {
    DataDirectory::new(&user.demo(server), &user.owner)
}

/// A number of the receipt that was printed last as JSON.
pub fn number(user: &User, name: &str) -> Outcome<u64> {
    let output = user.output();
    let line = output.lines().find_map(|line| line.trim().strip_prefix(&format!("\"{name}\": ")));
    Ok(line.ok_or(format!("the receipt has no {name}"))?.trim_end_matches(',').parse()?)
}

/// How many rows are listed in the receipt that was printed last, under a name.
pub fn listed(user: &User, name: &str) -> Outcome<usize> {
    let output = user.output();
    let (_, rest) = output.split_once(&format!("\"{name}\": [")).ok_or(format!("the receipt has no {name}"))?;
    Ok(rest.split_once(']').map_or(rest, |(list, _)| list).matches("\"sequence\"").count())
}

/// What the client has noted as acknowledged: number and timeline.
pub fn acknowledged(user: &User) -> Outcome<Vec<(u64, u32)>> {
    let text = std::fs::read_to_string(user.demo("receipt/acknowledged"))?;
    let acknowledged = text.lines().filter(|line| line.ends_with(" .")).filter_map(|line| {
        let mut words = line.strip_prefix("ack ")?.split(' ');
        Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    });
    Ok(acknowledged.collect())
}

pub fn last_acknowledged(user: &User) -> Outcome<u64> {
    Ok(acknowledged(user)?.last().ok_or("nothing is acknowledged")?.0)
}

/// Waits until the client has got so many more acknowledgements.
pub fn write_more(user: &User, count: u64) -> Outcome {
    let from = last_acknowledged(user)?;
    user.becomes("more", 30, || Ok(if last_acknowledged(user)? >= from + count { "more" } else { "" }.to_owned()))
}

pub fn a_kill_loses_nothing(user: &User) -> Outcome {
    // The checks before have thrown whole servers away, and what was lost with them would be in all that follows.
    user.succeeds(&["stop"])?;
    std::fs::remove_dir_all(user.demo("receipt"))?;
    user.succeeds(&["demo"])?;
    write_more(user, 20)?;
    let from = last_acknowledged(user)?;
    let (primary, _) = roles(user)?;
    user.kill(primary)?;
    user.fails(&["receipt"])?;
    user.printed("error: no server takes writes: ")?;
    user.succeeds(&["demo"])?;
    write_more(user, 20)?;
    user.succeeds(&["receipt", &format!("RECEIPT=--since {from}")])?;
    user.printed("Nothing that was acknowledged is lost")?;
    user.printed("nobody could write for ")?;
    user.succeeds(&["receipt", &format!("RECEIPT=--json --since {from}")])?;
    let sum = number(user, "acknowledged")? + number(user, "in_doubt")? + number(user, "refused")?;
    require(sum == number(user, "written")? && sum >= 20, "the numbers do not add up")?;
    require(number(user, "longest_gap_ms")? >= 200, "the gap was not seen")?;
    user.succeeds(&["status"])?;
    user.printed("rows acknowledged, 0 lost")
}

/// A hung server takes connections and answers nothing.
pub fn a_hung_server_hangs_nobody(user: &User) -> Outcome {
    let (primary, _) = roles(user)?;
    let server = data(user, primary);
    let from = last_acknowledged(user)?;
    let pids = server.signal(Signal::STOP)?;
    for pid in pids.iter().skip(1) {
        // One may have ended meanwhile.
        drop(server.signal_process(i32::try_from(*pid)?, Signal::STOP));
    }
    let noted = user.becomes("noted", 20, || {
        let text = std::fs::read_to_string(user.demo("receipt/acknowledged"))?;
        let hangs =
            text.lines().rev().take_while(|line| !line.starts_with("ack ")).any(|line| line.contains("hang there"));
        Ok(if hangs { "noted" } else { "" }.to_owned())
    });
    for pid in pids {
        if server.pid() == Some(pid) {
            server.signal(Signal::CONT)?;
        } else {
            drop(server.signal_process(i32::try_from(pid)?, Signal::CONT));
        }
    }
    noted?;
    write_more(user, 20)?;
    user.succeeds(&["receipt", &format!("RECEIPT=--json --since {from}")])?;
    require(number(user, "longest_gap_ms")? >= 2000, "the gap was not seen")?;
    // The sessions that hung are gone.
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'operations-lab receipt';";
    user.becomes("1", 20, || user.on_primary(sessions))
}

/// What another role has put on the table would run with the client's rights.
pub fn a_table_of_another_role_is_not_written(user: &User) -> Outcome {
    let hostile = "BEGIN; DROP SCHEMA operations_lab CASCADE; CREATE SCHEMA operations_lab AUTHORIZATION operations_worker; \
                   CREATE TABLE operations_lab.receipt (sequence bigint, timeline int, written_at timestamptz); \
                   ALTER TABLE operations_lab.receipt OWNER TO operations_worker; COMMIT;\n\
                   SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'operations-lab receipt';";
    user.session("psql", hostile)?;
    let why = "operations_lab.receipt belongs to another role, so nothing is written there";
    user.becomes("refused", 20, || {
        let text = std::fs::read_to_string(user.demo("receipt/acknowledged"))?;
        let last = text.lines().rev().find(|line| line.starts_with("down ") || line.starts_with("ack "));
        Ok(if last.is_some_and(|line| line.contains(why)) { "refused" } else { "" }.to_owned())
    })?;
    let rows = user.on_primary("SELECT count(*) FROM operations_lab.receipt;")?;
    require(rows == "0", format!("{rows} rows were written"))?;
    user.fails(&["receipt"])?;
    user.printed("belongs to another role, so it is not read")?;
    // It is made anew, and what was in it is lost, as the receipt says.
    user.session("psql", "DROP SCHEMA operations_lab CASCADE;")?;
    let from = last_acknowledged(user)?;
    write_more(user, 10)?;
    user.succeeds(&["receipt", &format!("RECEIPT=--since {from}")])?;
    user.fails(&["receipt"])
}
