//! The lists of docs/security.md that tests compare with what is.

use operations_cluster::repository;

/// The rows of the first table under a heading, their cells joined by `|` and without backquotes, sorted; a row whose first cells
/// name several things with commas is one for each.
pub fn table(heading: &str) -> Vec<String> {
    let page = std::fs::read_to_string(repository("docs/security.md")).unwrap();
    let section = page.split("\n## ").find(|section| section.lines().next() == Some(heading));
    let section = section.unwrap_or_else(|| unreachable!("docs/security.md has no heading \"{heading}\""));
    let mut rows = Vec::new();
    let lines = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    for line in lines.skip(2) {
        let line = line.trim_matches('|').replace('`', "");
        let mut combined = vec![String::new()];
        for cell in line.split('|') {
            let parts: Vec<_> = cell.split(',').map(str::trim).collect();
            combined =
                combined.iter().flat_map(|left| parts.iter().map(move |part| format!("{left}{part}|"))).collect();
        }
        rows.extend(combined.into_iter().map(|row| row.trim_end_matches('|').to_owned()));
    }
    assert!(!rows.is_empty(), "docs/security.md has no table under \"{heading}\"");
    rows.sort();
    rows
}

/// Fails with what is on the page and not so, and what is so and not on the page.
#[track_caller]
pub fn expect_same(heading: &str, page: &[String], found: &[String]) {
    let missing: Vec<_> = found.iter().filter(|row| !page.contains(row)).collect();
    let untrue: Vec<_> = page.iter().filter(|row| !found.contains(row)).collect();
    assert!(
        missing.is_empty() && untrue.is_empty(),
        "docs/security.md, \"{heading}\":\nnot on the page: {missing:#?}\non the page and not so: {untrue:#?}"
    );
}
