//! What psql printed, and whether it is what a page says.

/// Stands for anything within a line, and alone in a line for any lines.
const ANYTHING: char = '…';

/// What a reader sees of psql's output: no places in source files, and SQLSTATEs of errors only.
pub fn as_read(printed: &str) -> String {
    let lines = printed.lines().filter(|line| !line.starts_with("LOCATION:  "));
    lines.map(|line| without_code(line, &["NOTICE", "WARNING", "INFO", "LOG", "DEBUG"]) + "\n").collect()
}

/// The line, without its SQLSTATE if it begins with one of the levels.
fn without_code(line: &str, levels: &[&str]) -> String {
    let message = levels.iter().find_map(|level| {
        let rest = line.strip_prefix(level)?.strip_prefix(":  ")?;
        let (code, message) = rest.split_once(": ")?;
        let is_code = code.len() == 5 && code.chars().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase());
        is_code.then(|| format!("{level}:  {message}"))
    });
    message.unwrap_or_else(|| line.to_owned())
}

/// Whether psql reported an error.
pub fn has_error(printed: &str) -> bool {
    printed.lines().any(|line| ["ERROR:  ", "FATAL:  ", "PANIC:  "].iter().any(|level| line.starts_with(level)))
}

/// Whether a page's output is that which was printed; errors may be said with their SQLSTATE or without.
pub fn is_as_said(said: &str, printed: &str) -> bool {
    let without_codes: String = printed.lines().map(|line| without_code(line, &["ERROR"]) + "\n").collect();
    let said = normal(said);
    lines_match(&said, &normal(printed)) || lines_match(&said, &normal(&without_codes))
}

/// Without blank lines; runs of blanks and of dashes as one, as the width of columns follows what they hold.
fn normal(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| {
            let mut short = String::new();
            for c in line.trim().chars() {
                if !(matches!(c, ' ' | '-') && short.ends_with(c)) {
                    short.push(c);
                }
            }
            short
        })
        .filter(|line| !line.is_empty())
        .collect()
}

fn lines_match(said: &[String], printed: &[String]) -> bool {
    match said.split_first() {
        None => printed.is_empty(),
        Some((line, rest)) if line.chars().eq([ANYTHING]) => {
            (0..=printed.len()).any(|skipped| lines_match(rest, &printed[skipped..]))
        }
        Some((line, rest)) => {
            printed.split_first().is_some_and(|(first, others)| line_matches(line, first) && lines_match(rest, others))
        }
    }
}

fn line_matches(said: &str, printed: &str) -> bool {
    let Some((before, after)) = said.split_once(ANYTHING) else { return said == printed };
    let Some(rest) = printed.strip_prefix(before) else { return false };
    let starts = rest.char_indices().map(|(index, _)| index).chain([rest.len()]);
    starts.into_iter().any(|start| line_matches(after, &rest[start..]))
}

#[test]
fn only_what_is_marked_may_vary() {
    let printed = " id | started_at           \n----+---------------------\n  7 | 2025-08-01 10:00:00+00\n(1 row)\n\n";
    for said in [
        printed,
        "id | started_at\n---+---\n7 | …\n(1 row)",
        " id | started_at\n----+------\n  … | 2025-…+00\n(1 row)\n",
        "id | started_at\n…",
        "…\n(1 row)",
    ] {
        assert!(is_as_said(said, printed), "{said}");
    }
    for said in [
        "",
        "id | started_at\n---+---\n8 | …\n(1 row)",
        "id | started_at\n---+---\n7 | 2025-…-01\n(1 row)",
        "id | started_at\n---+---\n7 | …",
        "id | started_at\n7 | …\n(1 row)",
        "id | started_at\n---+---\n7 | …\n7 | …\n(1 row)",
        "…\n(2 rows)",
        "NOTICE:  more\n…",
    ] {
        assert!(!is_as_said(said, printed), "{said}");
    }
}

#[test]
fn places_in_sources_and_codes_of_notices_are_left_out() {
    let printed = "NOTICE:  00000: 2025-08: 10 rows\nLOCATION:  f, x.rs:7\nERROR:  22023: p_batch is out of range\n";
    assert_eq!(as_read(printed), "NOTICE:  2025-08: 10 rows\nERROR:  22023: p_batch is out of range\n");
    let error = "ERROR:  22023: p_batch is out of range\n";
    assert!(is_as_said(error, error) && is_as_said("ERROR:  p_batch is out of range", error));
    assert!(!is_as_said("ERROR:  22004: p_batch is out of range", error));
    assert!(has_error(printed) && !has_error("NOTICE:  ERROR: none\n"));
}
