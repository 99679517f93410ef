//! Every source file that acts as another role is on docs/security.md.

use std::path::Path;

use operations_cluster::repository;

use crate::page::{expect_same, table};

/// What acts with other rights than the caller's, or changes what only a superuser may.
const MARKS: [&str; 7] = [
    "ActingAs::role",
    "ActingAs::restricted",
    "act_as_owner",
    "SetUserIdAndSecContext",
    "set_as_superuser",
    "security definer",
    "as_owner_of_the_",
];

#[test]
fn every_file_that_acts_as_another_role_is_on_the_page() {
    let mut found = Vec::new();
    collect(&repository("src"), "src", &mut found);
    found.sort();
    let heading = "Files that act as another role";
    let mut page: Vec<_> =
        table(heading).iter().map(|row| row.split('|').next().unwrap_or_default().to_owned()).collect();
    page.dedup();
    expect_same(heading, &page, &found);
}

/// A collation runs no code of who made it, but may change what is equal to what. That is theirs alone if none is looked for by name.
#[test]
fn no_statement_names_a_collation() {
    let naming = |word: &str| {
        let mut found = Vec::new();
        collect_with(&repository("src"), "src", &[word], &mut found);
        found
    };
    // The words are found where they are.
    assert_ne!(naming(" order by "), Vec::<String>::new());
    assert_eq!(naming(" collate "), Vec::<String>::new());
}

fn collect(folder: &Path, name: &str, found: &mut Vec<String>) {
    collect_with(folder, name, &MARKS, found);
}

fn collect_with(folder: &Path, name: &str, marks: &[&str], found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{name}/{}", path.file_name().unwrap().to_string_lossy());
        if name == "src/pgrx_tests" {
            continue;
        }
        if path.is_dir() {
            collect_with(&path, &name, marks, found);
        } else {
            let text = std::fs::read_to_string(&path).unwrap().to_lowercase();
            if marks.iter().any(|mark| text.contains(&mark.to_lowercase())) {
                found.push(name);
            }
        }
    }
}
