//! README.md says nothing that does not work.

use std::process::Command;

use operations_lab::checkout;

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

/// The words after `make` in each command of these lines, settings first or last.
fn commands(lines: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for line in lines {
        for command in line.split(['&', ';', '|', '$', '#']) {
            let mut words = command.split_whitespace().skip_while(|word| *word != "make").skip(1).map(str::to_owned);
            found.extend(words.next().map(|first| std::iter::once(first).chain(words).collect()));
        }
    }
    found
}

/// The target among such words.
fn target(words: &[String]) -> Outcome<&str> {
    let target = words.iter().find(|word| !word.contains('=')).ok_or_else(|| format!("{words:?} names no target"))?;
    Ok(target)
}

/// The commands that a user types, from top to bottom, on a machine without a demo.
pub fn commands_of_readme_run(user: &User) -> Outcome {
    let typed = commands(&fenced(&["sh"])?);
    require(typed.len() >= 10, format!("README.md names few commands: {typed:?}"))?;
    for mut words in typed {
        let target = target(&words)?.to_owned();
        if ELSEWHERE.contains(&target.as_str()) {
            exists(user, &target)?;
            continue;
        }
        if target == "load" {
            // It would go on for a minute.
            words.extend(["RATE=20", "SECONDS=5"].map(str::to_owned));
        }
        user.succeeds(&words)?;
    }
    user.no_server_left()?;
    commands(&fenced(&["bash", "console"])?).iter().try_for_each(|words| exists(user, target(words)?))
}

/// This is of `make test`. Others are whole suites of their own, CI runs lint, and the drills are a group of these checks.
const ELSEWHERE: [&str; 7] = ["test", "test-long", "test-all", "test-compose", "lint", "bench", "drills"];

fn exists(user: &User, target: &str) -> Outcome {
    let mut make = Command::new("make");
    make.args(["-n", "-C"]).arg(checkout()).arg(target);
    require(user.run(make)?, format!("there is no target {target}"))
}

pub fn sql_of_readme_runs(user: &User) -> Outcome {
    let script = format!("\\set ON_ERROR_STOP on\n{}", fenced(&["sql"])?.join("\n"));
    let output = user.session("psql", &script)?;
    require(output.status.success(), String::from_utf8_lossy(&output.stderr))
}
