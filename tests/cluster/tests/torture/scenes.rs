//! What scripts are made of: transactions, statements on their own, and orders of statements that are dangerous.

use chacha20::ChaCha8Rng;
use rand::RngExt;

use crate::script::{Bracket, Execution, Rows, Statement};
use crate::statements;

/// The months that operations_setup() makes partitions of, and others that have none at first.
const MADE: [&str; 4] = ["2025-08", "2025-09", "2025-10", "2025-11"];
const MISSING: [&str; 4] = ["2025-05", "2025-06", "2026-01", "2026-02"];

/// A month that a load gets fewer rows for is never filled beside the table.
const FEW: u64 = 10_000;

/// Rows for which the servers of these tests start a process: a fifth of the default.
pub const ROWS_A_PROCESS: u64 = 10_000;

/// Makes up the statements of a script.
pub struct Writer {
    pub rng: ChaCha8Rng,
    pub statements: Vec<Statement>,
    /// Savepoints of the transaction that is being written.
    savepoints: usize,
    /// change_status() may make a temporary table, in REFRESH .. CONCURRENTLY, with which PostgreSQL refuses to
    /// PREPARE; the reference has no view to refresh. So no transaction has both.
    pub changed_status: bool,
    /// One large load a script is enough.
    large: bool,
}

impl Writer {
    pub fn new(rng: ChaCha8Rng) -> Self {
        Self { rng, statements: Vec::new(), savepoints: 0, changed_status: false, large: false }
    }

    /// All of a script.
    pub fn write(&mut self) {
        for _ in 0..self.number(3) {
            match self.number(3) {
                0 => {
                    let sql = statements::insert_rows(self);
                    self.push("insert", sql);
                }
                1 => self.few_rows(),
                _ => self.change_status(),
            }
        }
        for _ in 0..self.rng.random_range(2..=4) {
            match self.number(20) {
                0..=4 => self.danger(),
                5 | 6 => self.many_months(),
                7 | 8 => self.around_savepoint(),
                9 => self.exchange(),
                10..=13 => (0..self.rng.random_range(1..=3)).for_each(|_| statements::alone(self)),
                _ => self.transaction(),
            }
        }
        if self.number(4) == 0 {
            self.leave_open();
        }
    }

    /// A number from 0, below that.
    pub fn number(&mut self, below: usize) -> usize {
        self.rng.random_range(0..below)
    }

    pub fn push(&mut self, kind: &'static str, sql: impl Into<String>) {
        self.push_executed(kind, sql, Execution::Same);
    }

    pub fn push_executed(&mut self, kind: &'static str, sql: impl Into<String>, execution: Execution) {
        self.statements.push(Statement { kind, sql: sql.into(), execution, bracket: Bracket::None, rows: None });
    }

    fn bracket(&mut self, kind: &'static str, sql: impl Into<String>, bracket: Bracket) {
        self.statements.push(Statement { kind, sql: sql.into(), execution: Execution::Same, bracket, rows: None });
    }

    fn begin(&mut self) {
        self.savepoints = 0;
        self.changed_status = false;
        // The reference and the extension differ, as documented, in what a REPEATABLE READ transaction sees of the load of
        // another session; here it is always its own.
        let sql = match self.number(12) {
            0 | 1 => "BEGIN ISOLATION LEVEL REPEATABLE READ",
            2 => "BEGIN ISOLATION LEVEL SERIALIZABLE",
            3 if self.number(3) == 0 => "BEGIN READ ONLY",
            _ => "BEGIN",
        };
        self.bracket("begin", sql, Bracket::Begin);
    }

    fn savepoint(&mut self) {
        self.savepoints += 1;
        let sql = format!("SAVEPOINT s{}", self.savepoints);
        self.push("savepoint", sql);
    }

    fn rollback_to(&mut self) {
        let to = self.rng.random_range(1..=self.savepoints);
        self.savepoints = to;
        self.push("rollback to", format!("ROLLBACK TO s{to}"));
    }

    fn release(&mut self) {
        let to = self.rng.random_range(1..=self.savepoints);
        self.savepoints = to - 1;
        self.push("release", format!("RELEASE s{to}"));
    }

    /// Ends the transaction that is being written, in one of its ways.
    fn end(&mut self) {
        match self.number(10) {
            0..=3 => self.bracket("rollback", "ROLLBACK", Bracket::End),
            4..=6 => self.bracket("commit", "COMMIT", Bracket::End),
            _ if self.changed_status => self.bracket("commit", "COMMIT", Bracket::End),
            _ => {
                self.prepare();
                for _ in 0..self.number(3) {
                    self.something_else();
                }
                if self.number(2) == 0 {
                    self.bracket("commit prepared", "COMMIT PREPARED '@db@'", Bracket::EndPrepared);
                } else {
                    self.bracket("rollback prepared", "ROLLBACK PREPARED '@db@'", Bracket::EndPrepared);
                }
            }
        }
    }

    fn prepare(&mut self) {
        self.bracket("prepare transaction", "PREPARE TRANSACTION '@db@'", Bracket::Prepare);
    }

    /// What meets no lock of a prepared transaction: those of a load are others than those of COPY.
    fn something_else(&mut self) {
        match self.number(3) {
            0 => self.push("something else", "INSERT INTO torture.other VALUES (1)"),
            1 => self.push("something else", "CREATE TABLE torture.more (); DROP TABLE torture.more"),
            _ => {
                self.bracket("begin", "BEGIN", Bracket::Begin);
                self.push("something else", "TRUNCATE torture.other");
                let end = ["ROLLBACK", "COMMIT"][self.number(2)];
                self.bracket("something else", end, Bracket::End);
            }
        }
    }

    /// A transaction of any statements, with savepoints.
    fn transaction(&mut self) {
        self.begin();
        self.inside();
        self.end();
    }

    fn inside(&mut self) {
        for _ in 0..self.rng.random_range(1..=6) {
            match self.number(20) {
                0..=3 => self.savepoint(),
                4..=6 if self.savepoints > 0 => self.rollback_to(),
                7 if self.savepoints > 0 => self.release(),
                8 => {
                    statements::failing(self);
                    if self.savepoints > 0 {
                        self.rollback_to();
                    }
                }
                _ => statements::inside(self),
            }
        }
    }

    /// A load, and then at once something that replaces files or removes them, taken back or not.
    fn danger(&mut self) {
        let month = self.made();
        let together = self.number(3) == 0;
        if together {
            self.begin();
        }
        self.full_month(month);
        if self.number(3) == 0 {
            statements::again(self, month);
        }
        if !together {
            self.begin();
        }
        let saved = self.number(3) == 0;
        if saved {
            self.savepoint();
        }
        for _ in 0..self.rng.random_range(1..=2) {
            statements::past_the_triggers(self, month);
        }
        if saved && self.number(3) > 0 {
            self.rollback_to();
        }
        match self.number(3) {
            0 => self.end(),
            _ => self.bracket("rollback", "ROLLBACK", Bracket::End),
        }
        if self.number(3) == 0 {
            statements::alone(self);
        }
    }

    /// So many files exchanged at once that PostgreSQL's list of relations to be looked at after a transaction overflows.
    fn many_months(&mut self) {
        if self.number(2) == 0 {
            self.begin();
            self.all_made();
            self.inside();
            self.end();
        } else {
            self.all_made();
            self.begin();
            let month = self.made();
            statements::past_the_triggers(self, month);
            self.bracket("rollback", "ROLLBACK", Bracket::End);
        }
    }

    /// A load in a subtransaction that is rolled back, and what its session does next.
    fn around_savepoint(&mut self) {
        self.begin();
        self.savepoint();
        let month = self.made();
        self.full_month(month);
        if self.number(3) == 0 {
            statements::past_the_triggers(self, month);
        }
        match self.number(4) {
            0 => self.release(),
            _ => self.rollback_to(),
        }
        if self.number(2) == 0 {
            self.full_month(month);
        }
        statements::past_the_triggers(self, month);
        self.end();
    }

    /// The usual online migration of a column: another one gets its name.
    fn exchange(&mut self) {
        let within = self.number(2) == 0;
        if within {
            self.begin();
        }
        let old = format!("former{}", self.number(2));
        self.push(
            "exchange of a column",
            format!(
                "ALTER TABLE operations ADD COLUMN successor numeric(12, 2) NOT NULL DEFAULT 1; \
                 UPDATE operations SET successor = amount + client_id; \
                 ALTER TABLE operations RENAME amount TO {old}; ALTER TABLE operations RENAME successor TO amount; \
                 ALTER TABLE operations ALTER {old} DROP NOT NULL"
            ),
        );
        for _ in 0..self.rng.random_range(1..=2) {
            statements::write(self);
        }
        if within {
            self.end();
        }
        self.change_status();
    }

    /// The crash finds a transaction open, or a prepared one.
    fn leave_open(&mut self) {
        self.begin();
        if self.number(2) == 0 {
            let month = self.made();
            self.full_month(month);
        }
        self.inside();
        if !self.changed_status && self.number(2) == 0 {
            self.prepare();
        }
    }

    /// A month of those that there are.
    pub fn made(&mut self) -> &'static str {
        MADE[self.number(4)]
    }

    /// Any month.
    pub fn month(&mut self) -> &'static str {
        if self.number(5) == 0 { MISSING[self.number(4)] } else { self.made() }
    }

    pub fn change_status(&mut self) {
        let batch = [20_000, 20_000, 100, 7][self.number(4)];
        self.changed_status = true;
        self.push_executed("change_status", format!("CALL change_status({batch})"), Execution::ChangeStatus);
    }

    /// A load of any kind.
    pub fn load(&mut self) {
        match self.number(24) {
            0..=8 => self.few_rows(),
            9..=18 => {
                let month = self.month();
                self.full_month(month);
            }
            19 | 20 => self.all_made(),
            21 | 22 => {
                let first = self.number(3);
                let rows = 2 * FEW + 600;
                self.push_load(MADE[first], MADE[first + 1], rows);
            }
            _ if self.large => self.few_rows(),
            _ => {
                self.large = true;
                let (first, last) =
                    [("2025-08", "2025-09"), ("2025-08", "2025-10"), ("2026-01", "2026-02")][self.number(3)];
                let months = if last == "2025-10" { 3 } else { 2 };
                self.push_load(first, last, months * (FEW + 1_000));
            }
        }
    }

    /// A load that fills a month with few rows, or makes one for them.
    pub fn few_rows(&mut self) {
        let rows = [200, 700][self.number(2)];
        match self.number(3) {
            0 => {
                let first = self.number(3);
                self.push_load(MISSING[first / 2 * 2], MISSING[first / 2 * 2 + 1], rows);
            }
            1 => self.push_load(MADE[0], MADE[3], rows),
            _ => {
                let month = self.month();
                self.push_load(month, month, rows);
            }
        }
    }

    /// A load that fills a month beside the table, or in place with its indexes rebuilt.
    pub fn full_month(&mut self, month: &str) {
        let rows = FEW + 100;
        self.push_load(month, month, rows);
    }

    fn all_made(&mut self) {
        self.push_load(MADE[0], MADE[3], 4 * FEW + 1500);
    }

    fn push_load(&mut self, first: &str, last: &str, rows: u64) {
        let (sql, rows) = self.call(first, last, rows);
        self.statements.push(Statement {
            kind: "load",
            sql,
            execution: Execution::Same,
            bracket: Bracket::None,
            rows: Some(rows),
        });
    }

    /// The statement of a load, and its rows.
    pub fn call(&mut self, first: &str, last: &str, count: u64) -> (String, Rows) {
        let seed = self.rng.random_range(1..=2);
        let workers = self.rng.random_range(1..=3);
        let rows = Rows { seed, first: format!("{first}-01"), last: format!("{last}-28"), count };
        let sql = format!("CALL operations_test_data('{}', '{}', {count}, {seed}, {workers})", rows.first, rows.last);
        (sql, rows)
    }
}
