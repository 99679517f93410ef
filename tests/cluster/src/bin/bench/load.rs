//! `operations_test_data` against COPY BINARY of the same rows from a file of the server, into the same table.

use operations_cluster::{Error, Server};

use crate::numbers::{grouped, seconds};
use crate::options::Options;
use crate::report::Report;

const COLUMNS: &str = "operation_date, operation_guid, client_id, operation_type, amount, status, message";

/// Measures both in turns, each into the empty table.
pub fn run(server: &Server, options: &Options, report: &mut Report) -> Result<(), Error> {
    let mut session = server.session()?;
    let rows = options.load_rows;
    let ours = format!("CALL operations_test_data('2025-08-01', '2025-11-30', {rows}, 42)");
    let file = server.folder().join("rows.copy");
    let file = file.display().to_string().replace('\'', "''");
    let reference = format!("COPY operations ({COLUMNS}) FROM '{file}' (FORMAT binary)");

    // The file holds what the procedure makes, in its order.
    session.batch_execute(&ours)?;
    session
        .batch_execute(&format!("COPY (SELECT {COLUMNS} FROM operations ORDER BY id) TO '{file}' (FORMAT binary)"))?;
    let mut measured = [Vec::new(), Vec::new()];
    for round in 0..options.rounds {
        // Whoever comes first in one round comes second in the next.
        for turn in 0..2 {
            let way = (round + turn) % 2;
            session.batch_execute("TRUNCATE operations")?;
            session.batch_execute("CHECKPOINT")?;
            let took = seconds(&mut session, if way == 0 { &ours } else { &reference })?;
            measured[way].push(rows as f64 / took);
        }
    }
    session.batch_execute("TRUNCATE operations")?;
    let what = format!("operations_test_data, {} rows, vs COPY BINARY", grouped(rows as f64));
    report.line(&what, "rows/s", (&measured[0], &measured[1]), ">= 0.9", grouped);
    Ok(())
}
