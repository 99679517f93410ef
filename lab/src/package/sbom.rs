//! What the library is made of, in CycloneDX: the crates that are linked into it, by Cargo.lock.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::{Value, json};

use super::meta::{ABSTRACT, pretty};
use super::{VERSION, run};
use crate::checkout;
use crate::error::{Context, Error};
use crate::tools::{Major, Postgres};

/// The version of the format.
const FORMAT: &str = "1.5";

pub(super) fn json(major: Major, postgres: &Postgres, epoch: u64) -> Result<Vec<u8>, Error> {
    let mut cargo = Command::new("cargo");
    crate::server::clean(&mut cargo);
    cargo.current_dir(checkout()).env("PGRX_PG_CONFIG_PATH", &postgres.config);
    cargo.args(["metadata", "--locked", "--format-version", "1", "--no-default-features"]);
    cargo.args(["--features", &major.feature()]);
    cargo.args(["--filter-platform", &format!("{}-unknown-linux-gnu", std::env::consts::ARCH)]);
    let metadata: Value = serde_json::from_str(&run(cargo)?)
        .map_err(|error| Error::Environment(format!("cargo metadata gives no JSON: {error}")))?;
    let mut date = Command::new("date");
    date.args(["-u", "-d"]).arg(format!("@{epoch}")).arg("+%Y-%m-%dT%H:%M:%SZ");
    let lock = checkout().join("Cargo.lock");
    let lock = std::fs::read_to_string(&lock).context(|| format!("read {}", lock.display()))?;
    let document = bom(&metadata, &lock, run(date)?.trim());
    pretty(&document.ok_or_else(|| Error::Environment("cargo metadata does not tell what is linked".to_owned()))?)
}

/// A crate by the name that cargo has for it.
struct Crates<'a> {
    packages: BTreeMap<&'a str, &'a Value>,
    /// What is linked into each.
    linked: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

fn bom(metadata: &Value, lock: &str, timestamp: &str) -> Option<Value> {
    let packages: BTreeMap<_, _> = metadata["packages"]
        .as_array()?
        .iter()
        .filter_map(|package| Some((package["id"].as_str()?, package)))
        .collect();
    let mut linked = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array()? {
        let dependencies = node["deps"].as_array()?.iter().filter(|dependency| is_normal(dependency));
        let dependencies = dependencies.filter_map(|dependency| dependency["pkg"].as_str());
        // Macros run while the library is compiled.
        let dependencies = dependencies.filter(|id| packages.get(id).is_some_and(|package| !is_macro(package)));
        linked.insert(node["id"].as_str()?, dependencies.collect());
    }
    let top = packages.iter().find(|(_, package)| package["name"] == "operations_ext").map(|(id, _)| *id)?;
    let crates = Crates { packages, linked };
    let mut all = crates.reached(top);
    let dependencies: Vec<_> = all.iter().filter_map(|id| crates.dependencies(id)).collect();
    all.remove(top);
    let components: Vec<_> = all.iter().filter_map(|id| crates.component(id, lock)).collect();
    let mut component = crates.component(top, lock)?;
    component["description"] = ABSTRACT.into();
    Some(json!({
        "bomFormat": "CycloneDX",
        "specVersion": FORMAT,
        "version": 1,
        "metadata": {
            "timestamp": timestamp,
            "tools": { "components": [{ "type": "application", "name": "operations-lab", "version": VERSION }] },
            "component": component,
        },
        "components": components,
        "dependencies": dependencies,
    }))
}

fn is_normal(dependency: &Value) -> bool {
    dependency["dep_kinds"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
}

fn is_macro(package: &Value) -> bool {
    let targets = package["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
    let has =
        |target: &Value, kind: &str| target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == kind));
    targets.iter().any(|target| has(target, "proc-macro"))
}

impl<'a> Crates<'a> {
    fn reached(&self, top: &'a str) -> BTreeSet<&'a str> {
        let (mut reached, mut open) = (BTreeSet::from([top]), vec![top]);
        while let Some(id) = open.pop() {
            let next = self.linked.get(id).into_iter().flatten();
            open.extend(next.copied().filter(|id| reached.insert(id)));
        }
        reached
    }

    fn url(&self, id: &str) -> Option<String> {
        let package = self.packages.get(id)?;
        Some(format!("pkg:cargo/{}@{}", package["name"].as_str()?, package["version"].as_str()?))
    }

    fn dependencies(&self, id: &str) -> Option<Value> {
        let on: BTreeSet<_> = self.linked.get(id).into_iter().flatten().filter_map(|id| self.url(id)).collect();
        Some(json!({ "ref": self.url(id)?, "dependsOn": on }))
    }

    fn component(&self, id: &str, lock: &str) -> Option<Value> {
        let package = self.packages.get(id)?;
        let (name, version) = (package["name"].as_str()?, package["version"].as_str()?);
        let url = self.url(id)?;
        let mut component = json!({ "type": "library", "bom-ref": url, "name": name, "version": version, "purl": url });
        if let Some(licence) = package["license"].as_str() {
            // Older crates have a slash for "or".
            component["licenses"] = json!([{ "expression": licence.replace(" / ", "/").replace('/', " OR ") }]);
        }
        if let Some(checksum) = checksum(lock, name, version) {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
        }
        Some(component)
    }
}

/// That of the crate's archive.
fn checksum<'a>(lock: &'a str, name: &str, version: &str) -> Option<&'a str> {
    let head = format!("name = \"{name}\"\nversion = \"{version}\"\n");
    let entry = lock.split("[[package]]\n").find(|entry| entry.starts_with(&head))?;
    entry.lines().find_map(|line| line.strip_prefix("checksum = \"")?.strip_suffix('"'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_named_and_nothing_else() {
        let package = |name: &str, kind: &str| json!({ "id": name, "name": name, "version": "1.2.3", "license": "MIT/Apache-2.0", "targets": [{ "kind": [kind] }] });
        let on = |name: &str, kind: Value| json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] });
        let metadata = json!({
            "packages": [package("operations_ext", "cdylib"), package("linked", "lib"), package("macro", "proc-macro"),
                package("built", "lib"), package("below", "lib"), package("elsewhere", "lib")],
            "resolve": { "nodes": [
                { "id": "operations_ext", "deps": [on("linked", Value::Null), on("macro", Value::Null), on("built", json!("build"))] },
                { "id": "linked", "deps": [on("below", Value::Null)] },
                { "id": "below", "deps": [] },
                { "id": "macro", "deps": [on("elsewhere", Value::Null)] },
            ] },
        });
        let lock = "[[package]]\nname = \"below\"\nversion = \"1.2.3\"\nsource = \"x\"\nchecksum = \"ab12\"\n";
        let made = bom(&metadata, lock, "2026-01-01T00:00:00Z").unwrap();
        let names: Vec<_> = made["components"].as_array().unwrap().iter().map(|found| &found["name"]).collect();
        assert_eq!(names, ["below", "linked"]);
        assert_eq!(made["components"][0]["hashes"][0]["content"], "ab12");
        assert_eq!(made["components"][1]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(made["dependencies"].as_array().unwrap().len(), 3);
    }
}
