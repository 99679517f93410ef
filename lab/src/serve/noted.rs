//! The marks of the last hour. Only so many are kept.

use std::collections::VecDeque;

use super::known::{Known, now};
use crate::connect::Refusal;
use crate::marks::Mark;

/// The most that is kept.
const MARKS: usize = 300;

/// An hour, in milliseconds.
pub const HOUR: u64 = 3_600_000;

/// Adds a mark of something that was seen now.
pub fn new_mark(marks: &mut VecDeque<Mark>, kind: &str, text: &str, is_over: bool) -> Mark {
    let t = now();
    let end = is_over.then_some(t);
    let count = marks.iter().filter(|mark| mark.t == t && mark.kind == kind).count();
    let mark =
        Mark { id: format!("{kind}-{t}-{count}"), t, end, kind: kind.to_owned(), text: crate::marks::plain(text) };
    put_mark(marks, mark.clone());
    mark
}

/// Adds a mark, or what has become of one.
pub fn put_mark(marks: &mut VecDeque<Mark>, mark: Mark) {
    match marks.iter_mut().find(|known| known.id == mark.id) {
        Some(known) => *known = mark,
        None => marks.push_back(mark),
    }
    let oldest = now().saturating_sub(HOUR);
    while marks.len() > MARKS || marks.front().is_some_and(|mark| mark.end.unwrap_or(mark.t) < oldest) {
        marks.pop_front();
    }
}

/// A server that goes is marked until it is back.
pub fn mark_of_server(marks: &mut VecDeque<Mark>, known: &Known, refusal: Option<&Refusal>) -> Option<Mark> {
    // What it was until now: its name is of the beginning.
    let was = known.role.map_or_else(|| known.name.clone(), |role| role.to_string());
    let is_of_server = |text: &str| text.split(' ').nth(1) == Some(known.address.as_str());
    let open =
        marks.iter_mut().rev().find(|mark| mark.kind == "server" && mark.end.is_none() && is_of_server(&mark.text));
    match (refusal, open) {
        (Some(_), Some(_)) => None,
        (Some(refusal), None) => {
            let text = format!("{was} {} {}: {refusal}", known.address, word(refusal));
            Some(new_mark(marks, "server", &text, false))
        }
        (None, Some(open)) => {
            open.end = Some(now());
            Some(open.clone())
        }
        (None, None) => None,
    }
}

/// What a server does that does not answer.
fn word(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Down(_) => "is down",
        Refusal::Silent(_) => "says nothing",
        Refusal::NotReady(_) => "is not ready",
        Refusal::Password(_) | Refusal::Hba(_) | Refusal::Other(_) => "does not let us in",
        Refusal::Full(_) => "has no connection left",
        Refusal::Files(_) => "has lost files",
    }
}
