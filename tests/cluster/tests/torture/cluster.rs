//! A server with two databases to copy: one of the extension, one of plain SQL.

use std::collections::HashSet;

use operations_cluster::expect::{major, run};
use operations_cluster::{Error, SUPERUSER, Server, text};
use operations_model::calendar::Day;
use operations_model::copy_binary;
use operations_model::test_data::TestData;

use crate::scenes::ROWS_A_PROCESS;
use crate::script::Rows;

const BOTH: &str = include_str!("both.sql");
const REFERENCE: &str = include_str!("reference.sql");
/// What the table of the reference needs. Its triggers are there, for what may be done to them, and to the columns that they
/// name; they count nothing.
const FIRST: &str = "\
    CREATE TYPE operation_type_enum AS ENUM ('offline', 'online'); \
    CREATE FUNCTION operations_count_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$";
/// The table is the one that operations_setup() makes.
const TABLE: [&str; 3] = [
    include_str!("../../../../src/setup/sql/operations.sql"),
    include_str!("../../../../src/setup/sql/index.sql"),
    include_str!("../../../../src/setup/sql/count_triggers.sql"),
];

/// How much of the WAL is written.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    /// `wal_level = replica`, and a replica.
    Replicated,
    /// `wal_level = minimal`: what a transaction makes is synced at its commit instead of logged.
    Minimal,
}

impl Kind {
    /// Each seed has its server, so that it can be repeated.
    pub fn of(seed: u64) -> Self {
        if seed.is_multiple_of(2) { Self::Minimal } else { Self::Replicated }
    }
}

/// A server, and its replica.
pub struct Cluster {
    pub server: Server,
    pub replica: Option<Server>,
    /// Whether it has amcheck.
    pub amcheck: bool,
    written: HashSet<Rows>,
    copies: u64,
}

impl Cluster {
    pub fn new(kind: Kind) -> Self {
        let mut builder = Server::primary()
            .setting("max_prepared_transactions", "20")
            .setting("operations_ext.load_rows_per_process", &ROWS_A_PROCESS.to_string())
            // It takes locks that make a load choose another strategy.
            .setting("autovacuum", "off");
        if kind == Kind::Minimal {
            builder = builder
                .setting("wal_level", "minimal")
                .setting("max_wal_senders", "0")
                // Nothing is small enough to be logged instead of synced.
                .setting("wal_skip_threshold", "0");
        }
        let server = builder.start().unwrap();
        let replica = (kind == Kind::Replicated)
            .then(|| server.replica().setting("max_prepared_transactions", "20").start().unwrap());
        // Sessions are many, and the proof of the password takes longer than all that they ask.
        let mut password = format!("ALTER ROLE {SUPERUSER} PASSWORD '{}'", server.password());
        if major() >= 16 {
            password.insert_str(0, "SET scram_iterations = 1; ");
        }
        run(&mut server.connect("postgres").unwrap(), &password);
        let folder = server.folder().display().to_string();
        server.create_database("extension").unwrap();
        server.create_database("reference").unwrap();
        let mut session = server.connect("extension").unwrap();
        run(&mut session, "CREATE EXTENSION operations_ext; CALL operations_setup()");
        run(&mut session, BOTH);
        let amcheck =
            text(&mut session, "SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'").unwrap() == "1";
        if amcheck {
            run(&mut session, "CREATE EXTENSION amcheck");
        }
        let mut session = server.connect("reference").unwrap();
        run(&mut session, FIRST);
        for part in TABLE {
            run(&mut session, &part.replace("@extschema@", "public").replace("@index@", "operations_status_id_idx"));
        }
        run(&mut session, BOTH);
        run(&mut session, REFERENCE);
        run(
            &mut session,
            &format!(
                "CREATE FUNCTION torture.folder() RETURNS text LANGUAGE sql AS $$ SELECT '{folder}' $$; \
                 CALL torture.create_missing('2025-08-01', '2025-11-01'); \
                 CALL torture.create_missing(current_date, (current_date + interval '3 months')::date)"
            ),
        );
        Self { server, replica, amcheck, written: HashSet::new(), copies: 0 }
    }

    /// Copies both databases; returns the names of the copies, the extension's first.
    pub fn copy_databases(&mut self) -> Result<[String; 2], Error> {
        self.copies += 1;
        let mut session = self.server.connect("postgres")?;
        let mut copy = |of: &str| -> Result<String, Error> {
            let copy = format!("{of}_{}", self.copies);
            session.batch_execute(&format!("CREATE DATABASE {copy} TEMPLATE {of}"))?;
            Ok(copy)
        };
        Ok([copy("extension")?, copy("reference")?])
    }

    /// Drops all copies, whatever goes on in them.
    pub fn drop_copies(&self) -> Result<(), Error> {
        let mut session = self.server.connect("postgres")?;
        let prepared = text(&mut session, "SELECT database, gid FROM pg_prepared_xacts")?;
        for (database, gid) in prepared.lines().filter_map(|line| line.split_once('|')) {
            self.server.connect(database)?.batch_execute(&format!("ROLLBACK PREPARED '{gid}'"))?;
        }
        let copies = "SELECT datname FROM pg_database WHERE datname ~ '^(extension|reference)_'";
        for copy in text(&mut session, copies)?.lines() {
            session.batch_execute(&format!("DROP DATABASE {copy} WITH (FORCE)"))?;
        }
        Ok(())
    }

    /// Sees to the rows of a load being in a file of the server.
    pub fn write(&mut self, rows: &Rows) -> Result<(), Error> {
        if !self.written.insert(rows.clone()) {
            return Ok(());
        }
        let mut session = self.server.connect("postgres")?;
        let mut day = |date: &str| -> Result<Day, Error> {
            let row = session.query_one(&format!("SELECT date '{date}' - date '2000-01-01'"), &[])?;
            Day::from_postgres(row.get(0)).ok_or_else(|| Error::Environment(format!("{date} is no day")))
        };
        let data = TestData::new(rows.seed, day(&rows.first)?, day(&rows.last)?, rows.count);
        let mut bytes = Vec::new();
        copy_binary::header(&mut bytes);
        data.range(0, rows.count).for_each(|row| copy_binary::row(&row, &mut bytes));
        copy_binary::trailer(&mut bytes);
        let name = format!("rows_{}_{}_{}_{}", rows.seed, rows.first, rows.last, rows.count);
        self.server.write_bytes(&name, &bytes).map(drop)
    }
}
