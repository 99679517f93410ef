//! `change_status` at different table sizes: the flip by itself, and the whole call with its refresh.

use operations_cluster::{Error, Server, value};
use postgres::Client;

use crate::numbers::{grouped, median, seconds};
use crate::options::Options;
use crate::report::Report;

/// Makes a second view of the same shape over no rows, whose refresh costs the same at every size.
const EMPTY_VIEW: &str = "\
    CREATE MATERIALIZED VIEW empty_mv AS SELECT client_id, operation_type, amount AS total_amount FROM operations LIMIT 0;\
    CREATE UNIQUE INDEX ON empty_mv (client_id, operation_type)";

/// Puts the empty view in the place of the real one, and back.
const SWAP_IN: &str = "ALTER MATERIALIZED VIEW client_type_sum_mv RENAME TO real_mv; \
    ALTER MATERIALIZED VIEW empty_mv RENAME TO client_type_sum_mv";
const SWAP_OUT: &str = "ALTER MATERIALIZED VIEW client_type_sum_mv RENAME TO empty_mv; \
    ALTER MATERIALIZED VIEW real_mv RENAME TO client_type_sum_mv";

/// What was measured at one size, in milliseconds.
#[derive(Default)]
struct Times {
    flip: Vec<f64>,
    whole: Vec<f64>,
}

/// Measures all sizes in turns; each has a database of its own.
pub fn run(server: &Server, options: &Options, report: &mut Report) -> Result<(), Error> {
    let mut places = Vec::new();
    for size in &options.sizes {
        eprintln!("loading {} rows for change_status", grouped(*size as f64));
        places.push((*size, Place::filled(server, *size, options.batch)?, Times::default()));
    }
    // The first round warms the caches and is not counted.
    for round in 0..=options.rounds {
        for (_, place, times) in &mut places {
            let flip = place.flip()?;
            let whole = place.whole()?;
            if round > 0 {
                times.flip.push(flip * 1_000.0);
                times.whole.push(whole * 1_000.0);
            }
        }
    }
    let Some((_, _, first)) = places.first() else {
        return Ok(());
    };
    let batch = grouped(f64::from(options.batch));
    for (size, _, times) in &places {
        let size = grouped(*size as f64);
        let what = format!("change_status, flip of {batch} alone at {size} rows, vs the smallest table");
        report.line(&what, "ms", (&times.flip, &first.flip), "<= 1.3", milliseconds);
    }
    for (size, _, times) in &places {
        let size = grouped(*size as f64);
        let what = format!("change_status, whole call at {size} rows, vs the smallest table");
        report.line(&what, "ms", (&times.whole, &first.whole), "", milliseconds);
    }
    Ok(())
}

fn milliseconds(value: f64) -> String {
    format!("{value:.1}")
}

/// A database of one size.
struct Place {
    session: Client,
    call: String,
    /// Ids after this one are new, all others done.
    last_done: i64,
}

impl Place {
    /// Makes a database with so many operations, all done but the newest, of which there are enough for a batch of either
    /// parity.
    fn filled(server: &Server, size: u64, batch: u32) -> Result<Self, Error> {
        let name = format!("rows_{size}");
        server.create_database(&name)?;
        let mut session = server.connect(&name)?;
        session.batch_execute("CREATE EXTENSION operations_ext")?;
        session.batch_execute("CALL operations_setup()")?;
        let new = u64::from(batch) * 5 / 2;
        let load = |rows| format!("CALL operations_test_data('2025-08-01', '2025-11-30', {rows}, 42)");
        session.batch_execute(&load(size.saturating_sub(new)))?;
        session.batch_execute("UPDATE operations SET status = 1")?;
        let last_done = value(&mut session, "SELECT max(id) FROM operations")?;
        session.batch_execute(&load(new))?;
        session.batch_execute(EMPTY_VIEW)?;
        // Nobody but us vacuums, so that it never falls into a measurement.
        let off = "SELECT format('ALTER TABLE %s SET (autovacuum_enabled = off)', inhrelid::regclass) FROM pg_inherits \
                   WHERE inhparent = 'operations'::regclass";
        for row in session.query(off, &[])? {
            session.batch_execute(row.try_get(0)?)?;
        }
        session.batch_execute("VACUUM (ANALYZE) operations")?;
        session.batch_execute("REFRESH MATERIALIZED VIEW client_type_sum_mv")?;
        Ok(Self { session, call: format!("CALL change_status({batch})"), last_done })
    }

    /// The call without what its refresh costs: the view in its place is empty, and its refresh is subtracted.
    fn flip(&mut self) -> Result<f64, Error> {
        self.session.batch_execute(SWAP_IN)?;
        let call = seconds(&mut self.session, &self.call)?;
        let mut refreshes = Vec::new();
        for _ in 0..3 {
            refreshes.push(seconds(&mut self.session, "REFRESH MATERIALIZED VIEW CONCURRENTLY client_type_sum_mv")?);
        }
        self.session.batch_execute(SWAP_OUT)?;
        self.reset()?;
        Ok((call - median(&refreshes)).max(0.0))
    }

    fn whole(&mut self) -> Result<f64, Error> {
        let took = seconds(&mut self.session, &self.call)?;
        self.reset()?;
        Ok(took)
    }

    /// Makes the rows new again, and leaves no dead ones that the next measurement would meet.
    fn reset(&mut self) -> Result<(), Error> {
        let undo = "UPDATE operations SET status = 0 WHERE status = 1 AND id > $1";
        self.session.execute(undo, &[&self.last_done])?;
        self.session.batch_execute("VACUUM (INDEX_CLEANUP on) operations")?;
        Ok(())
    }
}
