//! The scripts that CREATE EXTENSION and ALTER EXTENSION UPDATE run, by their names.

use std::path::Path;

use crate::error::{Context, Error};
use crate::release::Version;

/// What their names begin with; PostgreSQL puts `--` between the parts.
const PREFIX: &str = "operations_ext--";

/// A script of `sql/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Script {
    /// The version that it leads to.
    pub to: Version,
    /// The version that it begins with; none, if it makes all objects.
    pub from: Option<Version>,
}

impl Script {
    /// The one that CREATE EXTENSION runs.
    #[must_use]
    pub fn install(version: &Version) -> Self {
        Self { to: version.clone(), from: None }
    }

    /// The one that ALTER EXTENSION UPDATE runs.
    #[must_use]
    pub fn update(from: &Version, to: &Version) -> Self {
        Self { to: to.clone(), from: Some(from.clone()) }
    }

    /// The name of its file.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.from {
            Some(from) => format!("{PREFIX}{from}--{}.sql", self.to),
            None => format!("{PREFIX}{}.sql", self.to),
        }
    }

    /// The script that has this name, if it is one.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let versions = name.strip_prefix(PREFIX)?.strip_suffix(".sql")?;
        let (from, to) = match versions.split_once("--") {
            Some((from, to)) => (Some(from.parse().ok()?), to),
            None => (None, versions),
        };
        Some(Self { to: to.parse().ok()?, from })
    }
}

/// All scripts of the checkout's folder `sql`. PostgreSQL finds the way from one version to another among them.
pub fn scripts(folder: &Path) -> Result<Vec<Script>, Error> {
    let names = || -> std::io::Result<Vec<String>> {
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    let names = names().context(|| format!("read {}", folder.display()))?;
    let mut found = Vec::new();
    for name in names.iter().filter(|name| name.ends_with(".sql")) {
        let script = Script::of_name(name);
        found.push(
            script.ok_or_else(|| Error::Environment(format!("sql/{name} is no name of a script of operations_ext")))?,
        );
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn names_say_where_a_script_leads() {
        for name in ["operations_ext--0.1.0.sql", "operations_ext--0.1.0--0.2.0-dev.sql"] {
            assert_eq!(Script::of_name(name).unwrap().name(), name);
        }
        for name in [
            "operations_ext.sql",
            "operations_ext--1.sql",
            "other--0.1.0.sql",
            "operations_ext--0.1.0--0.2.0--0.3.0.sql",
        ] {
            assert_eq!(Script::of_name(name), None, "{name}");
        }
    }
}
