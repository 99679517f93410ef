//! `change_status` at different table sizes, against the same flip with a REFRESH that computes the sums from the rows.

use operations_cluster::{Error, Server, value};
use postgres::Client;

use crate::aggregate::{OFF, ON};
use crate::numbers::{grouped, median, seconds, tenths};
use crate::options::Options;
use crate::processor::Processor;
use crate::report::Report;

/// Makes a second view of the same shape over no rows, whose refresh costs the same at every size.
const EMPTY_VIEW: &str = "\
    CREATE MATERIALIZED VIEW empty_mv AS SELECT client_id, operation_type, amount AS total_amount FROM operations LIMIT 0;\
    CREATE UNIQUE INDEX ON empty_mv (client_id, operation_type)";

/// Makes a third one that is computed from the rows, as anybody would write it.
const FULL_VIEW: &str = "\
    CREATE MATERIALIZED VIEW full_mv AS SELECT client_id, operation_type, sum(amount) AS total_amount FROM operations \
    WHERE status = 1 GROUP BY client_id, operation_type; \
    CREATE UNIQUE INDEX ON full_mv (client_id, operation_type)";

/// Puts the empty view in the place of the real one, and back.
const SWAP_IN: &str = "ALTER MATERIALIZED VIEW client_type_sum_mv RENAME TO real_mv; \
    ALTER MATERIALIZED VIEW empty_mv RENAME TO client_type_sum_mv";
const SWAP_OUT: &str = "ALTER MATERIALIZED VIEW client_type_sum_mv RENAME TO empty_mv; \
    ALTER MATERIALIZED VIEW real_mv RENAME TO client_type_sum_mv";

/// The flip as a user would write it who knows how to have it planned.
const SETTINGS: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off; \
    SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL max_parallel_workers_per_gather = 0";
const FLIP: &str = "WITH batch AS MATERIALIZED (SELECT operation_date, id FROM operations WHERE status = 0 AND id & 1 = 0 \
    ORDER BY id LIMIT @batch@ FOR UPDATE SKIP LOCKED) \
    UPDATE operations o SET status = 1 FROM batch b WHERE o.operation_date = b.operation_date AND o.id = b.id";

/// Changes one of the sums.
const ONE_SUM: &str = "UPDATE operations SET amount = amount + 1 WHERE operation_date = '2025-08-01' AND id = \
    (SELECT min(id) FROM operations WHERE operation_date = '2025-08-01')";
const REFRESH_FULL: &str = "REFRESH MATERIALIZED VIEW CONCURRENTLY full_mv";
const REFRESH_EMPTY: &str = "REFRESH MATERIALIZED VIEW CONCURRENTLY empty_mv";

/// What was measured at one size, in milliseconds.
#[derive(Default)]
struct Times {
    /// `change_status` without what its refresh costs.
    flip: Vec<f64>,
    /// `change_status`.
    whole: Vec<f64>,
    /// The flip without triggers, and a refresh of the full view.
    whole_full: Vec<f64>,
    /// The flip as a statement, with the triggers and without.
    update: Vec<f64>,
    update_bare: Vec<f64>,
    /// What takes one changed sum into the view, and a full refresh by itself.
    refresh: Vec<f64>,
    refresh_full: Vec<f64>,
    /// What takes a flip into the view: the fold and the refresh, and the full refresh.
    follow: Vec<f64>,
    follow_full: Vec<f64>,
    /// The processor time of the same four.
    used_refresh: Vec<f64>,
    used_refresh_full: Vec<f64>,
    used_follow: Vec<f64>,
    used_follow_full: Vec<f64>,
}

/// Measures all sizes in turns; each has a database of its own.
pub fn run(server: &Server, options: &Options, report: &mut Report) -> Result<(), Error> {
    let mut databases = Vec::new();
    for size in &options.sizes {
        eprintln!("loading {} rows for change_status", grouped(*size as f64));
        databases.push((*size, FilledDatabase::filled(server, *size, options.batch)?, Times::default()));
    }
    // The first round warms the caches and is not counted.
    for round in 0..=options.rounds {
        for (_, database, times) in &mut databases {
            let mut discarded = Times::default();
            database.measure(if round > 0 { times } else { &mut discarded })?;
        }
    }
    let Some((_, _, first)) = databases.first() else {
        return Ok(());
    };
    let batch = grouped(f64::from(options.batch));
    for (size, _, times) in &databases {
        let size = grouped(*size as f64);
        let mut line = |what: &str, pair: (&[f64], &[f64]), aim: &str| report.line(what, "ms", pair, aim, tenths);
        let what = format!("change_status, flip of {batch} alone at {size} rows, vs the smallest table");
        line(&what, (&times.flip, &first.flip), "<= 1.3");
        let what = format!("change_status, whole call at {size} rows, vs the smallest table");
        line(&what, (&times.whole, &first.whole), "<= 1.2");
        let what = format!("change_status, whole call at {size} rows, vs the flip and a full refresh");
        line(&what, (&times.whole, &times.whole_full), "");
        let what = format!("flip of {batch} at {size} rows, vs no triggers");
        line(&what, (&times.update, &times.update_bare), "");
        let what = format!("fold and refresh after a flip at {size} rows, vs a full refresh after it");
        line(&what, (&times.follow, &times.follow_full), if size.len() > 9 { "<= 0.02" } else { "" });
        let what = format!("fold and refresh when one sum changed at {size} rows, vs a full refresh");
        line(&what, (&times.refresh, &times.refresh_full), "");
        let aim = if size.len() > 9 { "<= 0.02" } else { "" };
        let what = format!("processor time, fold and refresh after a flip at {size} rows, vs a full refresh after it");
        line(&what, (&times.used_follow, &times.used_follow_full), aim);
        let what = format!("processor time, fold and refresh when one sum changed at {size} rows, vs a full refresh");
        line(&what, (&times.used_refresh, &times.used_refresh_full), aim);
    }
    Ok(())
}

/// A database of one size.
struct FilledDatabase {
    session: Client,
    processor: Processor,
    call: String,
    statement: String,
    /// Ids after this one are new, all others done.
    last_done: i64,
}

impl FilledDatabase {
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
        session.batch_execute(OFF)?;
        session.batch_execute(&load(size.saturating_sub(new)))?;
        session.batch_execute("UPDATE operations SET status = 1")?;
        let last_done = value(&mut session, "SELECT max(id) FROM operations")?;
        session.batch_execute(&load(new))?;
        session.batch_execute(ON)?;
        session.batch_execute(EMPTY_VIEW)?;
        session.batch_execute(FULL_VIEW)?;
        // Nobody but us vacuums, so that it never falls into a measurement.
        let off = "SELECT format('ALTER TABLE %s SET (autovacuum_enabled = off)', inhrelid::regclass) FROM pg_inherits \
                   WHERE inhparent = 'operations'::regclass";
        for row in session.query(off, &[])? {
            session.batch_execute(row.try_get(0)?)?;
        }
        session.batch_execute("VACUUM (ANALYZE) operations")?;
        let statement = FLIP.replace("@batch@", &batch.to_string());
        let processor = Processor::of(server)?;
        let mut database =
            Self { session, processor, call: format!("CALL change_status({batch})"), statement, last_done };
        database.reset()?;
        Ok(database)
    }

    /// One turn of each way.
    fn measure(&mut self, times: &mut Times) -> Result<(), Error> {
        times.flip.push(self.flip()? * 1_000.0);
        times.whole.push(self.whole()? * 1_000.0);
        self.session.batch_execute(ONE_SUM)?;
        let [took, used] = self.timed("CALL change_status(1)")?;
        times.refresh.push(took);
        times.used_refresh.push(used);
        let [took, used] = self.timed(REFRESH_FULL)?;
        times.refresh_full.push(took);
        times.used_refresh_full.push(used);
        let [update, follow, used] = self.rolled_back("SELECT", "CALL change_status(1)")?;
        times.update.push(update);
        times.follow.push(follow);
        times.used_follow.push(used);
        let [update, follow, used] = self.rolled_back(OFF, REFRESH_FULL)?;
        times.used_follow_full.push(used);
        times.update_bare.push(update);
        times.follow_full.push(follow);
        times.whole_full.push(update + follow);
        Ok(())
    }

    /// The call without what its refresh costs: the view in its place is empty, and its refresh is subtracted.
    fn flip(&mut self) -> Result<f64, Error> {
        self.session.batch_execute(SWAP_IN)?;
        let call = seconds(&mut self.session, &self.call)?;
        self.session.batch_execute(SWAP_OUT)?;
        let mut refreshes = Vec::new();
        for _ in 0..3 {
            refreshes.push(seconds(&mut self.session, REFRESH_EMPTY)?);
        }
        self.reset()?;
        Ok((call - median(&refreshes)).max(0.0))
    }

    fn whole(&mut self) -> Result<f64, Error> {
        let took = seconds(&mut self.session, &self.call)?;
        self.reset()?;
        Ok(took)
    }

    /// What a statement takes by the clock, and of the processor, in milliseconds.
    fn timed(&mut self, statement: &str) -> Result<[f64; 2], Error> {
        let before = self.processor.milliseconds()?;
        let took = seconds(&mut self.session, statement)? * 1_000.0;
        Ok([took, self.processor.milliseconds()? - before])
    }

    /// A flip after `first`, and a statement after it, with its processor time, in milliseconds; all of it is rolled back.
    fn rolled_back(&mut self, first: &str, then: &str) -> Result<[f64; 3], Error> {
        self.session.batch_execute(&format!("BEGIN; {SETTINGS}"))?;
        self.session.batch_execute(first)?;
        let flip = seconds(&mut self.session, &self.statement)?;
        self.session.batch_execute("RESET ALL")?;
        let [follow, used] = self.timed(then)?;
        self.session.batch_execute("ROLLBACK")?;
        self.reset()?;
        Ok([flip * 1_000.0, follow, used])
    }

    /// Makes the rows new again, has all of it in the sums, and leaves no dead rows that the next measurement would meet.
    fn reset(&mut self) -> Result<(), Error> {
        let undo = "UPDATE operations SET status = 0 WHERE status = 1 AND id > $1";
        self.session.execute(undo, &[&self.last_done])?;
        self.session.batch_execute("CALL change_status(1)")?;
        self.session.execute(undo, &[&self.last_done])?;
        self.session.batch_execute("VACUUM (INDEX_CLEANUP on) operations")?;
        self.session.batch_execute(
            "VACUUM operations_delta, operations_rollup, operations_rollup_total, client_type_sum_mv, full_mv",
        )?;
        Ok(())
    }
}
