//! The rows that only an old primary has: found and written to a file before pg_rewind takes them back.
//!
//! The WAL after the point where the new primary left the timeline names each transaction that committed on the old primary
//! only. The old primary is opened as a replica of nobody, so it can write nothing, on a socket that only its owner can
//! reach. What those transactions have inserted or changed is read there, by the xmin of the rows, and compared with the new
//! primary.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postgres::{Client, NoTls};

use super::sql::{self, Table};
use crate::connect::guarded;
use crate::demo::{Demo, Programs, folders, timeline_of_wal};
use crate::error::{Context, DemoError, Error, FailoverError};
use crate::lsn::Lsn;
use crate::role::Role;
use crate::say::say;
use crate::server::{Stop, try_wait, value};

/// How long the old primary may take to replay its WAL.
const REPLAY: Duration = Duration::from_secs(600);

/// The folder with them.
const KEPT: &str = "kept";

/// Rows that were kept aside.
#[derive(Debug, Default)]
pub struct KeptRows {
    /// Where the new primary left the timeline of the old one.
    fork: Option<(u32, Lsn)>,
    /// How many transactions committed after that.
    transactions: usize,
    /// The tables that have rows of them, and how many.
    tables: Vec<(String, u64, String)>,
    /// The files, and who owns the tables whose rows are in them.
    files: Vec<(String, PathBuf)>,
    /// The tables of others that were not read, for nothing of them was written after the fork.
    not_read: usize,
}

impl KeptRows {
    /// Looks for such rows in the replica's data, whose server does not run.
    pub fn keep(demo: &Demo, programs: &Programs) -> Result<Self, Error> {
        let data = demo.layout.data(Role::Replica);
        let Some(timeline) = timeline_of_wal(data.path(), &demo.layout.owner) else {
            return match demo.layout.owner.files(|| std::fs::symlink_metadata(data.path())) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
                _ => Err(demo.rows_not_told("its control file or its WAL cannot be read".to_owned())),
            };
        };
        let Some(fork) =
            fork(timeline, &demo.replica_history(timeline)?, demo.primary_timeline()?, &demo.primary_history()?)
                .map_err(|why| demo.rows_not_told(why))?
        else {
            return Ok(Self::default());
        };
        let mut kept = Self { fork: Some(fork), ..Self::default() };
        let found = demo.start_isolated(programs, timeline).and_then(|()| kept.read(demo, programs));
        let stopped = demo.layout.data(Role::Replica).stop(Stop::Fast, crate::server::LIMIT);
        found?;
        stopped?;
        Ok(kept)
    }

    /// Says what was found, and how it is loaded.
    pub fn say(&self, demo: &Demo) {
        self.lines(demo).iter().for_each(|line| say(line));
    }

    /// The same as lines.
    pub fn lines(&self, demo: &Demo) -> Vec<String> {
        let Some((timeline, end)) = self.fork else {
            return Vec::new();
        };
        let what = match self.transactions {
            0 => "nothing was committed".to_owned(),
            count => format!("{count} transactions were committed"),
        };
        let mut lines = vec![format!("    on timeline {timeline}, {what} after {end}, where the new primary left it")];
        for (table, rows, some) in &self.tables {
            lines.push(format!("    {table:<28} {rows} rows that only it has{some}"));
        }
        for (owner, file) in &self.files {
            let file = demo.layout.for_others(file);
            let how = match *owner == demo.settings.user {
                true => "make psql".to_owned(),
                false => format!("psql, as their owner {owner},"),
            };
            lines.push(match demo.layout.in_containers {
                false => format!("    they are kept in {0}; to load them: {how} <{0}", file.display()),
                true => format!(
                    "    they are kept in {0} of the container lab; to load them: {how} --file {0}",
                    file.display()
                ),
            });
        }
        if self.not_read > 0 {
            let count = self.not_read;
            lines.push(format!(
                "    not read: {count} tables of roles that are no superusers; nothing was written to them after it"
            ));
        }
        if self.transactions > 0 && self.files.is_empty() {
            lines.push(format!(
                "    they left no row in database {} that the new primary lacks; deletions, changes and other databases were not \
                 looked at",
                demo.settings.database
            ));
        }
        lines
    }

    fn read(&mut self, demo: &Demo, programs: &Programs) -> Result<(), Error> {
        let mut old = demo.isolated_config().connect(NoTls)?;
        let Some((timeline, end)) = self.fork else {
            return Ok(());
        };
        let last = replayed(&mut old)?;
        if last <= end {
            return Ok(());
        }
        let transactions = demo.transactions_after(programs, (timeline, end, last))?;
        self.transactions = transactions.len();
        if transactions.is_empty() {
            return Ok(());
        }
        let mut new = guarded(demo.target(Role::Primary).config(), "").connect(NoTls)?;
        // What a table's owner has put on it runs as whoever reads it.
        let (strange, tables): (Vec<_>, Vec<_>) =
            sql::tables(&mut old)?.into_iter().partition(|table| !table.strangers.is_empty());
        for table in &strange {
            if demo.is_written(programs, table, &transactions, (timeline, end, last))? {
                let of = table.strangers.join(", ");
                let why = format!("{} was written to, and is not read as a superuser: it belongs to {of}", table.name);
                return Err(demo.rows_not_told(why));
            }
        }
        self.not_read = strange.len();
        // What a table's owner has put on it runs as whoever loads the rows: those of each owner are a file.
        let mut scripts = BTreeMap::<String, Vec<u8>>::new();
        for table in tables {
            let Some((rows, some)) = table.only_there(&mut old, &mut new, &transactions)? else {
                let why = format!("{} is a view there, or belongs to a role that is no superuser", table.name);
                return Err(demo.rows_not_told(format!("it cannot be compared with the new primary: {why}")));
            };
            if rows.is_empty() {
                continue;
            }
            let script = scripts.entry(table.owner.clone()).or_default();
            script.extend_from_slice(table.before().as_bytes());
            copy(&mut old, &table.copy(&rows), script)?;
            script.extend_from_slice(table.after().as_bytes());
            self.tables.push((table.name, rows.len() as u64, some));
        }
        let ours = scripts.remove_entry(&demo.settings.user);
        for (owner, script) in ours.into_iter().chain(scripts) {
            let file = self.write(demo, &script)?;
            self.files.push((owner, file));
        }
        Ok(())
    }

    fn write(&self, demo: &Demo, script: &[u8]) -> Result<PathBuf, Error> {
        let (folder, owner) = (demo.layout.folder.join(KEPT), &demo.layout.owner);
        folders::owned_folder(&folder, owner)?;
        let (timeline, end) = self.fork.unwrap_or((0, Lsn(0)));
        let name = format!("timeline{timeline}-{:X}-{:X}", end.0 >> 32, end.0 & 0xFFFF_FFFF);
        let mut file = folder.join(format!("{name}.sql"));
        // Another owner's, or those of another try.
        for number in 2.. {
            if owner.files(|| std::fs::symlink_metadata(&file)).is_err() {
                break;
            }
            file = folder.join(format!("{name}.{number}.sql"));
        }
        let whole = [sql::HEAD.as_bytes(), script, sql::FOOT.as_bytes()].concat();
        owner
            .write(&file, &whole, true)
            .and_then(|()| demo.sync(&file))
            .context(|| format!("write {}", file.display()))?;
        Ok(file)
    }
}

/// Where rows are that only an old primary had, and how they are loaded: the end of a sentence.
#[must_use]
pub fn where_kept(demo: &Demo) -> String {
    let layout = &demo.layout;
    if !layout.in_containers && demo.replicas().iter().any(|one| one.layout.has_old_primary()) {
        let folder = layout.folder.join(KEPT);
        return format!("is still there, or in {}: make rejoin keeps it there and names the file", folder.display());
    }
    let folders: Vec<_> = match layout.in_containers {
        false => vec![layout.folder.join(KEPT)],
        true => layout.nodes.iter().filter_map(|node| Some(node.data.parent()?.join(KEPT))).collect(),
    };
    let in_folder = |folder: &PathBuf| -> std::io::Result<Vec<_>> {
        let entries = std::fs::read_dir(folder)?.flatten();
        let files = entries.filter(|entry| entry.path().extension() == Some("sql".as_ref()));
        Ok(files.filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()))).collect())
    };
    let files = folders.iter().flat_map(|folder| layout.owner.files(|| in_folder(folder)).unwrap_or_default());
    let newest = files.max().map(|(_, file)| file);
    let Some((folder, file)) = newest.as_deref().and_then(|file| Some((file.parent()?, file))) else {
        let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        return format!("is in no file: there is none in {}", folders.join(" and "));
    };
    match layout.in_containers {
        false => format!("is kept in {0}; to load the newest file: make psql <{1}", folder.display(), file.display()),
        true => format!(
            "is kept in {0} of the container lab; to load the newest file: psql --file {1}",
            folder.display(),
            file.display()
        ),
    }
}

/// Where the primary's history has left the timeline that the old primary was on: nothing if that is the primary's own. Both
/// must have come to that timeline in the same way, for two servers may have given the same number to different ones.
fn fork(
    timeline: u32,
    history: &[(u32, Lsn)],
    primary: u32,
    primary_history: &[(u32, Lsn)],
) -> Result<Option<(u32, Lsn)>, String> {
    let left = primary_history.iter().position(|(earlier, _)| *earlier == timeline);
    let common = match left {
        Some(index) => &primary_history[..index],
        None if timeline == primary => primary_history,
        None => return Err(format!("the new primary never knew timeline {timeline}")),
    };
    match common == history {
        true => Ok(left.map(|index| primary_history[index])),
        false => Err(format!("its timeline {timeline} is another one than that of the new primary")),
    }
}

/// Where the WAL of a server that is alone ends. It takes sessions before it has replayed all of it, if an earlier start was
/// cut short.
fn replayed(alone: &mut Client) -> Result<Lsn, Error> {
    let query = "\
        SELECT coalesce(wait_event, '') || ' ' || pg_last_wal_replay_lsn() FROM pg_stat_activity \
        WHERE backend_type = 'startup'";
    try_wait("the old primary to replay its WAL", REPLAY, || {
        let state: String = value(alone, query).map_err(|error| error.to_string())?;
        match state.split_once(' ') {
            // It looks for more every second, and there is none.
            Some(("RecoveryRetrieveRetryInterval" | "RecoveryWalStream", last)) => {
                last.parse::<Lsn>().map_err(|error| error.to_string())
            }
            _ => Err(state),
        }
    })
}

fn copy(session: &mut Client, statement: &str, to: &mut Vec<u8>) -> Result<(), Error> {
    let refused = |source| Error::Statement { statement: statement.chars().take(300).collect(), source };
    let mut reader = session.copy_out(statement).map_err(refused)?;
    reader.read_to_end(to).context(|| "read the rows of the old primary".to_owned())?;
    Ok(())
}

impl Demo {
    pub(super) fn rows_not_told(&self, why: String) -> Error {
        FailoverError::RowsNotTold { data: self.layout.data(Role::Replica).path().to_owned(), why }.into()
    }

    fn primary_timeline(&self) -> Result<u32, Error> {
        let query = "select ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int";
        let answer = self.ask_primary(query)?;
        answer.parse().map_err(|_| Error::Demo(DemoError::NoAnswer { server: Role::Primary, why: answer }))
    }

    /// Where the old primary came from.
    fn replica_history(&self, timeline: u32) -> Result<Vec<(u32, Lsn)>, Error> {
        if timeline == 1 {
            return Ok(Vec::new());
        }
        let file = self.layout.data(Role::Replica).path().join(format!("pg_wal/{timeline:08X}.history"));
        let text = self.layout.owner.read(&file);
        let text = text.map_err(|error| self.rows_not_told(format!("{}: {error}", file.display())))?;
        Ok(crate::doctor::parse_history(&text))
    }

    /// Where the primary's history left each of its earlier timelines.
    fn primary_history(&self) -> Result<Vec<(u32, Lsn)>, Error> {
        let timeline = self.primary_timeline()?;
        let mut session = guarded(self.target(Role::Primary).config(), "").connect(NoTls)?;
        Ok(if timeline > 1 { crate::doctor::history(&mut session, timeline) } else { Vec::new() })
    }

    /// The transactions that committed on the old primary after a position, and their subtransactions.
    fn transactions_after(&self, programs: &Programs, wal: Range) -> Result<BTreeSet<u32>, Error> {
        Ok(sql::committed(&self.dump(programs, wal, &["--rmgr", "Transaction"])?))
    }

    /// Whether a table that is not read has got rows, or another file, after a position.
    fn is_written(
        &self,
        programs: &Programs,
        table: &Table,
        transactions: &BTreeSet<u32>,
        wal: Range,
    ) -> Result<bool, Error> {
        if table.entries.iter().any(|xid| transactions.contains(xid)) {
            return Ok(true);
        }
        for file in &table.files {
            let rows = ["--rmgr", "Heap", "--rmgr", "Heap2", "--relation", file];
            if self.dump(programs, wal, &rows)?.contains("rmgr: Heap") {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What pg_waldump prints of a part of the old primary's WAL. It fails unless it has read all of it.
    fn dump(&self, programs: &Programs, (timeline, from, to): Range, what: &[&str]) -> Result<String, Error> {
        let wal = self.layout.data(Role::Replica).path().join("pg_wal");
        let mut dump = programs.command("pg_waldump");
        dump.arg("--path").arg(&wal).args(what).args(["--timeline", &timeline.to_string()]);
        dump.args(["--start", &from.to_string(), "--end", &to.to_string()]);
        // Without them pg_waldump learns the size of segments from whichever it finds first, and one that waits to be used is empty.
        let last = Lsn(to.0.saturating_sub(1).max(from.0));
        for position in [from, last] {
            dump.args(self.layout.owner.files(|| segment_of(&wal, timeline, position)).ok().flatten());
        }
        let dumped = self.run_as_owner(dump)?;
        if dumped.is_success() {
            return Ok(dumped.stdout);
        }
        let why = dumped.stderr.lines().last().unwrap_or("pg_waldump failed").to_owned();
        Err(self.rows_not_told(format!("its WAL from {from} to {to} cannot be read ({why})")))
    }
}

/// The name of the segment that holds a position. All segments in a folder are of one size.
fn segment_of(wal: &Path, timeline: u32, position: Lsn) -> std::io::Result<Option<String>> {
    for entry in std::fs::read_dir(wal)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.len() != 24 || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            continue;
        }
        let size = entry.metadata()?.len();
        if size.is_power_of_two() && (1 << 20..=1 << 30).contains(&size) {
            let (number, in_a_file) = (position.0 / size, (1_u64 << 32) / size);
            return Ok(Some(format!("{timeline:08X}{:08X}{:08X}", number / in_a_file, number % in_a_file)));
        }
    }
    Ok(None)
}

/// A part of the WAL: the timeline, from where and to where.
type Range = (u32, Lsn, Lsn);

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_in_a_segment() {
        let folder = tempfile::tempdir().unwrap();
        let segment = |timeline, position| segment_of(folder.path(), timeline, Lsn(position)).unwrap();
        assert_eq!(segment(1, 0), None);
        let file = std::fs::File::create(folder.path().join("000000030000000000000007")).unwrap();
        file.set_len(1 << 24).unwrap();
        assert_eq!(segment(3, 0x50D_F5D8).as_deref(), Some("000000030000000000000005"));
        assert_eq!(segment(2, 0x1_0200_0000).as_deref(), Some("000000020000000100000002"));
        file.set_len(1 << 30).unwrap();
        assert_eq!(segment(3, 0x1_4000_0001).as_deref(), Some("000000030000000100000001"));
    }

    #[test]
    fn the_fork_is_proved_or_refused() {
        let history = [(1, Lsn(10)), (2, Lsn(20))];
        assert_eq!(fork(2, &history[..1], 3, &history), Ok(Some((2, Lsn(20)))));
        assert_eq!(fork(1, &[], 3, &history), Ok(Some((1, Lsn(10)))));
        assert_eq!(fork(3, &history, 3, &history), Ok(None));
        assert_eq!(fork(1, &[], 1, &[]), Ok(None));
        // Newer than the primary's, or of the same number from another point.
        assert!(fork(4, &history, 3, &history).is_err());
        assert!(fork(2, &[(1, Lsn(11))], 3, &history).is_err());
        assert!(fork(3, &[(1, Lsn(10)), (2, Lsn(21))], 3, &history).is_err());
        assert!(fork(2, &[], 3, &history).is_err());
    }
}
