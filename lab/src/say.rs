//! What is said to whoever runs the program. A reader that went away, as of `| head`, is no error.
//!
//! Much of it was written by others: servers, their logs, roles by their names. None of that may move the cursor of a terminal.

use std::borrow::Cow;
use std::io::Write;

use crate::compose::{are_containers, typed};

/// A line on standard output.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{}", plain(&here(line)));
}

/// A line on standard error.
pub fn warn(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", plain(&here(line)));
}

/// The text with the commands that can be typed where this runs.
fn here(text: &str) -> Cow<'_, str> {
    if are_containers() { typed(text).into() } else { text.into() }
}

/// The text with its control characters written out, but for ends of lines and tabs.
fn plain(text: &str) -> Cow<'_, str> {
    let is_plain = |character: char| !character.is_control() || matches!(character, '\n' | '\t');
    if text.chars().all(is_plain) {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match is_plain(character) {
            true => plain.push(character),
            false => plain.extend(character.escape_default()),
        }
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(plain("a\tb\nc \u{e9} \u{25b6}"), "a\tb\nc \u{e9} \u{25b6}");
        assert_eq!(plain("a\u{1b}[2Jb\rc\u{9b}d"), "a\\u{1b}[2Jb\\rc\\u{9b}d");
    }
}
