//! Ways to fill the table, against COPY BINARY of the same rows from a file of the server.

use operations_cluster::{Error, Server};
use postgres::Client;

use crate::numbers::{grouped, seconds};
use crate::options::Options;
use crate::report::Report;

const COLUMNS: &str = "operation_date, operation_guid, client_id, operation_type, amount, status, message";

/// The months that are loaded: four, from this date to that.
const DATES: &str = "'2025-08-01', '2025-11-30'";

/// Rows of a user who has no extension, made by SQL.
const RANDOM_ROW: &str = "date '2025-08-01' + (random() * 121)::int, gen_random_uuid(), (random() * 5000)::int, \
    (CASE WHEN random() < 0.6 THEN 'online' ELSE 'offline' END)::operation_type_enum, \
    round((0.5 + random() * 500)::numeric, 2), 0, \
    jsonb_build_object('mcc', 5411, 'time', '12:00:00', 'amount', '19.99', 'channel', 'web', 'purpose', 'groceries', \
        'currency', 'EUR', 'client_id', 4711, 'account_number', 'ZZ264207100000410001', 'operation_type', 'online', \
        'counterparty', jsonb_build_object('name', 'Corner Grocery', 'account_number', 'ZZ501131106898264021'))";

/// A way to load rows.
struct Method {
    name: String,
    /// Run before the clock starts, on the empty table.
    before: String,
    load: String,
    /// Run after the clock has stopped.
    after: &'static str,
    aim: &'static str,
}

impl Method {
    fn new(name: impl Into<String>, load: impl Into<String>, aim: &'static str) -> Self {
        Self { name: name.into(), before: String::new(), load: load.into(), after: "", aim }
    }
}

/// Measures all ways in turns: each into empty months, then into months that hold as many rows, then many rows.
pub fn run(server: &Server, options: &Options, report: &mut Report) -> Result<(), Error> {
    let mut session = server.session()?;
    session.batch_execute("SET client_min_messages = warning")?;
    let rows = options.load_rows;
    let files = Files::write(server, &mut session, rows)?;
    into_empty_months(&mut session, options, report, &files)?;
    into_grown_months(&mut session, options, report, &files)?;
    if let Some(many) = options.many_rows {
        many_rows(&mut session, many, options, report)?;
    }
    session.batch_execute("TRUNCATE operations")?;
    Ok(())
}

fn ours(rows: u64, workers: u32) -> String {
    format!("CALL operations_test_data({DATES}, {rows}, 42, {workers})")
}

/// What the ways with COPY read: the rows of the procedure, in its order.
struct Files {
    binary: String,
    text: String,
    /// A binary file a month.
    months: Vec<String>,
}

const MONTHS: [(&str, &str); 4] = [
    ("2025-08-01", "2025-09-01"),
    ("2025-09-01", "2025-10-01"),
    ("2025-10-01", "2025-11-01"),
    ("2025-11-01", "2025-12-01"),
];

impl Files {
    fn write(server: &Server, session: &mut Client, rows: u64) -> Result<Self, Error> {
        let path = |name: &str| server.folder().join(name).display().to_string().replace('\'', "''");
        let files = Self {
            binary: path("rows.binary"),
            text: path("rows.text"),
            months: (0..MONTHS.len()).map(|month| path(&format!("month{month}.binary"))).collect(),
        };
        session.batch_execute(&ours(rows, 1))?;
        let all = format!("COPY (SELECT {COLUMNS} FROM operations ORDER BY id)");
        session.batch_execute(&format!("{all} TO '{}' (FORMAT binary)", files.binary))?;
        session.batch_execute(&format!("{all} TO '{}'", files.text))?;
        for (file, (from, to)) in files.months.iter().zip(MONTHS) {
            session.batch_execute(&format!(
                "COPY (SELECT id, {COLUMNS} FROM operations WHERE operation_date >= '{from}' AND operation_date < '{to}' \
                 ORDER BY id) TO '{file}' (FORMAT binary)"
            ))?;
        }
        Ok(files)
    }

    fn copy_binary(&self) -> String {
        format!("COPY operations ({COLUMNS}) FROM '{}' (FORMAT binary)", self.binary)
    }

    /// What a careful user does by hand: new tables, COPY FREEZE, indexes afterwards, ATTACH.
    fn copy_freeze(&self) -> Method {
        let (mut before, mut load) = (String::new(), "BEGIN;".to_owned());
        for (month, ((from, to), file)) in MONTHS.iter().zip(&self.months).enumerate() {
            let bounds = format!("operation_date >= '{from}' AND operation_date < '{to}'");
            let partition = format!("operations_{}_{}", &from[..4], &from[5..7]);
            before += &format!("DROP TABLE {partition};");
            load += &format!(
                "CREATE TABLE new{month} (LIKE operations INCLUDING DEFAULTS INCLUDING CONSTRAINTS, CONSTRAINT bounds CHECK ({bounds})); \
                 COPY new{month} (id, {COLUMNS}) FROM '{file}' (FORMAT binary, FREEZE); \
                 ALTER TABLE new{month} ADD PRIMARY KEY (operation_date, id); \
                 CREATE INDEX ON new{month} (status, id); \
                 ALTER TABLE new{month} RENAME TO {partition}; \
                 ALTER TABLE operations ATTACH PARTITION {partition} FOR VALUES FROM ('{from}') TO ('{to}'); \
                 ALTER TABLE {partition} DROP CONSTRAINT bounds;"
            );
        }
        load += "COMMIT";
        Method { before, ..Method::new("COPY FREEZE into new tables, indexes, ATTACH", load, "") }
    }
}

fn into_empty_months(session: &mut Client, options: &Options, report: &mut Report, files: &Files) -> Result<(), Error> {
    let rows = options.load_rows;
    let methods = [
        Method::new(
            "plpgsql loop",
            format!(
                "DO $$ BEGIN FOR i IN 1..{rows} LOOP INSERT INTO operations ({COLUMNS}) SELECT {RANDOM_ROW}; END LOOP; END $$"
            ),
            "",
        ),
        Method::new(
            "INSERT .. SELECT random()",
            format!("INSERT INTO operations ({COLUMNS}) SELECT {RANDOM_ROW} FROM generate_series(1, {rows})"),
            "",
        ),
        Method::new("COPY text", format!("COPY operations ({COLUMNS}) FROM '{}'", files.text), ""),
        Method {
            before: "ALTER TABLE operations ADD CONSTRAINT another CHECK (client_id > 0)".to_owned(),
            after: "ALTER TABLE operations DROP CONSTRAINT another",
            ..Method::new(
                "operations_test_data on a table of another kind (COPY in the server)",
                ours(rows, 1),
                ">= 0.9",
            )
        },
        files.copy_freeze(),
        Method::new("operations_test_data, 1 worker", ours(rows, 1), ">= 2.5"),
        Method::new("operations_test_data, 2 workers", ours(rows, 2), ">= 4"),
    ];
    compare(session, options, report, "empty months", "", &files.copy_binary(), &methods)
}

fn into_grown_months(session: &mut Client, options: &Options, report: &mut Report, files: &Files) -> Result<(), Error> {
    let rows = options.load_rows;
    let as_many = format!("CALL operations_test_data({DATES}, {rows}, 7, 2);");
    let methods = [
        Method::new("operations_test_data, 1 worker", ours(rows, 1), ">= 1.3"),
        Method::new("operations_test_data, 2 workers", ours(rows, 2), ">= 2"),
    ];
    compare(session, options, report, "months with as many", &as_many, &files.copy_binary(), &methods)
}

/// Measures the ways and the reference in turns, each after `prepare` on the empty table.
fn compare(
    session: &mut Client,
    options: &Options,
    report: &mut Report,
    label: &str,
    prepare: &str,
    reference: &str,
    methods: &[Method],
) -> Result<(), Error> {
    let rows = options.load_rows as f64;
    let reference = Method::new("", reference, "");
    let mut measured = vec![Vec::new(); methods.len() + 1];
    for round in 0..options.rounds {
        // Whoever comes first in one round comes last in the next.
        let mut turns: Vec<usize> = (0..measured.len()).collect();
        if round % 2 == 1 {
            turns.reverse();
        }
        for turn in turns {
            let method = methods.get(turn).unwrap_or(&reference);
            session.batch_execute(&format!("TRUNCATE operations; {prepare}{}", method.before))?;
            session.batch_execute("CHECKPOINT")?;
            measured[turn].push(rows / seconds(session, &method.load)?);
            session.batch_execute(method.after)?;
        }
    }
    let reference = measured.pop().unwrap_or_default();
    for (method, measured) in methods.iter().zip(&measured) {
        let what = format!("{}, {} rows, {label}, vs COPY BINARY", method.name, grouped(rows));
        report.line(&what, "rows/s", (measured, &reference), method.aim, grouped);
    }
    Ok(())
}

/// Whether it stays as fast when there is more than fits into memory that is at hand.
fn many_rows(session: &mut Client, many: u64, options: &Options, report: &mut Report) -> Result<(), Error> {
    // More rounds would show no more: each of them is long.
    const ROUNDS: usize = 3;
    let few = options.load_rows;
    for workers in [1, 2] {
        let mut measured = [Vec::new(), Vec::new()];
        for _ in 0..options.rounds.min(ROUNDS) {
            for (rows, measured) in [many, few].into_iter().zip(&mut measured) {
                session.batch_execute("TRUNCATE operations")?;
                session.batch_execute("CHECKPOINT")?;
                measured.push(rows as f64 / seconds(session, &ours(rows, workers))?);
            }
        }
        let plural = if workers == 1 { "" } else { "s" };
        let what = format!(
            "operations_test_data, {workers} worker{plural}, {} rows vs {}",
            grouped(many as f64),
            grouped(few as f64)
        );
        report.line(&what, "rows/s", (&measured[0], &measured[1]), ">= 0.9", grouped);
    }
    Ok(())
}
