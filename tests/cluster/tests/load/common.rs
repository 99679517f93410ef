//! What the tests of loads share: months relative to today, the ways a month is loaded, and what must hold afterwards.

use std::thread::JoinHandle;

use operations_cluster::expect::{SOON, expect_indexes_match, run};
use operations_cluster::{DATABASE, Error, Notices, SUPERUSER, Server, ServerBuilder, text, value, wait_until};
use postgres::Client;

/// Rows that keep a process of these tests busy: a fifth of the default, for what a process does is the same for each.
const ROWS_PER_PROCESS: i64 = 10_000;

/// Rows a month that keep two processes busy.
pub const ROWS_A_MONTH: i64 = 2 * ROWS_PER_PROCESS + 200;

/// A primary with the extension, whose loads start a process for [`ROWS_PER_PROCESS`].
pub fn primary() -> ServerBuilder {
    let rows = ROWS_PER_PROCESS.to_string();
    Server::primary().with_extension().setting("operations_ext.load_rows_per_process", &rows)
}

/// What a month is like before a load, which decides the strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// There was no partition.
    New,
    /// There was one without a page.
    Empty,
    /// There was one with few rows.
    Grown,
    /// There was one with many rows.
    Full,
    /// The table is not as operations_setup() makes it.
    Copy,
}

pub const STRATEGIES: [Strategy; 5] = [Strategy::New, Strategy::Empty, Strategy::Grown, Strategy::Full, Strategy::Copy];

impl Strategy {
    /// What the NOTICE of a month says.
    pub fn note(self) -> &'static str {
        match self {
            Self::New | Self::Empty => "into a new table",
            Self::Grown => "in place, indexes rebuilt",
            Self::Full => "in place",
            Self::Copy => "by COPY",
        }
    }

    /// Makes the two months so.
    pub fn prepare(self, session: &mut Client, dates: &Dates) {
        drop_months(session);
        match self {
            Self::New => {}
            Self::Empty => run(session, "CALL operations_maintain_partitions(3)"),
            Self::Grown => dates.call(session, 500, "999"),
            Self::Full => dates.call(session, 2 * ROWS_A_MONTH / 4, "999, 1"),
            Self::Copy => run(session, "ALTER TABLE operations ADD CONSTRAINT clients CHECK (client_id > 0)"),
        }
        if matches!(self, Self::Grown | Self::Full) {
            run(session, "CALL change_status(100)");
        }
    }
}

/// Drops every partition, and what makes a load use COPY.
pub fn drop_months(session: &mut Client) {
    run(
        session,
        "DO $$ DECLARE p regclass; BEGIN \
         FOR p IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'operations'::regclass LOOP \
         EXECUTE format('DROP TABLE %s', p); END LOOP; END $$; \
         ALTER TABLE operations DROP CONSTRAINT IF EXISTS clients; CALL operations_maintain_partitions(0)",
    );
}

/// The two months that tests load: the second and the third after the current one.
#[derive(Clone, Debug)]
pub struct Dates {
    pub first_day: String,
    pub last_day: String,
    pub partitions: [String; 2],
}

impl Dates {
    pub fn of(session: &mut Client) -> Self {
        let mut ask = |what: &str| {
            text(session, &format!("SELECT {what} FROM date_trunc('month', current_date) AS t(m)")).unwrap()
        };
        Self {
            first_day: ask("(m + '2 months')::date"),
            last_day: ask("(m + '4 months')::date - 1"),
            partitions: [2, 3].map(|n| ask(&format!("to_char(m + '{n} months', '\"operations_\"YYYY_MM')"))),
        }
    }

    /// The procedure's arguments: so many rows in all, and what follows them.
    pub fn arguments(&self, rows: i64, others: &str) -> String {
        format!("'{}', '{}', {rows}, {others}", self.first_day, self.last_day)
    }

    pub fn statement(&self, rows: i64, others: &str) -> String {
        format!("CALL operations_test_data({})", self.arguments(rows, others))
    }

    pub fn call(&self, session: &mut Client, rows: i64, others: &str) {
        run(session, &self.statement(rows, others));
    }
}

/// A session that hears how its months are loaded.
pub struct Loader {
    pub session: Client,
    notices: Notices,
}

impl Loader {
    pub fn new(server: &Server) -> Self {
        Self::of(server, SUPERUSER, DATABASE)
    }

    pub fn of(server: &Server, user: &str, database: &str) -> Self {
        let (session, notices) = server.connect_and_hear(user, database).unwrap();
        Self { session, notices }
    }

    /// Loads, and returns how each month was loaded.
    pub fn call(&mut self, statement: &str) -> Vec<String> {
        self.notices.take();
        run(&mut self.session, statement);
        self.strategies()
    }

    /// Loads, and returns all that was said.
    pub fn heard_of(&mut self, statement: &str) -> Vec<String> {
        self.notices.take();
        run(&mut self.session, statement);
        self.heard()
    }

    /// How months were loaded since it was asked last, in their order.
    pub fn strategies(&self) -> Vec<String> {
        let mut notices = self.notices.take();
        notices.sort();
        notices.iter().filter_map(|notice| strategy_of(notice)).map(str::to_owned).collect()
    }

    /// All that was said since it was asked last.
    pub fn heard(&self) -> Vec<String> {
        self.notices.take()
    }
}

/// "2025-08: 250000 rows into a new table, 645000 rows/s" -> "into a new table"
fn strategy_of(notice: &str) -> Option<&str> {
    let (_, strategy) = notice.split_once(" rows ")?;
    Some(strategy.rsplit_once(", ")?.0)
}

/// Relations that a load works in and nobody is to see after it.
pub const LEFT_OVER: &str = "SELECT coalesce(string_agg(relname, ' '), '') FROM pg_class \
    WHERE relname ~ '^operations_load_[0-9]'";

/// Files of relations that there are not, and notes that loads take of such files; separated by blanks.
pub const ORPHANS: &str = "SELECT coalesce(string_agg(file, ' '), '') FROM ( \
    SELECT file FROM pg_ls_dir('base/' || (SELECT oid FROM pg_database WHERE datname = current_database())) AS file \
    WHERE file ~ '^[0-9]+' AND pg_filenode_relation(0, substring(file FROM '^[0-9]+')::oid) IS NULL \
    UNION ALL SELECT file FROM pg_ls_dir('.') AS file WHERE file ~ '^operations_ext') AS files";

/// What must hold after every load, whatever its strategy.
#[track_caller]
pub fn expect_sound(session: &mut Client) {
    assert_eq!(text(session, LEFT_OVER).unwrap(), "");
    assert_eq!(text(session, "TABLE operations_load_progress").unwrap(), "");
    assert_eq!(text(session, "SELECT * FROM operations_verify_rollup()").unwrap(), "");
    let ids = "SELECT count(*) = count(DISTINCT id) FROM operations";
    assert!(value::<bool>(session, ids).unwrap(), "an id was given twice");
    expect_indexes_match(session);
    // The development server has no contrib modules; others may.
    let available = "SELECT count(*) > 0 FROM pg_available_extensions WHERE name = 'amcheck'";
    if value::<bool>(session, available).unwrap() {
        run(
            session,
            "SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS amcheck; RESET client_min_messages",
        );
        run(
            session,
            "SELECT bt_index_check(i.indexrelid, true) FROM pg_index i JOIN pg_inherits h ON h.inhrelid = i.indrelid \
             WHERE h.inhparent = 'operations'::regclass",
        );
    }
}

/// Where a load is, as operations_load_progress shows it.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub phase: String,
    pub processes: i32,
    pub rows_done: i64,
    pub rows_total: i64,
    pub workers: Vec<i32>,
}

/// The load of that process, if it is one at the moment.
pub fn seen(watcher: &mut Client, pid: i32) -> Option<Seen> {
    let query = "SELECT phase, processes, rows_done, rows_total, \
                 ARRAY(SELECT a.pid FROM pg_stat_activity a WHERE a.leader_pid = $1 AND a.backend_type = 'parallel worker') \
                 FROM operations_load_progress WHERE pid = $1";
    let row = watcher.query_opt(query, &[&pid]).unwrap()?;
    Some(Seen {
        phase: row.get(0),
        processes: row.get(1),
        rows_done: row.get(2),
        rows_total: row.get(3),
        workers: row.get(4),
    })
}

/// Waits until a load is where the condition says; `None` if it ended without being seen there.
pub fn wait_for_load(load: &Load, watcher: &mut Client, condition: impl Fn(&Seen) -> bool) -> Option<Seen> {
    let pid = load.pid;
    wait_until("the load to get there", SOON, || match seen(watcher, pid) {
        Some(seen) if condition(&seen) => Ok(Some(seen)),
        _ if load.is_over() => Ok(None),
        seen => Err(format!("{seen:?}")),
    })
}

/// A load in another thread.
pub struct Load {
    pub pid: i32,
    thread: JoinHandle<Result<(), postgres::Error>>,
}

impl Load {
    pub fn start(server: &Server, settings: &str, statement: String) -> Self {
        let mut session = server.session().unwrap();
        run(&mut session, settings);
        let pid = value(&mut session, "SELECT pg_backend_pid()").unwrap();
        Self { pid, thread: std::thread::spawn(move || session.batch_execute(&statement)) }
    }

    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until it has a worker and is in that phase, with some rows done. `None`: that was too short to be seen.
    pub fn reach(&self, watcher: &mut Client, phase: &str) -> Option<Seen> {
        wait_for_load(self, watcher, |seen| {
            seen.phase == phase && seen.rows_done > ROWS_PER_PROCESS && !seen.workers.is_empty()
        })
    }

    /// What it ended with.
    pub fn end(self) -> Result<(), postgres::Error> {
        self.thread.join().unwrap()
    }

    #[track_caller]
    pub fn succeed(self) {
        self.end().map_err(Error::from).unwrap();
    }
}
