//! Files that a load leaves behind if the server crashes in the middle of it.
//!
//! PostgreSQL removes what a transaction made when it aborts, but of one that ended with the server it knows nothing any more.
//! So a load writes a note, a file in the data directory, of the files that it makes, before there is much in them. When it
//! has committed and that is on the disk, the note goes. The next load, and the daily maintenance, removes the files that are in a
//! note whose transaction has ended (a prepared one has not) and that no relation has: here and, through the WAL, on replicas.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use pgrx::datum::DatumWithOid;
use pgrx::{Spi, log, pg_sys};

use crate::error::Error;
use crate::pg::catalog::RelationOid;
use crate::pg::relation_files::{self, RelationFile};
use crate::pg::session::{self, Settings};
use crate::pg::{at_commit, durable, wal};

const FILES: &str = include_str!("sql/files.sql");
const IS_RUNNING: &str = include_str!("sql/is_running.sql");
const ORPHANS: &str = include_str!("sql/orphans.sql");

/// A note has this name, the OID of the database and the xid.
const NAME: &str = "operations_ext.load";

/// The files of relations, and those of their indexes and TOAST tables.
pub fn files_of(relations: Vec<RelationOid>) -> Result<Vec<RelationFile>, Error> {
    if relations.is_empty() {
        return Ok(Vec::new());
    }
    let _settings = Settings::safe_search_path();
    let oids: Vec<_> = relations.into_iter().map(RelationOid::oid).collect();
    files(FILES, &[DatumWithOid::from(oids)])
}

/// Notes that the current transaction has made these files.
///
/// # Errors
///
/// [`Error::Note`] if that cannot be written.
pub fn note(files: &[RelationFile]) -> Result<(), Error> {
    if files.is_empty() {
        return Ok(());
    }
    let path = PathBuf::from(format!("{NAME}.{}.{}", session::database(), session::full_xid()));
    let lines: String = files.iter().map(|file| format!("{} {}\n", file.tablespace, file.relfilenumber)).collect();
    // Or a server that crashes now might give these relfilenumbers, or the xid, to somebody else.
    wal::flush();
    let mut options = OpenOptions::new();
    let file = options.append(true).create(true).mode(0o600).open(&path);
    file.and_then(|mut file| file.write_all(lines.as_bytes())).map_err(Error::Note)?;
    durable::sync(&path);
    at_commit::remove_file(path);
    Ok(())
}

/// Removes, when the current transaction commits, what crashes have left behind. In a subtransaction it does nothing: whoever
/// asks next will.
///
/// # Errors
///
/// [`Error::Note`] if the data directory cannot be read.
pub fn remove() -> Result<(), Error> {
    if session::is_in_subtransaction() {
        return Ok(());
    }
    let _settings = Settings::safe_search_path();
    for (path, transaction) in notes().map_err(Error::Note)? {
        let is_running = Spi::get_one_with_args(IS_RUNNING, &[DatumWithOid::from(transaction)])?.unwrap_or(true);
        if is_running {
            continue;
        }
        // What the transaction did is to be seen by now, if it has committed.
        let (tablespaces, relfilenumbers): (Vec<_>, Vec<_>) =
            read(&path).into_iter().map(|file| (file.tablespace, file.relfilenumber)).unzip();
        let mut orphans = files(ORPHANS, &[DatumWithOid::from(tablespaces), DatumWithOid::from(relfilenumbers)])?;
        orphans.retain(RelationFile::exists);
        if !orphans.is_empty() {
            log!("removing {} files that a load has left behind in a crash", orphans.len());
        }
        #[expect(unsafe_code, reason = "it vouches for it that nobody has the files")]
        // SAFETY: the transaction that made them has ended, and by the catalogs as they are now no relation has them; no other
        // gets a number that a file has. No subtransaction is open.
        unsafe {
            relation_files::remove_at_commit(&orphans);
        }
        // The transaction that wrote the note may have committed without waiting for the disk: this one, which comes after
        // it in the log, waits.
        at_commit::wait_for_disk();
        at_commit::remove_file(path);
    }
    Ok(())
}

/// The notes of this database, and the transactions that they are of.
fn notes() -> io::Result<Vec<(PathBuf, String)>> {
    let start = format!("{NAME}.{}.", session::database());
    let mut notes = Vec::new();
    for entry in fs::read_dir(".")? {
        let name = entry?.file_name();
        let transaction = name.to_str().and_then(|name| name.strip_prefix(&start));
        if let Some(transaction) = transaction.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())) {
            notes.push((PathBuf::from(&name), transaction.to_owned()));
        }
    }
    Ok(notes)
}

/// The files in a note, without a line that a crash has cut short. A note that is gone has none.
fn read(path: &Path) -> Vec<RelationFile> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let file = |line: &str| {
        let (tablespace, relfilenumber) = line.split_once(' ')?;
        let (tablespace, relfilenumber) = (tablespace.parse::<u32>().ok()?, relfilenumber.parse::<u32>().ok()?);
        Some(RelationFile { tablespace: tablespace.into(), relfilenumber: relfilenumber.into() })
    };
    lines.filter_map(file).collect()
}

/// What a query answers whose columns are a tablespace and a relfilenumber.
fn files(query: &str, arguments: &[DatumWithOid<'_>]) -> Result<Vec<RelationFile>, Error> {
    Ok(Spi::connect(|client| {
        client
            .select(query, None, arguments)?
            .map(|row| {
                let (tablespace, relfilenumber) = (row.get::<pg_sys::Oid>(1)?, row.get::<pg_sys::Oid>(2)?);
                Ok(tablespace
                    .zip(relfilenumber)
                    .map(|(tablespace, relfilenumber)| RelationFile { tablespace, relfilenumber }))
            })
            .filter_map(Result::transpose)
            .collect::<Result<Vec<_>, pgrx::spi::Error>>()
    })?)
}
