//! What is done to a demo, noted beside its data for who watches it: drills, failovers and loads, a line of JSON each.

use std::io::{self, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::demo::Layout;
use crate::moment::Moment;
use crate::server::open_to_append;

/// A file that has grown beyond this is begun anew.
const LARGE: u64 = 128 * 1024;

/// Something that was done. The same id again: what has become of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Which one.
    pub id: String,
    /// When it began, in milliseconds since 1970.
    pub t: u64,
    /// When it ended.
    pub end: Option<u64>,
    /// `drill`, `failover` or `load`; of what is seen, `verdict`, `role`, `server` or `load`, too.
    pub kind: String,
    /// What it was, in one line.
    pub text: String,
}

/// The file.
pub(crate) fn file(layout: &Layout) -> PathBuf {
    layout.folder.join("marks")
}

/// A mark whose end is noted when this goes.
pub(crate) struct Open {
    layout: Layout,
    mark: Mark,
}

impl Open {
    /// Notes that something begins.
    pub fn begin(layout: &Layout, kind: &str, text: &str) -> Self {
        let t = Moment::now().clock;
        let id = format!("{kind}-{t}");
        let mark = Mark { id, t, end: None, kind: kind.to_owned(), text: text.to_owned() };
        note(layout, &mark);
        Self { layout: layout.clone(), mark }
    }

    /// What has become of it.
    pub fn ends_with(&mut self, text: &str) {
        text.clone_into(&mut self.mark.text);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.mark.end = Some(Moment::now().clock);
        note(&self.layout, &self.mark);
    }
}

/// What is noted as begun last, and goes on.
pub(crate) fn open(layout: &Layout, kind: &str) -> Option<String> {
    let marks = parse(&layout.owner.read(&file(layout)).ok()?);
    marks.into_iter().rfind(|mark| mark.kind == kind).filter(|mark| mark.end.is_none()).map(|mark| mark.text)
}

/// The page is no reason for a drill to fail.
fn note(layout: &Layout, mark: &Mark) {
    let _ = append(layout, mark);
}

fn append(layout: &Layout, mark: &Mark) -> io::Result<()> {
    let (path, line) = (file(layout), serde_json::to_string(mark)? + "\n");
    layout.owner.files(|| {
        let mut file = open_to_append(&path, 0o644)?;
        if file.metadata()?.len() > LARGE {
            file.set_len(0)?;
        }
        file.write_all(line.as_bytes())
    })
}

/// The marks of a text, of which the server's user may have written any line.
pub(crate) fn parse(text: &str) -> Vec<Mark> {
    let line = |line: &str| {
        let mut mark: Mark = serde_json::from_str(line).ok()?;
        let is_known = ["drill", "failover", "load"].contains(&mark.kind.as_str());
        mark.text = plain(&mark.text);
        mark.id = plain(&mark.id);
        is_known.then_some(mark)
    };
    text.lines().filter_map(line).collect()
}

/// One line of at most 300 characters.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(300).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn begin_and_end_are_noted() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::of_its_owner(folder.path());
        let mut open = Open::begin(&layout, "drill", "replay-paused");
        let begun = parse(&std::fs::read_to_string(file(&layout)).unwrap());
        assert_eq!((begun.len(), begun[0].end, begun[0].text.as_str()), (1, None, "replay-paused"));
        assert_eq!(super::open(&layout, "drill").as_deref(), Some("replay-paused"));
        open.ends_with("replay-paused: passed");
        drop(open);
        let ended = parse(&std::fs::read_to_string(file(&layout)).unwrap());
        assert_eq!((ended.len(), ended[1].text.as_str()), (2, "replay-paused: passed"));
        assert!(ended[1].id == begun[0].id && ended[1].end.is_some());
        assert_eq!(super::open(&layout, "drill"), None);
    }

    #[test]
    fn what_is_no_mark_is_passed_over() {
        let long = "x".repeat(1000);
        let text = format!(
            "nonsense\n{{\"id\":\"a\",\"t\":1,\"end\":null,\"kind\":\"verdict\",\"text\":\"\"}}\n\
             {{\"id\":\"b\\n\",\"t\":1,\"end\":null,\"kind\":\"drill\",\"text\":\"{long}\"}}\n{{\"id\":"
        );
        let marks = parse(&text);
        assert_eq!((marks.len(), marks[0].id.as_str(), marks[0].text.len()), (1, "b ", 300));
    }
}
