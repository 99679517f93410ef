//! PostgreSQL out of Debian's packages, in a root of its own: of the Debian that has it, whichever this machine is.

use std::path::PathBuf;
use std::process::Command;

use crate::checkout;
use crate::error::{Context, Error};
use crate::tools::packages::which;
use crate::tools::state::remove;
use crate::tools::{Major, State, pg_config, step, unpacked};

/// The Debian that has a major version.
fn release(major: Major) -> &'static str {
    if major.number() < 17 { "bookworm" } else { "trixie" }
}

/// Downloads and unpacks it unless it is there; returns its pg_config.
pub(crate) fn unpack(state: &State) -> Result<PathBuf, Error> {
    let major = state.major;
    let target = state.of_major().join("postgresql");
    let config = target.join(format!("usr/lib/postgresql/{major}/bin/pg_config"));
    let _lock = state.lock("postgresql.lock")?;
    if config.exists() {
        return Ok(config);
    }
    if which("apt-get").is_none() || which("dpkg-deb").is_none() {
        return Err(Error::Environment(format!(
            "no PostgreSQL {major} with server headers was found: install one, or give its pg_config in PG_CONFIG"
        )));
    }
    let patchelf = unpacked::need(state, "patchelf", "patchelf")?.join("patchelf");
    let partial = state.of_major().join("postgresql.partial");
    for folder in [&partial, &target] {
        remove(folder).context(|| format!("remove {}", folder.display()))?;
    }
    std::fs::create_dir_all(&partial).context(|| format!("make {}", partial.display()))?;
    let mut script = Command::new("bash");
    script.arg(checkout().join("native/postgresql-debian.sh"));
    script.args([&major.to_string(), release(major)]).args([&partial, &target, &patchelf]);
    let what = format!("Getting PostgreSQL {major} (Debian's packages of 100 MB, unpacked and not installed)");
    step::run(state, &format!("postgresql-{major}"), &what, script)?;
    std::fs::rename(&partial, &target).context(|| format!("rename {}", partial.display()))?;
    pg_config::unpacked(state, config, &target)
}
