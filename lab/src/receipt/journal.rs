//! The file of the acknowledgements, outside the servers. It is only ever appended to.
//!
//! What the client has noted survives its death at once, and that of the machine after a second at most. What is then
//! missing is an acknowledgement: its row counts as in doubt, so nothing is taken for lost that was not.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::receipt::record::Record;
use crate::server::{Owner, open_to_read};

/// At this size a new file is begun. The one before is kept: together they have the last [`super::KEPT`] writes.
const LARGE: u64 = 16 << 20;

/// More than two files of that size are not read.
const MOST: u64 = 4 * LARGE;

/// How often the file is brought to the disk.
const SYNC: Duration = Duration::from_secs(1);

/// Sequence numbers are reserved before they are used, so many at once.
const RESERVED: u64 = 1000;

/// The file, open for the one client that notes in it.
pub struct Journal {
    folder: PathBuf,
    file: File,
    size: u64,
    synced: Instant,
    next: u64,
    reserved: u64,
}

impl Journal {
    /// Opens the file of a folder, and goes on after what is in it; `None` if another client has it.
    pub fn open(folder: &Path) -> io::Result<Option<Self>> {
        let Some((file, size)) = open_locked(folder)? else {
            return Ok(None);
        };
        let last = read(folder, &Owner::current())?.iter().map(last_sequence).max().unwrap_or(0);
        // Numbers are 63 bits wide in the table.
        if last >= u64::MAX >> 2 {
            return Err(io::Error::other(format!("the number {last} in the receipt's file leaves none for more rows")));
        }
        let mut journal =
            Self { folder: folder.to_owned(), file, size, synced: Instant::now(), next: last + 1, reserved: last };
        // What a crash has torn ends here.
        journal.append("\n")?;
        Ok(Some(journal))
    }

    /// Notes something.
    pub fn note(&mut self, record: &Record) -> io::Result<()> {
        self.append(&record.line())?;
        if self.synced.elapsed() >= SYNC {
            self.sync()?;
        }
        Ok(())
    }

    /// The next number, which is noted as one that may be sent.
    pub fn number(&mut self) -> io::Result<u64> {
        if self.next > self.reserved {
            if self.size > LARGE {
                self.begin_another()?;
            }
            self.reserved = self.next + RESERVED - 1;
            self.append(&Record::Reserve(self.next, self.reserved).line())?;
            self.sync()?;
        }
        self.next += 1;
        Ok(self.next - 1)
    }

    /// Numbers that are there and were noted in another file, which is lost, are not given again.
    pub fn go_past(&mut self, last: u64) {
        if last > self.reserved && last < u64::MAX >> 2 {
            (self.next, self.reserved) = (last + 1, last);
        }
    }

    /// Brings all that is noted to the disk.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.synced = Instant::now();
        Ok(())
    }

    fn append(&mut self, text: &str) -> io::Result<()> {
        self.file.write_all(text.as_bytes())?;
        self.size += text.len() as u64;
        Ok(())
    }

    fn begin_another(&mut self) -> io::Result<()> {
        self.sync()?;
        std::fs::rename(current(&self.folder), earlier(&self.folder))?;
        let Some((file, size)) = open_locked(&self.folder)? else {
            return Err(io::Error::other("another client has made a new file"));
        };
        File::open(&self.folder)?.sync_all()?;
        (self.file, self.size) = (file, size);
        Ok(())
    }
}

/// All that is noted in a folder, the oldest first; nothing where there is no file.
pub fn read(folder: &Path, owner: &Owner) -> io::Result<Vec<Record>> {
    let text = |path: PathBuf| {
        let text = owner.files(|| {
            let mut text = Vec::new();
            open_to_read(&path)?.take(MOST).read_to_end(&mut text)?;
            Ok(text)
        });
        match text {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            other => other,
        }
    };
    loop {
        let before = text(earlier(folder))?;
        let now = text(current(folder))?;
        // A new file may have been begun in between.
        if text(earlier(folder))?.len() == before.len() {
            let lines = [before, now].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            return Ok(lines.iter().flat_map(|text| whole_lines(text)).filter_map(Record::parse).collect());
        }
    }
}

/// The last line may still be in the writing.
fn whole_lines(text: &str) -> impl Iterator<Item = &str> {
    let end = text.rfind('\n').map_or(0, |end| end + 1);
    text[..end].lines()
}

/// The highest number in a note.
fn last_sequence(record: &Record) -> u64 {
    match record {
        Record::Reserve(_, sequence) | Record::Doubt(sequence, _) | Record::Refused(sequence, _) => *sequence,
        Record::Ack(ack) => ack.sequence,
        Record::Start(_) | Record::Stop(_) | Record::Down(..) => 0,
    }
}

fn open_locked(folder: &Path) -> io::Result<Option<(File, u64)>> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(current(folder))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    let size = file.metadata()?.len();
    Ok(Some((file, size)))
}

fn current(folder: &Path) -> PathBuf {
    folder.join("acknowledged")
}

fn earlier(folder: &Path) -> PathBuf {
    folder.join("acknowledged.1")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;
    use crate::moment::Moment;

    fn read_all(folder: &Path) -> Vec<Record> {
        read(folder, &Owner::current()).unwrap()
    }

    #[test]
    fn a_restart_appends_and_takes_new_numbers() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read_all(folder.path()).is_empty());
        let mut journal = Journal::open(folder.path()).unwrap().unwrap();
        assert!(Journal::open(folder.path()).unwrap().is_none(), "two clients");
        assert_eq!((journal.number().unwrap(), journal.number().unwrap()), (1, 2));
        drop(journal);
        let mut journal = Journal::open(folder.path()).unwrap().unwrap();
        assert_eq!(journal.number().unwrap(), 1001);
        assert_eq!(read_all(folder.path()), [Record::Reserve(1, 1000), Record::Reserve(1001, 2000)]);
    }

    #[test]
    fn numbers_of_a_file_that_is_lost_are_not_given_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path()).unwrap().unwrap();
        journal.go_past(4711);
        assert_eq!(journal.number().unwrap(), 4712);
        // Those of this file are its own.
        journal.go_past(5000);
        assert_eq!(journal.number().unwrap(), 4713);
        assert_eq!(read_all(folder.path()), [Record::Reserve(4712, 5711)]);
    }

    #[test]
    fn a_number_that_leaves_no_more_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("acknowledged"), format!("reserve 1 {} .\n", u64::MAX)).unwrap();
        let refused = Journal::open(folder.path()).map(drop).unwrap_err().to_string();
        assert!(refused.contains("leaves none for more rows"), "{refused}");
    }

    #[test]
    fn a_torn_last_line_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("acknowledged");
        std::fs::write(&file, "reserve 1 1000 .\ndoubt 7 1 1 .\ndoubt 8 1").unwrap();
        assert_eq!(read_all(folder.path()).len(), 2);
        let mut journal = Journal::open(folder.path()).unwrap().unwrap();
        journal.note(&Record::Start(Moment { clock: 5, uptime: 6 })).unwrap();
        let expected = [
            Record::Reserve(1, 1000),
            Record::Doubt(7, Moment { clock: 1, uptime: 1 }),
            Record::Start(Moment { clock: 5, uptime: 6 }),
        ];
        assert_eq!(read_all(folder.path()), expected);
    }

    #[test]
    fn the_file_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path()).unwrap().unwrap();
        let record = Record::Down(Moment::default(), "x".repeat(1 << 20));
        for _ in 0..3 {
            for _ in 0..17 {
                journal.note(&record).unwrap();
            }
            while journal.next <= journal.reserved {
                journal.number().unwrap();
            }
            journal.number().unwrap();
        }
        let names = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 2);
        assert!(read_all(folder.path()).len() >= 17);
        assert!(Journal::open(folder.path()).unwrap().is_none(), "the new file is not locked");
    }
}
