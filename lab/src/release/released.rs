//! Released scripts never change: databases that were made or updated by them would differ from others of the same version.
//!
//! What was released is in a list of the repository and not only in tags, which a shallow clone does not have.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{Context, Error};
use crate::release::{Script, Version, scripts};

/// The list, from the top of the checkout, as `sha256sum` writes and checks it.
pub const LIST: &str = "sql/released.sha256";

/// What is wrong with the scripts of a checkout whose version this is; nothing, if all is well.
pub fn check(checkout: &Path, current: &Version) -> Result<Vec<String>, Error> {
    let released = read(checkout)?;
    let found = scripts(&checkout.join("sql"))?;
    let last = last(&released);
    let place = last.as_ref().map_or_else(|| Script::install(current), |last| Script::update(last, current)).name();
    let mut wrong = Vec::new();
    for (script, sum) in &released {
        let name = script.name();
        match std::fs::read(checkout.join("sql").join(&name)) {
            Ok(bytes) if sum_of(&bytes) == *sum => {}
            Ok(_) => wrong.push(format!(
                "sql/{name} was released and has been changed: take the change back (git checkout v{} -- sql/{name}) and write what \
                 it was to do into sql/{place}",
                script.to
            )),
            Err(error) => wrong.push(format!(
                "sql/{name} was released and cannot be read ({error}): databases of that version need it (git checkout v{} -- sql/{name})",
                script.to
            )),
        }
    }
    for script in found.iter().filter(|script| !released.contains_key(script) && script.to != *current) {
        wrong.push(format!(
            "sql/{} is of no released version, and the version is {current} now: rename or remove it",
            script.name()
        ));
    }
    if !found.contains(&Script::install(current)) {
        wrong.push(format!(
            "sql/{} is missing: operations-lab dev schema --write makes it",
            Script::install(current).name()
        ));
    }
    if let Some(last) = last {
        if last > *current {
            wrong.push(format!(
                "the version is {current}, and {last} was released already: set a greater one in Cargo.toml"
            ));
        } else if last < *current && !found.contains(&Script::update(&last, current)) {
            wrong
                .push(format!("sql/{place} is missing: write what brings the objects of {last} to those of {current}"));
        }
    }
    Ok(wrong)
}

/// The last version that was released.
pub(crate) fn last(released: &BTreeMap<Script, String>) -> Option<Version> {
    released.keys().map(|script| script.to.clone()).max()
}

/// The list: scripts, and the SHA-256 of each.
pub(crate) fn read(checkout: &Path) -> Result<BTreeMap<Script, String>, Error> {
    let path = checkout.join(LIST);
    let text = std::fs::read_to_string(&path).context(|| format!("read {}", path.display()))?;
    let mut released = BTreeMap::new();
    for line in text.lines() {
        let parts = line.split_once("  sql/").and_then(|(sum, name)| Some((Script::of_name(name)?, sum.to_owned())));
        let Some((script, sum)) = parts else {
            return Err(Error::Environment(format!("{LIST}: \"{line}\" is no line of sha256sum for a script")));
        };
        released.insert(script, sum);
    }
    Ok(released)
}

/// Adds the scripts that lead to a version to the list.
pub(crate) fn add(checkout: &Path, version: &Version) -> Result<(), Error> {
    let path = checkout.join(LIST);
    let mut text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        read => read.context(|| format!("read {}", path.display()))?,
    };
    for script in scripts(&checkout.join("sql"))?.into_iter().filter(|script| script.to == *version) {
        let script = checkout.join("sql").join(script.name());
        let bytes = std::fs::read(&script).context(|| format!("read {}", script.display()))?;
        let name = script.file_name().unwrap_or_default().to_string_lossy();
        text.push_str(&format!("{}  sql/{name}\n", sum_of(&bytes)));
    }
    std::fs::write(&path, text).context(|| format!("write {}", path.display()))
}

fn sum_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    /// A checkout in which 0.1.0 is released and 0.2.0-dev is worked on.
    fn checkout() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let sql = folder.path().join("sql");
        std::fs::create_dir(&sql).unwrap();
        std::fs::write(sql.join("operations_ext--0.1.0.sql"), "select 1;\n").unwrap();
        add(folder.path(), &"0.1.0".parse().unwrap()).unwrap();
        std::fs::write(sql.join("operations_ext--0.2.0-dev.sql"), "select 2;\n").unwrap();
        std::fs::write(sql.join("operations_ext--0.1.0--0.2.0-dev.sql"), "select 3;\n").unwrap();
        folder
    }

    fn wrong(folder: &tempfile::TempDir, version: &str) -> String {
        check(folder.path(), &version.parse().unwrap()).unwrap().join("\n")
    }

    #[test]
    fn what_was_released_does_not_change_and_what_is_to_come_is_there() {
        let folder = checkout();
        let sql = folder.path().join("sql");
        assert_eq!(wrong(&folder, "0.2.0-dev"), "");

        std::fs::write(sql.join("operations_ext--0.1.0.sql"), "select 11;\n").unwrap();
        let text = wrong(&folder, "0.2.0-dev");
        assert!(text.starts_with("sql/operations_ext--0.1.0.sql was released and has been changed"), "{text}");
        assert!(text.ends_with("into sql/operations_ext--0.1.0--0.2.0-dev.sql"), "{text}");
        std::fs::remove_file(sql.join("operations_ext--0.1.0.sql")).unwrap();
        assert!(wrong(&folder, "0.2.0-dev").contains("cannot be read"));
        std::fs::write(sql.join("operations_ext--0.1.0.sql"), "select 1;\n").unwrap();

        std::fs::remove_file(sql.join("operations_ext--0.1.0--0.2.0-dev.sql")).unwrap();
        assert!(wrong(&folder, "0.2.0-dev").starts_with("sql/operations_ext--0.1.0--0.2.0-dev.sql is missing"));
        // Cargo.toml alone was changed.
        let text = wrong(&folder, "0.3.0-dev");
        assert!(text.contains("operations_ext--0.2.0-dev.sql is of no released version"), "{text}");
        assert!(text.contains("operations_ext--0.3.0-dev.sql is missing"), "{text}");
        assert!(wrong(&folder, "0.0.9").contains("0.1.0 was released already"));
    }

    #[test]
    fn the_list_is_one_of_sha256sum() {
        let folder = checkout();
        let mut sums = std::process::Command::new("sha256sum");
        let output = sums.args(["--check", "--strict", LIST]).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        std::fs::write(folder.path().join(LIST), "nonsense\n").unwrap();
        assert!(check(folder.path(), &"0.2.0-dev".parse().unwrap()).is_err());
    }
}
