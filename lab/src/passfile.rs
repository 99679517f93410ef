//! Passwords from a file as libpq reads it: `host:port:database:user:password`, a line each.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The password for a server, if the file has one. As libpq does, a file that others may read is not used.
pub fn password(file: &Path, wanted: [&str; 4]) -> Option<String> {
    let mode = std::fs::metadata(file).ok()?.mode();
    if mode & 0o077 != 0 {
        return None;
    }
    find(&std::fs::read_to_string(file).ok()?, wanted)
}

/// The first line that fits wins.
fn find(text: &str, wanted: [&str; 4]) -> Option<String> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields(line);
        let [host, port, database, user, password] = fields.as_slice() else {
            return None;
        };
        let fits =
            [host, port, database, user].iter().zip(wanted).all(|(field, wanted)| *field == "*" || *field == wanted);
        fits.then(|| password.clone())
    })
}

/// A backslash takes the character after it as it is.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let last = fields.len() - 1;
        match character {
            '\\' => fields[last].extend(characters.next()),
            ':' if last < 4 => fields.push(String::new()),
            other => fields[last].push(other),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_line_that_fits() {
        let text = "# a comment\nhere:5432:db:me:first\n*:*:*:me:se\\:cond:with\\\\more\n*:*:*:*:any";
        let password = |wanted| find(text, wanted);
        assert_eq!(password(["here", "5432", "db", "me"]).as_deref(), Some("first"));
        assert_eq!(password(["there", "5432", "db", "me"]).as_deref(), Some("se:cond:with\\more"));
        assert_eq!(password(["there", "1", "x", "you"]).as_deref(), Some("any"));
        assert_eq!(find("a:b:c", ["a", "b", "c", "d"]), None);
    }
}
