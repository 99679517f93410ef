//! `operation_insert_one` against a prepared INSERT of such a row by a client, both driven by pgbench.

use operations_cluster::{DATABASE, Error, Server};
use postgres::Client;

use crate::numbers::{grouped, transactions_per_second};
use crate::options::Options;
use crate::report::Report;

const OURS: &str = "CALL operation_insert_one();\n";

/// The values are parameters, as a client would send them: in pgbench, variables in `-M prepared`.
const REFERENCE: &str = "INSERT INTO operations \
    (operation_date, operation_guid, client_id, operation_type, amount, status, message) \
    VALUES (:operation_date, :operation_guid, :client_id, :operation_type, :amount, :status, :message);\n";

/// Measures both in turns, with one client and with four, waiting for the disk at each commit and not.
pub fn run(server: &Server, options: &Options, report: &mut Report) -> Result<(), Error> {
    let mut session = server.session()?;
    let row = one_row(&mut session)?;
    for (commit, label) in [("on", "fsync as shipped"), ("off", "synchronous_commit = off")] {
        for clients in [1, 4] {
            let mut measured = [Vec::new(), Vec::new()];
            for round in 0..options.rounds {
                for turn in 0..2 {
                    let way = (round + turn) % 2;
                    session.batch_execute("TRUNCATE operations")?;
                    let script = [OURS, REFERENCE][way];
                    let run = Run { script, row: &row, clients, seconds: options.seconds, commit };
                    measured[way].push(run.transactions_per_second(server)?);
                }
            }
            let plural = if clients == 1 { "" } else { "s" };
            let what = format!("operation_insert_one, {clients} client{plural}, {label}, vs prepared INSERT");
            report.line(&what, "rows/s", (&measured[0], &measured[1]), ">= 0.9", grouped);
        }
    }
    session.batch_execute("TRUNCATE operations")?;
    Ok(())
}

/// The values of a row that the procedure has made, as `name=value`.
fn one_row(session: &mut Client) -> Result<Vec<String>, Error> {
    session.batch_execute(OURS)?;
    let row = session.query_one(
        "SELECT ARRAY['operation_date=' || operation_date, 'operation_guid=' || operation_guid, \
         'client_id=' || client_id, 'operation_type=' || operation_type, 'amount=' || amount, \
         'status=' || status, 'message=' || message::text] FROM operations LIMIT 1",
        &[],
    )?;
    Ok(row.try_get(0)?)
}

/// One run of pgbench.
struct Run<'a> {
    script: &'a str,
    row: &'a [String],
    clients: u32,
    seconds: u32,
    commit: &'a str,
}

impl Run<'_> {
    fn transactions_per_second(&self, server: &Server) -> Result<f64, Error> {
        let file = server.write_file("pgbench.sql", self.script)?;
        let (clients, seconds) = (self.clients.to_string(), self.seconds.to_string());
        let mut command = server.client_program("pgbench", DATABASE)?;
        command.env("PGOPTIONS", format!("-c synchronous_commit={}", self.commit));
        command.args(["-n", "-M", "prepared", "-c", &clients, "-j", &clients, "-T", &seconds, "-f"]).arg(&file);
        if self.script == REFERENCE {
            self.row.iter().for_each(|value| {
                command.arg("-D").arg(value);
            });
        }
        transactions_per_second(command)
    }
}
