//! Scripts: what one session does, made up from a seed.

use std::fmt::Write;

use chacha20::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::scenes::Writer;

/// What a statement is to the transaction.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Bracket {
    None,
    Begin,
    /// COMMIT or ROLLBACK.
    End,
    Prepare,
    /// COMMIT PREPARED or ROLLBACK PREPARED.
    EndPrepared,
}

/// How a statement is executed in the two databases.
#[derive(Clone, PartialEq, Debug)]
pub enum Execution {
    /// The same text in both databases.
    Same,
    /// COPY of these lines.
    Copy(String),
    /// change_status(): the reference is told the parity.
    ChangeStatus,
    /// With a statement_timeout of so many ms. If it is over, the reference does nothing but fail likewise.
    Within(u32),
}

/// The rows that a load brings.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Rows {
    pub seed: u64,
    pub first: String,
    pub last: String,
    pub count: u64,
}

/// A statement, or several in one message.
#[derive(Clone, Debug)]
pub struct Statement {
    /// What it is, for the tally.
    pub kind: &'static str,
    /// `@db@` stands for the database's name.
    pub sql: String,
    pub execution: Execution,
    pub bracket: Bracket,
    pub rows: Option<Rows>,
}

/// How a script ends.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum End {
    /// Nothing is open; or a transaction is, that the crash ends.
    AsItIs,
    /// What is prepared is committed after the crash.
    Commit,
    /// What is prepared is rolled back after the crash.
    Rollback,
}

/// What one session does.
#[derive(Clone, Debug)]
pub struct Script {
    pub seed: u64,
    pub statements: Vec<Statement>,
    /// Whether the session looks at the rows after each statement, or only when no transaction is open: a look opens all
    /// relations, and what PostgreSQL keeps of them could be put right by that.
    pub looks: bool,
    pub end: End,
}

/// Where the session is after a statement.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Position {
    /// A transaction is open, or has failed.
    pub open: bool,
    /// A prepared one waits for its end, and has its locks.
    pub prepared: bool,
}

impl Script {
    /// The script of a seed.
    pub fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let looks = rng.random_ratio(4, 5);
        let end = if rng.random_ratio(1, 2) { End::Commit } else { End::Rollback };
        let mut writer = Writer::new(rng);
        writer.write();
        let statements = writer.statements;
        let prepared =
            statements.iter().fold(Position::default(), |position, statement| position.after(statement)).prepared;
        Self { seed, statements, looks, end: if prepared { end } else { End::AsItIs } }
    }

    /// The same without a statement.
    pub fn without(&self, index: usize) -> Self {
        let mut shorter = self.clone();
        shorter.statements.remove(index);
        shorter
    }

    /// For people to read and to run.
    pub fn text(&self, upto: usize) -> String {
        let mut text = String::new();
        for (index, statement) in self.statements.iter().enumerate().take(upto.saturating_add(1)) {
            let _ = match &statement.execution {
                Execution::Copy(lines) => writeln!(text, "/* {index:2} */ {}; -- lines: {lines:?}", statement.sql),
                Execution::Within(ms) => {
                    writeln!(text, "/* {index:2} */ {}; -- with statement_timeout = {ms}", statement.sql)
                }
                _ => writeln!(text, "/* {index:2} */ {};", statement.sql),
            };
        }
        text
    }
}

impl Position {
    /// Where it is after one more statement.
    pub fn after(self, statement: &Statement) -> Self {
        match statement.bracket {
            Bracket::None => self,
            Bracket::Begin => Self { open: true, ..self },
            Bracket::End => Self { open: false, ..self },
            Bracket::Prepare => Self { open: false, prepared: true },
            Bracket::EndPrepared => Self { prepared: false, ..self },
        }
    }
}
