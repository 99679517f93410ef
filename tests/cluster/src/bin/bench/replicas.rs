//! What a replica costs its primary: operations inserted at full speed without a replica, with one, with three, and with three of
//! which two follow the first.

use std::time::Duration;

use operations_cluster::{DATABASE, Error, Server, Stop};
use postgres::Client;

use crate::numbers::{grouped, tenths, transactions};
use crate::options::Options;
use crate::processor::{Processor, milliseconds_of};
use crate::report::Report;

/// Each way: what it is called, how many replicas follow the primary itself, and how many the first of them.
const WAYS: [(&str, usize, usize); 4] = [
    ("no replica", 0, 0),
    ("1 replica", 1, 0),
    ("3 replicas", 3, 0),
    ("3 replicas, two of them behind the first", 1, 2),
];

const SCRIPT: &str = "CALL operation_insert_one();\n";

/// What a way gave, a value for each round.
#[derive(Default)]
struct Figures {
    /// Transactions a second.
    rate: Vec<f64>,
    /// Processor time of the primary, in milliseconds for 1000 transactions.
    used: Vec<f64>,
    /// That of its WAL senders.
    senders: Vec<f64>,
}

/// The servers, of which those of a way run.
struct Servers {
    primary: Server,
    direct: Vec<Server>,
    behind: Vec<Server>,
}

/// Measures all ways in turns, each server on this machine.
pub fn run(_: &Server, options: &Options, report: &mut Report) -> Result<(), Error> {
    let mut servers = Servers::make()?;
    let mut figures: [Figures; WAYS.len()] = Default::default();
    // The first round warms up, and is not counted.
    for round in 0..=options.rounds {
        for turn in 0..WAYS.len() {
            let way = (round + turn) % WAYS.len();
            let mut discarded = Figures::default();
            let kept = if round > 0 { &mut figures[way] } else { &mut discarded };
            servers.measure((WAYS[way].1, WAYS[way].2), options.seconds, kept)?;
        }
    }
    let [none, others @ ..] = &figures;
    for ((name, ..), way) in WAYS[1..].iter().zip(others) {
        let line = format!("operations inserted, {name}, vs none");
        report.line(&line, "rows/s", (&way.rate, &none.rate), "", grouped);
        let line = format!("processor time of the primary, {name}, vs none");
        report.line(&line, "ms/1000 rows", (&way.used, &none.used), "", tenths);
        let line = format!("WAL senders of the primary, {name}, vs the primary without a replica");
        report.line(&line, "ms/1000 rows", (&way.senders, &none.used), "", tenths);
    }
    Ok(())
}

impl Servers {
    /// Makes all of them; only the primary goes on running.
    fn make() -> Result<Self, Error> {
        let primary = Server::primary().with_extension().as_shipped().start()?;
        let replica = |of: &Server, number: usize| of.replica().slot(&format!("bench_{number}")).as_shipped();
        let mut direct = Vec::new();
        for number in 1..=3 {
            direct.push(replica(&primary, number).start()?);
        }
        let mut behind = Vec::new();
        for number in 4..=5 {
            // A clone of a replica begins where that one has replayed a checkpoint.
            primary.session()?.batch_execute("CHECKPOINT")?;
            primary.wait_for_catchup(&direct[0])?;
            behind.push(replica(&direct[0], number).start()?);
        }
        for server in behind.iter_mut().chain(&mut direct) {
            server.stop(Stop::Fast)?;
        }
        Ok(Self { primary, direct, behind })
    }

    /// One turn: the replicas of a way are started, have all that was written, and are stopped afterwards.
    fn measure(&mut self, (direct, behind): (usize, usize), seconds: u32, figures: &mut Figures) -> Result<(), Error> {
        let Self { primary, direct: all_direct, behind: all_behind } = self;
        let replicas = all_direct.iter_mut().take(direct).chain(all_behind.iter_mut().take(behind));
        let mut running = Vec::new();
        for replica in replicas {
            replica.start()?;
            replica.wait_streaming(Duration::from_secs(30))?;
            primary.wait_for_catchup(replica)?;
            running.push(replica);
        }
        let mut session = primary.session()?;
        session.batch_execute("TRUNCATE operations; CHECKPOINT")?;
        let processor = Processor::of(primary)?;
        let senders = senders(&mut session)?;
        let before = (processor.milliseconds()?, milliseconds_of(&senders));
        let file = primary.write_file("replicas.sql", SCRIPT)?;
        let mut pgbench = primary.client_program("pgbench", DATABASE)?;
        pgbench.args(["-n", "-M", "prepared", "-c", "4", "-j", "2", "-T", &seconds.to_string(), "-f"]).arg(&file);
        let (rate, rows) = transactions(pgbench)?;
        // What was written is sent, too.
        for replica in &running {
            primary.wait_for_catchup(replica)?;
        }
        let after = (processor.milliseconds()?, milliseconds_of(&senders));
        figures.rate.push(rate);
        figures.used.push((after.0 - before.0) * 1000.0 / rows.max(1.0));
        figures.senders.push((after.1 - before.1) * 1000.0 / rows.max(1.0));
        // Those behind another one first: none of them looks for a server that is gone.
        for replica in running.iter_mut().rev() {
            replica.stop(Stop::Fast)?;
        }
        Ok(())
    }
}

/// The processes that send WAL.
fn senders(session: &mut Client) -> Result<Vec<i32>, Error> {
    let rows = session.query("SELECT pid FROM pg_stat_replication", &[])?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}
