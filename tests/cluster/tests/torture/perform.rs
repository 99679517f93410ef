//! Doing a script in both databases, and comparing what comes of each statement.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use operations_cluster::{Error, Notices, SUPERUSER, Server, text};
use postgres::{Client, SimpleQueryMessage};

use crate::cluster::Cluster;
use crate::look::{self, Blind, Depth, told};
use crate::script::{Execution, Position, Script, Statement};

/// What came of a statement: what it returned, or the SQLSTATE and message of its error.
type Outcome = Result<String, (String, String)>;

/// What was done.
#[derive(Default)]
pub struct Tally {
    /// Of each kind of statement: how often it was done, how often refused.
    pub kinds: BTreeMap<String, (u64, u64)>,
    pub looks: u64,
    /// Looks of other sessions at what was locked.
    pub locked: u64,
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        for (kind, (done, refused)) in other.kinds {
            let entry = self.kinds.entry(kind).or_default();
            entry.0 += done;
            entry.1 += refused;
        }
        self.looks += other.looks;
        self.locked += other.locked;
    }

    fn count(&mut self, kind: &str, done: bool) {
        let entry = self.kinds.entry(kind.to_owned()).or_default();
        if done { entry.0 += 1 } else { entry.1 += 1 }
    }
}

/// A database, the session that does the script, and one that only watches, and so has everything in its caches.
struct Side {
    database: String,
    session: Client,
    watcher: Client,
    notices: Notices,
}

impl Side {
    fn new(server: &Server, database: &str) -> Result<Self, Error> {
        let (mut session, notices) = server.connect_and_hear(SUPERUSER, database)?;
        // Whatever waits for a lock here would wait for ever.
        session.batch_execute("SET lock_timeout = '10s'; SET jit = off")?;
        Ok(Self { database: database.to_owned(), session, watcher: watcher(server, database)?, notices })
    }

    fn perform(&mut self, sql: &str, execution: &Execution) -> Result<Outcome, String> {
        let sql = sql.replace("@db@", &self.database);
        let result = match execution {
            Execution::Copy(lines) => copy(&mut self.session, &sql, lines),
            _ => self.session.simple_query(&sql).map(answer),
        };
        match result {
            Ok(answer) => Ok(Ok(answer)),
            Err(error) => match error.as_db_error() {
                Some(db) if !self.session.is_closed() => {
                    Ok(Err((db.code().code().to_owned(), db.message().to_owned())))
                }
                _ => Err(format!("the session of {} broke: {}", self.database, Error::from(error))),
            },
        }
    }
}

/// A session that waits for no lock.
pub fn watcher(server: &Server, database: &str) -> Result<Client, Error> {
    let mut session = server.connect(database)?;
    session.batch_execute("SET lock_timeout = '100ms'")?;
    Ok(session)
}

fn copy(session: &mut Client, sql: &str, lines: &str) -> Result<String, postgres::Error> {
    // The client library loses count of the answers when the server refuses COPY FROM STDIN itself. A refusal is had first.
    session.batch_execute(&sql.replace("FROM STDIN", "FROM '/dev/null'"))?;
    let mut writer = session.copy_in(sql)?;
    // What goes wrong here is told by `finish`, too.
    let _ = writer.write_all(lines.as_bytes());
    writer.finish().map(|rows| format!("{rows} rows"))
}

/// Rows and numbers of rows.
fn answer(messages: Vec<SimpleQueryMessage>) -> String {
    let mut lines = Vec::new();
    for message in messages {
        match message {
            SimpleQueryMessage::Row(row) => {
                let columns: Vec<_> = (0..row.len()).map(|column| row.get(column).unwrap_or("NULL")).collect();
                lines.push(columns.join("|"));
            }
            SimpleQueryMessage::CommandComplete(rows) => lines.push(format!("{rows} rows")),
            _ => {}
        }
    }
    lines.join("\n")
}

/// Both databases of a script.
pub struct Pair {
    pub databases: [String; 2],
    /// Kept until the server is stopped: a transaction may be open.
    sides: Option<[Side; 2]>,
    /// Where its session is at the end.
    pub position: Position,
}

/// What is wrong, and after which statement.
pub struct Failure {
    pub statement: usize,
    pub what: String,
}

/// Does all of a script.
pub fn perform(cluster: &mut Cluster, script: &Script, tally: &mut Tally) -> Result<Pair, Failure> {
    let at = |statement: usize| move |what: String| Failure { statement, what };
    let broken = |error: Error| Failure { statement: 0, what: error.to_string() };
    let databases = cluster.copy_databases().map_err(broken)?;
    let [ours, reference] = [0, 1].map(|side: usize| Side::new(&cluster.server, &databases[side]));
    let (ours, reference) = (ours.map_err(broken)?, reference.map_err(broken)?);
    let mut run = Run { ours, reference, position: Position::default(), tally };
    for (index, statement) in script.statements.iter().enumerate() {
        if let Some(rows) = &statement.rows {
            cluster.write(rows).map_err(broken)?;
        }
        run.statement(statement).map_err(at(index))?;
        run.position = run.position.after(statement);
        run.look(&cluster.server, script.looks).map_err(at(index))?;
    }
    let position = run.position;
    Ok(Pair { databases, sides: Some([run.ours, run.reference]), position })
}

impl Pair {
    /// Ends its sessions, if the server has not done so.
    pub fn close(&mut self) {
        self.sides = None;
    }
}

struct Run<'a> {
    ours: Side,
    reference: Side,
    position: Position,
    tally: &'a mut Tally,
}

impl Run<'_> {
    fn statement(&mut self, statement: &Statement) -> Result<(), String> {
        let (ours, reference) = match statement.execution {
            Execution::ChangeStatus => self.change_status(&statement.sql)?,
            Execution::Within(ms) => self.within(ms, statement)?,
            _ => (
                self.ours.perform(&statement.sql, &statement.execution)?,
                self.reference.perform(&statement.sql, &statement.execution)?,
            ),
        };
        self.tally.count(statement.kind, ours.is_ok());
        for notice in self.ours.notices.take() {
            for way in
                ["into a new table", "in place, indexes rebuilt", "in place", "by COPY", "its rows go there one by one"]
            {
                if notice.contains(way) {
                    self.tally.count(&format!("  loads a month {way}"), true);
                    break;
                }
            }
        }
        match (&ours, &reference) {
            (Err((ours, _)), Err((reference, _))) if ours == reference => Ok(()),
            (Ok(ours), Ok(reference)) if ours == reference => Ok(()),
            _ => Err(format!("its outcome differs\n    extension: {ours:?}\n    reference: {reference:?}")),
        }
    }

    /// Which ids are to be flipped is a matter of the clock: the reference is told.
    fn change_status(&mut self, sql: &str) -> Result<(Outcome, Outcome), String> {
        let counts = "SELECT count(*) FILTER (WHERE id & 1 = 0), count(*) FILTER (WHERE id & 1 = 1) FROM operations WHERE status = 0";
        let before = text(&mut self.ours.session, counts);
        let began = second();
        let ours = self.ours.perform(sql, &Execution::Same)?;
        let ended = second();
        let mut parity = began % 2;
        if let (Ok(before), true, true) = (before, ours.is_ok(), began != ended) {
            // It cannot be said which second it saw: what it flipped says it, if it flipped anything.
            let after = text(&mut self.ours.session, counts).map_err(|error| error.to_string())?;
            let evens_changed = before.split('|').next() != after.split('|').next();
            let seen = u64::from(!evens_changed);
            if before != after && (began..=ended).any(|second| second % 2 == seen) {
                parity = seen;
            }
        }
        let reference = self.reference.perform(&sql.replace(')', &format!(", {parity})")), &Execution::Same)?;
        if ours.is_ok() {
            let difference = look::stored_difference(&mut self.ours.session).map_err(|blind| blind.to_string())?;
            if !difference.is_empty() {
                return Err(format!("client_type_sum_mv is wrong (rows that are there or are missing):\n{difference}"));
            }
        }
        Ok((ours, reference))
    }

    /// Whether it is in time is a matter of chance: the reference does as the extension did, all or nothing.
    fn within(&mut self, ms: u32, statement: &Statement) -> Result<(Outcome, Outcome), String> {
        for side in [&mut self.ours, &mut self.reference] {
            let ms = if side.database.starts_with("extension") { ms } else { 0 };
            // In a transaction that has failed this fails, too.
            side.perform(&format!("SET statement_timeout = {ms}"), &Execution::Same)?.ok();
        }
        let ours = self.ours.perform(&statement.sql, &statement.execution)?;
        let reference = match &ours {
            Err((code, _)) if code == "57014" => {
                let cancel = "DO $$ BEGIN RAISE query_canceled; END $$";
                self.reference.perform(cancel, &Execution::Same)?
            }
            _ => self.reference.perform(&statement.sql, &statement.execution)?,
        };
        for side in [&mut self.ours, &mut self.reference] {
            side.perform("SET statement_timeout = 0", &Execution::Same)?.ok();
        }
        Ok((ours, reference))
    }

    /// Looks from this session, from another, and from a new one.
    fn look(&mut self, server: &Server, always: bool) -> Result<(), String> {
        self.same_ids()?;
        let Position { open, prepared } = self.position;
        if always || !open {
            let looks = [&mut self.ours, &mut self.reference].map(|side| look::look(&mut side.session, Depth::Rows));
            self.compare("this session", looks, prepared)?;
            // It has no limit for locks.
            if !prepared {
                let live = look::live_difference(&mut self.ours.session);
                self.is_exact("this session", live, false)?;
            }
        }
        let may_be_locked = open || prepared;
        let looks = [&mut self.ours, &mut self.reference].map(|side| look::look(&mut side.watcher, Depth::Counts));
        self.compare("another session", looks, may_be_locked)?;
        let live = look::live_difference(&mut self.ours.watcher);
        self.is_exact("another session", live, may_be_locked)?;
        // While a transaction is open, nothing but the caches tells these two apart.
        let depth = if open { Depth::Counts } else { Depth::Everything };
        let ours = &mut watcher(server, &self.ours.database).map_err(|error| error.to_string())?;
        let reference = &mut watcher(server, &self.reference.database).map_err(|error| error.to_string())?;
        let looks = [look::look(ours, depth), look::look(reference, depth)];
        self.compare("a new session", looks, may_be_locked)?;
        match open {
            true => Ok(()),
            false => self.is_exact("a new session", look::live_difference(ours), may_be_locked),
        }
    }

    /// May be locked: by locks that the extension takes and COPY does not, or the other way round.
    fn compare(&mut self, who: &str, looks: [Result<String, Blind>; 2], may_be_locked: bool) -> Result<(), String> {
        self.tally.looks += 1;
        match looks {
            [Ok(ours), Ok(reference)] => match look::difference(&ours, &reference) {
                None => Ok(()),
                Some(difference) => Err(format!("{who} sees other rows:\n{difference}")),
            },
            [Err(Blind::Aborted), Err(Blind::Aborted)] => Ok(()),
            [Err(Blind::Locked), Ok(_) | Err(Blind::Locked)] | [Ok(_), Err(Blind::Locked)] if may_be_locked => {
                self.tally.locked += 1;
                Ok(())
            }
            looks => Err(format!(
                "{who} cannot look:\n    extension: {}\n    reference: {}",
                told(&looks[0]),
                told(&looks[1])
            )),
        }
    }

    fn is_exact(&mut self, who: &str, live: Result<String, Blind>, may_be_locked: bool) -> Result<(), String> {
        match live {
            Ok(difference) if difference.is_empty() => Ok(()),
            Ok(difference) => Err(format!("client_type_sum_live is wrong for {who}:\n{difference}")),
            Err(Blind::Aborted) => Ok(()),
            Err(Blind::Locked) if may_be_locked => Ok(()),
            Err(blind) => Err(format!("{who} cannot look at client_type_sum_live: {blind}")),
        }
    }

    /// A load that fails leaves a gap in the ids, of another size than COPY: the next ids are to be the same again.
    fn same_ids(&mut self) -> Result<(), String> {
        let next = "SELECT last_value, is_called FROM operations_id_seq";
        let ours = text(&mut self.ours.watcher, next).map_err(|error| error.to_string())?;
        let reference = text(&mut self.reference.watcher, next).map_err(|error| error.to_string())?;
        if ours != reference {
            let set = format!("SELECT setval('operations_id_seq', {})", ours.replace('|', ", '") + "'");
            text(&mut self.reference.watcher, &set).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

fn second() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
