//! What keeping the aggregate up costs those who write, and what its refresh costs those who read: with the triggers and
//! without, in turns, on the same rows.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use operations_cluster::{DATABASE, Error, Server};
use postgres::Client;

use crate::numbers::{grouped, seconds, tenths, transactions};
use crate::options::Options;
use crate::processor::Processor;
use crate::report::Report;

/// Switches the triggers that keep the aggregate up off, and on as setup has them.
pub const OFF: &str = "ALTER TABLE operations DISABLE TRIGGER USER";
pub const ON: &str = "DO $$ DECLARE t name; BEGIN FOR t IN SELECT tgname FROM pg_trigger \
    WHERE tgrelid = 'operations'::regclass AND NOT tgisinternal LOOP \
    EXECUTE format('ALTER TABLE operations ENABLE ALWAYS TRIGGER %I', t); END LOOP; END $$";

/// Rows that single-row updates meet: their days follow from their ids, so that a client can give the whole key.
const ROWS: &str = "INSERT INTO operations (id, operation_date, operation_guid, client_id, operation_type, amount, status, message) \
    OVERRIDING SYSTEM VALUE SELECT g, date '2025-08-01' + g % 122, gen_random_uuid(), 1 + g % 5000, 'online', 10, 1, '{}' \
    FROM generate_series(1, @rows@) g";

const UPDATE: &str = "\\set id random(1, @rows@)\n\\set day :id % 122\n\
    UPDATE operations SET amount = amount + 0.01 WHERE operation_date = date '2025-08-01' + :day::integer AND id = :id;\n";

/// Measures single-row updates, bulk inserts and readers.
pub fn run(server: &Server, options: &Options, report: &mut Report) -> Result<(), Error> {
    let mut session = server.session()?;
    updates(server, &mut session, options, report)?;
    inserts(&mut session, options, report)?;
    readers(server, &mut session, options, report)?;
    session.batch_execute("TRUNCATE operations")?;
    Ok(())
}

fn updates(server: &Server, session: &mut Client, options: &Options, report: &mut Report) -> Result<(), Error> {
    let rows = options.load_rows / 5;
    let fill = |text: &str| text.replace("@rows@", &rows.to_string());
    let processor = Processor::of(server)?;
    let script = server.write_file("update.sql", &fill(UPDATE))?;
    session.batch_execute("TRUNCATE operations")?;
    session.batch_execute(&fill(ROWS))?;
    session.batch_execute("VACUUM (ANALYZE) operations")?;
    session.batch_execute("CALL change_status(1)")?;
    for clients in [1_u32, 4] {
        let mut measured = [Vec::new(), Vec::new()];
        let mut used = [Vec::new(), Vec::new()];
        for round in 0..options.rounds {
            for turn in 0..2 {
                let way = (round + turn) % 2;
                session.batch_execute([ON, OFF][way])?;
                session.batch_execute("CHECKPOINT")?;
                let mut command = server.client_program("pgbench", DATABASE)?;
                // Not waiting for the disk, beside which the triggers would not show.
                command.env("PGOPTIONS", "-c synchronous_commit=off");
                let (clients, seconds) = (clients.to_string(), options.seconds.to_string());
                command
                    .args(["-n", "-M", "prepared", "-c", &clients, "-j", &clients, "-T", &seconds, "-f"])
                    .arg(&script);
                let before = processor.milliseconds()?;
                let (per_second, all) = transactions(command)?;
                measured[way].push(per_second);
                used[way].push((processor.milliseconds()? - before) * 1_000.0 / all);
                session.batch_execute("VACUUM operations")?;
                session.batch_execute("CALL change_status(1)")?;
            }
        }
        let plural = if clients == 1 { "" } else { "s" };
        let what = format!("single-row updates, {clients} client{plural}, synchronous_commit = off, vs no triggers");
        report.line(&what, "rows/s", (&measured[0], &measured[1]), ">= 0.8", grouped);
        let what = format!("processor time of the server for each of them, {clients} client{plural}, vs no triggers");
        report.line(&what, "us", (&used[0], &used[1]), "<= 1.25", tenths);
    }
    Ok(())
}

fn inserts(session: &mut Client, options: &Options, report: &mut Report) -> Result<(), Error> {
    let rows = options.load_rows / 2;
    let load = format!("CALL operations_test_data('2025-08-01', '2025-11-30', {rows}, 42)");
    let mut measured = [Vec::new(), Vec::new()];
    for round in 0..options.rounds {
        for turn in 0..2 {
            let way = (round + turn) % 2;
            session.batch_execute("TRUNCATE operations")?;
            session.batch_execute([ON, OFF][way])?;
            session.batch_execute("CHECKPOINT")?;
            measured[way].push(seconds(session, &load)? * 1_000.0);
        }
    }
    session.batch_execute(ON)?;
    let what = format!("loading {} rows of status 0, vs no triggers", grouped(rows as f64));
    report.line(&what, "ms", (&measured[0], &measured[1]), "<= 1.05", grouped);
    Ok(())
}

/// The longest that a reader of each view waits: while calls follow on each other, and while nothing happens.
fn readers(server: &Server, session: &mut Client, options: &Options, report: &mut Report) -> Result<(), Error> {
    session.batch_execute("CALL change_status(1)")?;
    for view in ["client_type_sum_mv", "client_type_sum_live"] {
        let mut measured = [Vec::new(), Vec::new()];
        for round in 0..options.rounds {
            for turn in 0..2 {
                let way = (round + turn) % 2;
                let longest = longest_read(server, view, || {
                    let start = Instant::now();
                    while start.elapsed().as_secs_f64() < f64::from(options.seconds) / 2.0 {
                        match way {
                            0 => session.batch_execute(&format!("CALL change_status({})", options.batch / 10))?,
                            _ => std::thread::sleep(std::time::Duration::from_millis(10)),
                        }
                    }
                    Ok(())
                })?;
                measured[way].push(longest * 1_000.0);
            }
        }
        let what = format!("longest read of {view} during refreshes (<= 50 ms), vs in quiet");
        report.line(&what, "ms", (&measured[0], &measured[1]), "", tenths);
    }
    Ok(())
}

/// The longest of the reads of one client's sums that another session makes while `work` is done, in seconds.
fn longest_read(server: &Server, view: &str, work: impl FnOnce() -> Result<(), Error>) -> Result<f64, Error> {
    let mut reader = server.session()?;
    let query = format!("SELECT sum(total_amount) FROM {view} WHERE client_id = 17");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| -> Result<f64, Error> {
            let mut longest: f64 = 0.0;
            seconds(&mut reader, &query)?;
            while !done.load(Ordering::Relaxed) {
                longest = longest.max(seconds(&mut reader, &query)?);
            }
            Ok(longest)
        });
        let worked = work();
        done.store(true, Ordering::Relaxed);
        let longest = reading.join().map_err(|_| Error::Environment("the reader panicked".to_owned()))?;
        worked.and(longest)
    })
}
