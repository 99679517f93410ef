//! README.md says nothing that was not tried, and nothing stays behind.

use std::collections::BTreeSet;
use std::process::Command;

use operations_lab::checkout;
use operations_lab::server::ports::listens;

use crate::user::{Outcome, User, require};

/// The lines of README's fenced blocks of these languages.
fn fenced(languages: &[&str]) -> Outcome<Vec<String>> {
    let readme = std::fs::read_to_string(checkout().join("README.md"))?;
    let mut inside = false;
    let mut lines = Vec::new();
    for line in readme.lines() {
        match line.strip_prefix("```") {
            Some(language) => inside = !inside && languages.contains(&language),
            None if inside => lines.push(line.to_owned()),
            None => {}
        }
    }
    require(!lines.is_empty(), format!("README.md has no block of {languages:?}"))?;
    Ok(lines)
}

/// The targets in `make TARGET` and `make NAME=value TARGET`, wherever they stand in a line of shell.
fn targets(lines: &[String]) -> BTreeSet<String> {
    let is_setting = |word: &&str| {
        word.split_once('=').is_some_and(|(name, _)| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
    };
    let mut found = BTreeSet::new();
    for line in lines {
        for command in line.split(['&', ';', '|', '$']) {
            let mut words =
                command.split_whitespace().skip_while(|word| *word != "make").skip(1).skip_while(is_setting);
            found.extend(words.next().map(str::to_owned));
        }
    }
    found
}

pub fn readme_names_only_targets_that_ran(user: &User) -> Outcome {
    let targets = targets(&fenced(&["sh", "bash", "console"])?);
    require(targets.len() >= 5, format!("README.md names few targets: {targets:?}"))?;
    for target in targets {
        if ["test", "test-long", "test-all", "test-compose", "lint", "bench"].contains(&target.as_str()) {
            // This is of `make test`; the others are whole suites of their own, and CI runs lint.
            let mut make = Command::new("make");
            make.args(["-n", "-C"]).arg(checkout()).arg(&target);
            require(user.run(make)?, format!("there is no target {target}"))?;
        } else {
            require(user.has_tried(&target), format!("README.md says make {target}, and no check ran it"))?;
        }
    }
    Ok(())
}

pub fn sql_of_readme_runs(user: &User) -> Outcome {
    let script = format!("\\set ON_ERROR_STOP on\n{}", fenced(&["sql"])?.join("\n"));
    let output = user.session("psql", &script)?;
    require(output.status.success(), String::from_utf8_lossy(&output.stderr))
}

pub fn clean_leaves_nothing(user: &User) -> Outcome {
    user.succeeds(&["clean"])?;
    user.printed("Deleted the demo's data")?;
    require(!user.path("demo").exists(), "the demo's folder is still there")?;
    user.no_server_left()?;
    require(!listens(user.primary_port), "somebody listens on the primary's port")
}
