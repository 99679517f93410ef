//! Makes a release of what the checkout has, and begins the version after it. Files only: git is for who calls this.

use std::path::Path;

use crate::error::{Context, Error};
use crate::release::released::{self, check};
use crate::release::{Script, Version, changelog_of_release};

const MANIFEST: &str = "Cargo.toml";
const LOCK: &str = "Cargo.lock";
const CHANGELOG: &str = "CHANGELOG.md";

/// What a release changes of a checkout, from its top.
pub const CHANGED: [&str; 4] = [MANIFEST, LOCK, CHANGELOG, "sql"];

/// A release that can be made.
#[derive(Debug)]
pub struct Plan {
    /// The version that was worked on.
    current: Version,
    /// The one before it, if there is one.
    last: Option<Version>,
    /// What it becomes.
    pub version: Version,
}

/// Whether a version can be released: it must be greater than the last one, and all that belongs to it must be there.
pub fn plan(checkout: &Path, current: &Version, version: &Version) -> Result<Plan, Error> {
    let refuse = |why: String| Error::Environment(format!("{version} cannot be released: {why}"));
    if !version.is_release() {
        return Err(refuse("a version under development is no release; leave the -dev away".to_owned()));
    }
    let last = released::last(&released::read(checkout)?);
    if let Some(last) = last.as_ref().filter(|last| *last >= version) {
        return Err(refuse(format!("{last} was released already; give a greater version")));
    }
    if current.is_release() || version < current {
        return Err(refuse(format!(
            "the version that is worked on is {current}; give that one without -dev, or a greater one"
        )));
    }
    let wrong = check(checkout, current)?;
    if !wrong.is_empty() {
        return Err(refuse(wrong.join("; ")));
    }
    let changelog = read(&checkout.join(CHANGELOG))?;
    changelog_of_release(&changelog, version, "").map_err(|error| refuse(error.to_string()))?;
    Ok(Plan { current: current.clone(), last, version: version.clone() })
}

/// Gives the checkout the version, moves the changelog, and gives the scripts their last names. They are released from then on.
pub fn prepare(checkout: &Path, plan: &Plan, date: &str) -> Result<(), Error> {
    let Plan { current, last, version } = plan;
    set_version(checkout, current, version)?;
    let changelog = checkout.join(CHANGELOG);
    write(&changelog, &changelog_of_release(&read(&changelog)?, version, date)?)?;
    rename(checkout, &Script::install(current), &Script::install(version))?;
    if let Some(last) = last {
        rename(checkout, &Script::update(last, current), &Script::update(last, version))?;
    }
    released::add(checkout, version)
}

/// Gives the checkout the version after a release: the objects are the same, and the script that will say what changes is empty.
pub fn begin_next(checkout: &Path, released: &Version) -> Result<Version, Error> {
    let next = released.next_development();
    set_version(checkout, released, &next)?;
    let sql = checkout.join("sql");
    write(&sql.join(Script::install(&next).name()), &read(&sql.join(Script::install(released).name()))?)?;
    let text = format!(
        "-- What ALTER EXTENSION operations_ext UPDATE does to the objects of {released}. A test compares the outcome with a new installation.\n\
         \\echo Use \"ALTER EXTENSION operations_ext UPDATE\" to load this file. \\quit\n"
    );
    write(&sql.join(Script::update(released, &next).name()), &text)?;
    Ok(next)
}

/// The version is in one place of the manifest, which all crates share; the lock file repeats it for each of them.
fn set_version(checkout: &Path, from: &Version, to: &Version) -> Result<(), Error> {
    let manifest = checkout.join(MANIFEST);
    let (line, new_line) = (format!("\nversion = \"{from}\"\n"), format!("\nversion = \"{to}\"\n"));
    let text = read(&manifest)?;
    if text.matches(&line).count() != 1 {
        return Err(Error::Environment(format!("{MANIFEST} does not have the line version = \"{from}\" once")));
    }
    write(&manifest, &text.replace(&line, &new_line))?;
    let lock = checkout.join(LOCK);
    let text = read(&lock)?;
    // Crates of others have a source.
    let crates = text.split("\n\n").map(|part| {
        if part.contains("\nsource = ") {
            part.to_owned()
        } else {
            format!("{part}\n").replace(&line, &new_line).trim_end_matches('\n').to_owned()
        }
    });
    write(&lock, &format!("{}\n", crates.collect::<Vec<_>>().join("\n\n").trim_end_matches('\n')))
}

fn rename(checkout: &Path, from: &Script, to: &Script) -> Result<(), Error> {
    let (from, to) = (checkout.join("sql").join(from.name()), checkout.join("sql").join(to.name()));
    std::fs::rename(&from, &to).context(|| format!("rename {} to {}", from.display(), to.display()))
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).context(|| format!("read {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).context(|| format!("write {}", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    const OF_OTHERS: &str = "[[package]]\nname = \"other\"\nversion = \"0.2.0-dev\"\nsource = \"registry\"\n";

    /// A checkout in which 0.1.0 is released and 0.2.0-dev is worked on.
    fn checkout() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| write(&folder.path().join(name), text).unwrap();
        std::fs::create_dir(folder.path().join("sql")).unwrap();
        put("sql/operations_ext--0.1.0.sql", "one\n");
        released::add(folder.path(), &"0.1.0".parse().unwrap()).unwrap();
        put("sql/operations_ext--0.2.0-dev.sql", "two\n");
        put("sql/operations_ext--0.1.0--0.2.0-dev.sql", "one to two\n");
        put(CHANGELOG, "# Changelog\n\n## [Unreleased]\n\n- New.\n\n## [0.1.0] - 2026-01-01\n\n- Old.\n");
        put(MANIFEST, "[workspace.package]\nversion = \"0.2.0-dev\"\nedition = \"2024\"\n");
        put(LOCK, &format!("version = 4\n\n[[package]]\nname = \"ours\"\nversion = \"0.2.0-dev\"\n\n{OF_OTHERS}"));
        folder
    }

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn a_release_and_the_version_after_it() {
        let folder = checkout();
        let path = folder.path();
        let plan = plan(path, &version("0.2.0-dev"), &version("0.2.0")).unwrap();
        prepare(path, &plan, "2026-02-01").unwrap();
        assert_eq!(check(path, &version("0.2.0")).unwrap(), Vec::<String>::new());
        assert!(read(&path.join(MANIFEST)).unwrap().contains("\nversion = \"0.2.0\"\n"));
        let lock = read(&path.join(LOCK)).unwrap();
        assert_eq!(lock, format!("version = 4\n\n[[package]]\nname = \"ours\"\nversion = \"0.2.0\"\n\n{OF_OTHERS}"));
        assert!(read(&path.join(CHANGELOG)).unwrap().contains("## [Unreleased]\n\n## [0.2.0] - 2026-02-01\n\n- New."));
        assert_eq!(read(&path.join("sql/operations_ext--0.1.0--0.2.0.sql")).unwrap(), "one to two\n");
        assert_eq!(read(&path.join("sql/released.sha256")).unwrap().lines().count(), 3);

        assert_eq!(begin_next(path, &version("0.2.0")).unwrap(), version("0.3.0-dev"));
        assert_eq!(check(path, &version("0.3.0-dev")).unwrap(), Vec::<String>::new());
        assert_eq!(read(&path.join("sql/operations_ext--0.3.0-dev.sql")).unwrap(), "two\n");
        // What is released cannot be changed any more, nor released again.
        write(&path.join("sql/operations_ext--0.2.0.sql"), "other\n").unwrap();
        assert_eq!(check(path, &version("0.3.0-dev")).unwrap().len(), 1);
        assert!(super::plan(path, &version("0.3.0-dev"), &version("0.2.0")).is_err());
    }

    #[test]
    fn what_cannot_be_released_is_refused() {
        let folder = checkout();
        let path = folder.path();
        let refused = |text: &str| plan(path, &version("0.2.0-dev"), &version(text)).unwrap_err().to_string();
        assert!(refused("0.1.0").contains("0.1.0 was released already"));
        assert!(refused("0.0.9").contains("0.1.0 was released already"));
        assert!(refused("0.1.5").contains("is 0.2.0-dev"));
        assert!(refused("0.2.0-dev").contains("leave the -dev away"));
        let script = path.join("sql/operations_ext--0.1.0--0.2.0-dev.sql");
        std::fs::remove_file(&script).unwrap();
        assert!(refused("0.2.0").contains("operations_ext--0.1.0--0.2.0-dev.sql is missing"));
        write(&script, "").unwrap();
        write(&path.join(CHANGELOG), "## [Unreleased]\n\n## [0.1.0] - 2026-01-01\n\n- Old.\n").unwrap();
        assert!(refused("0.2.0").contains("says of no change"));
    }
}
