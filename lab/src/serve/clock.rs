//! What is done by the clock: a sample of all series every two seconds, and a look at what others have noted beside the demo.

use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::draw;
use super::known::now;
use super::ring::STEP;
use super::store::{LATER, Store};
use crate::marks;
use crate::server::open_to_read;

/// Every so many samples the state is told, and a line that keeps connections open.
const STATE_EVERY: u64 = 5;

/// How often it is looked whether something was noted.
const NOTES: Duration = Duration::from_millis(250);

/// More than this is not noted between two looks.
const MOST: u64 = 1 << 20;

/// Nothing that is noted takes longer, in milliseconds.
const OPEN: u64 = 1_800_000;

/// Tells for ever what drills and failovers note in a file. The doctor is to see what they do, which may be over in a second.
pub async fn follow(store: Arc<Store>, marks: PathBuf) {
    let mut notes = Notes::of(marks);
    loop {
        let new = notes.read();
        if !new.is_empty() {
            new.into_iter().for_each(|mark| store.mark(mark));
            store.look.notify_one();
        }
        sleep(NOTES).await;
    }
}

/// Samples for ever.
pub async fn tick(store: Arc<Store>) {
    let mut ticks = interval(Duration::from_millis(STEP));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut count = 0;
    loop {
        ticks.tick().await;
        count += 1;
        let (time, sample) = {
            let (time, mut inner) = (now(), store.lock());
            let values = draw::values(&mut inner);
            inner.ring.push(time, &values);
            inner.history = None;
            (time, values)
        };
        if store.events.receiver_count() == 0 {
            continue;
        }
        store.send("sample", &draw::sample(time, &sample));
        if count % STATE_EVERY == 0 {
            store.tell_state();
            // Nobody may be there any more.
            let _ = store.events.send(Bytes::from_static(b": still here\n\n"));
        }
    }
}

/// The file of marks, as far as it was read. Whoever runs the servers may have written anything there.
struct Notes {
    file: PathBuf,
    read: u64,
    size: u64,
}

impl Notes {
    fn of(file: PathBuf) -> Self {
        Self { file, read: 0, size: 0 }
    }

    /// The whole lines that were added. A file that is shorter than before was begun anew.
    fn read(&mut self) -> Vec<marks::Mark> {
        let size = std::fs::metadata(&self.file).map_or(0, |found| found.len());
        if size == self.size {
            return Vec::new();
        }
        if size < self.size {
            self.read = 0;
        }
        self.size = size;
        // So much is never noted between two looks: what is before the last of it is no marks.
        self.read = self.read.max(size.saturating_sub(MOST));
        let bytes = self.added().unwrap_or_default();
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.read += end as u64;
        believed(marks::parse(&String::from_utf8_lossy(&bytes[..end])), now())
    }

    fn added(&self) -> std::io::Result<Vec<u8>> {
        let mut file = open_to_read(&self.file)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        file.take(MOST).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The marks of the last hour. None is of the future, and none stays open whose end nobody noted.
fn believed(mut marks: Vec<marks::Mark>, now: u64) -> Vec<marks::Mark> {
    let (hour, latest) = (now.saturating_sub(3_600_000), now + LATER);
    marks.retain(|mark| mark.t <= latest && mark.end.is_none_or(|end| end <= latest));
    for mark in &mut marks {
        if mark.end.is_none() && mark.t + OPEN < now {
            mark.end = Some(mark.t + OPEN);
        }
    }
    marks.retain(|mark| mark.end.unwrap_or(mark.t) > hour);
    marks
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use super::*;

    fn mark(id: &str, t: u64, end: Option<u64>) -> marks::Mark {
        marks::Mark { id: id.to_owned(), t, end, kind: "drill".to_owned(), text: String::new() }
    }

    fn ids(marks: &[marks::Mark]) -> Vec<&str> {
        marks.iter().map(|mark| mark.id.as_str()).collect()
    }

    #[test]
    fn a_line_that_never_ends_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("marks");
        let mut notes = Notes::of(path.clone());
        assert!(notes.read().is_empty());
        let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        let line = |id| serde_json::to_string(&mark(id, now(), None)).unwrap() + "\n";
        file.write_all(line("a").as_bytes()).unwrap();
        assert_eq!(ids(&notes.read()), ["a"]);
        assert!(notes.read().is_empty());
        for _ in 0..5 {
            file.write_all(&vec![b'x'; 1 << 20]).unwrap();
            assert!(notes.read().is_empty());
        }
        file.write_all(format!("\n{}", line("b")).as_bytes()).unwrap();
        assert_eq!(ids(&notes.read()), ["b"]);
        // Half a line waits for its end.
        let (half, rest) = (&line("c")[..10], &line("c")[10..]);
        file.write_all(half.as_bytes()).unwrap();
        assert!(notes.read().is_empty());
        file.write_all(rest.as_bytes()).unwrap();
        assert_eq!(ids(&notes.read()), ["c"]);
        file.set_len(0).unwrap();
        assert!(notes.read().is_empty());
        file.write_all(line("d").as_bytes()).unwrap();
        assert_eq!(ids(&notes.read()), ["d"]);
    }

    #[test]
    fn no_mark_is_of_the_future_or_open_for_ever() {
        let now = 100_000_000_000;
        let given = vec![
            mark("future", now + 60_000, None),
            mark("far", u64::MAX, None),
            mark("ends in the future", now, Some(u64::MAX)),
            mark("old", now - 4_000_000, Some(now - 3_900_000)),
            mark("killed", now - 2_000_000, None),
            mark("open", now - 1000, None),
            mark("over", now - 2000, Some(now - 1000)),
        ];
        let believed = believed(given, now);
        assert_eq!(ids(&believed), ["killed", "open", "over"]);
        assert_eq!(
            believed.iter().map(|mark| mark.end).collect::<Vec<_>>(),
            [Some(now - 200_000), None, Some(now - 1000)]
        );
    }
}
