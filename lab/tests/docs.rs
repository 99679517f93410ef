//! docs/doctor.md explains each code that the doctor can say, and no other; docs/metrics.md is what the table of metrics says.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::collections::BTreeSet;
use std::path::Path;

use operations_lab::doctor::codes;

#[test]
fn the_page_explains_each_code_and_no_other() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(top.join("docs/doctor.md")).unwrap();
    let explained: BTreeSet<_> = page.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned).collect();

    let mut said: BTreeSet<_> = codes::ALL.iter().map(|code| (*code).to_owned()).collect();
    let declared = std::fs::read_to_string(top.join("lab/src/doctor/codes.rs")).unwrap();
    let declared = declared.lines().filter(|line| line.starts_with("pub const") && line.contains(": &str =")).count();
    assert_eq!(codes::ALL.len(), declared, "codes::ALL lacks one");
    let mut of_a_server = BTreeSet::new();
    for file in std::fs::read_dir(top.join("src/doctor/sql")).unwrap() {
        of_a_server.extend(codes_of(&std::fs::read_to_string(file.unwrap().path()).unwrap()));
    }
    of_a_server.retain(|code| !said.contains(code));
    let listed: BTreeSet<_> = codes::OF_A_SERVER.iter().map(|code| (*code).to_owned()).collect();
    assert_eq!(listed, of_a_server, "codes::OF_A_SERVER");
    said.extend(of_a_server);
    let missing: Vec<_> = said.difference(&explained).collect();
    let unknown: Vec<_> = explained.difference(&said).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "not explained: {missing:?}; explained and never said: {unknown:?}"
    );
    assert!(said.len() > 50, "{said:?}");
}

#[test]
fn the_page_of_metrics_is_made_from_the_table() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let found = std::fs::read_to_string(file).unwrap();
    let same = found == operations_lab::metrics::page();
    assert!(same, "write it anew: operations-lab dev metrics");
}

/// In SQL a finding begins `select 'code', ...`, or the codes are the values of the CASE that begins it.
fn codes_of(sql: &str) -> Vec<String> {
    let mut codes = Vec::new();
    for rest in sql.split("select ").skip(1) {
        let literal = |text: &str| text.strip_prefix('\'').and_then(|text| Some(text.split_once('\'')?.0.to_owned()));
        if rest.starts_with('\'') && rest.split_once("',").is_some_and(|(code, _)| !code[1..].contains('\'')) {
            codes.extend(literal(rest));
        } else if rest.starts_with("case ") {
            let first = rest.split_once(" end").map_or(rest, |(first, _)| first);
            codes.extend(first.split("then ").chain(first.split("else ")).skip(1).filter_map(literal));
        }
    }
    codes.retain(|code| {
        !["broken", "degraded"].contains(&code.as_str())
            && code.len() > 5
            && code.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')
    });
    codes
}
