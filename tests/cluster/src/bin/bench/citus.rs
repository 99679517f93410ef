//! What Citus gives: loads, status changes and sums with one worker and with two, against one server, and loads against COPY through the
//! coordinator. All nodes are on this machine, and share its cores.

use operations_cluster::{DATABASE, Error, Server, missing_citus};
use postgres::Client;

use crate::numbers::{grouped, seconds, tenths};
use crate::options::Options;
use crate::report::Report;

const COLUMNS: &str = "operation_date, operation_guid, client_id, operation_type, amount, status, message";

/// Where it is measured, and with how many workers. The first is what the others are compared with.
const PLACES: [(&str, usize); 3] = [("one server", 0), ("1 worker", 1), ("2 workers", 2)];

/// A server, or a coordinator and its workers.
struct Place {
    coordinator: Server,
    workers: Vec<Server>,
    session: Client,
}

/// What a place gave, a value for each round.
#[derive(Default)]
struct Figures {
    /// Rows a second.
    load: Vec<f64>,
    copy: Vec<f64>,
    /// Milliseconds.
    status: Vec<f64>,
    sums: Vec<f64>,
}

/// Measures all places in turns.
pub fn run(_: &Server, options: &Options, report: &mut Report) -> Result<(), Error> {
    if let Some(why) = missing_citus()? {
        report.skipped("citus", &why);
        return Ok(());
    }
    let mut places = Vec::new();
    for (_, workers) in PLACES {
        places.push(Place::make(workers)?);
    }
    let file = places[0].write_rows(options)?;
    let mut figures: [Figures; PLACES.len()] = Default::default();
    for round in 0..options.rounds {
        for turn in 0..PLACES.len() {
            let place = (round + turn) % PLACES.len();
            places[place].measure(options, &file, &mut figures[place])?;
        }
    }
    let [one, others @ ..] = &figures;
    let (rows, batch) = (grouped(options.load_rows as f64), grouped(f64::from(options.batch)));
    for ((name, _), place) in PLACES[1..].iter().zip(others) {
        let load = format!("Citus with {name}, operations_test_data, {rows} rows, vs");
        report.line(
            &format!("{load} COPY BINARY through the coordinator"),
            "rows/s",
            (&place.load, &place.copy),
            "",
            grouped,
        );
        report.line(&format!("{load} one server"), "rows/s", (&place.load, &one.load), "", grouped);
        let line = format!("Citus with {name}, change_status, {batch} rows, vs one server");
        report.line(&line, "ms", (&place.status, &one.status), "", tenths);
        let line = format!("Citus with {name}, client_type_sum_live, vs one server");
        report.line(&line, "ms", (&place.sums, &one.sums), "", tenths);
    }
    Ok(())
}

impl Place {
    fn make(workers: usize) -> Result<Self, Error> {
        if workers == 0 {
            let coordinator = Server::primary().with_extension().as_shipped().start()?;
            let session = coordinator.session()?;
            return Self { coordinator, workers: Vec::new(), session }.quiet();
        }
        let node = || Server::primary().with_citus().as_shipped().start();
        let coordinator = node()?;
        let workers = (0..workers).map(|_| node()).collect::<Result<Vec<_>, _>>()?;
        let mut session = coordinator.connect(DATABASE)?;
        session.batch_execute(&format!("SELECT citus_set_coordinator_host('127.0.0.1', {})", coordinator.port()))?;
        for worker in &workers {
            session.batch_execute(&format!("SELECT citus_add_node('127.0.0.1', {})", worker.port()))?;
        }
        // One by one: Citus has each done on the workers, too.
        for statement in ["CREATE EXTENSION operations_ext", "CALL operations_setup()", "CALL operations_distribute()"]
        {
            session.batch_execute(statement)?;
        }
        Self { coordinator, workers, session }.quiet()
    }

    fn quiet(mut self) -> Result<Self, Error> {
        self.session.batch_execute("SET client_min_messages = warning")?;
        Ok(self)
    }

    /// The rows of the load, for COPY; the file's name, as a string of SQL has it.
    fn write_rows(&mut self, options: &Options) -> Result<String, Error> {
        let file = self.coordinator.folder().join("rows.binary").display().to_string().replace('\'', "''");
        self.empty()?;
        self.session.batch_execute(&load(options))?;
        let copy = format!("COPY (SELECT {COLUMNS} FROM operations ORDER BY id) TO '{file}' (FORMAT binary)");
        self.session.batch_execute(&copy)?;
        Ok(file)
    }

    fn empty(&mut self) -> Result<(), Error> {
        self.session.batch_execute("TRUNCATE operations")?;
        self.session.batch_execute("CHECKPOINT")?;
        self.workers.iter().try_for_each(|worker| Ok(worker.connect(DATABASE)?.batch_execute("CHECKPOINT")?))
    }

    fn measure(&mut self, options: &Options, file: &str, figures: &mut Figures) -> Result<(), Error> {
        let rows = options.load_rows as f64;
        if !self.workers.is_empty() {
            self.empty()?;
            let copy = format!("COPY operations ({COLUMNS}) FROM '{file}' (FORMAT binary)");
            figures.copy.push(rows / seconds(&mut self.session, &copy)?);
        }
        self.empty()?;
        figures.load.push(rows / seconds(&mut self.session, &load(options))?);
        let change = format!("CALL change_status({})", options.batch);
        // The first calls sum the months up, after which their changes are followed.
        for _ in 0..2 {
            self.session.batch_execute(&change)?;
        }
        figures.status.push(1000.0 * seconds(&mut self.session, &change)?);
        let sums = "SELECT count(total_amount) FROM client_type_sum_live";
        figures.sums.push(1000.0 * seconds(&mut self.session, sums)?);
        Ok(())
    }
}

fn load(options: &Options) -> String {
    format!("CALL operations_test_data('2025-08-01', '2025-11-30', {}, 42)", options.load_rows)
}
