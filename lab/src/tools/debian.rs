//! PostgreSQL out of Debian's packages, in a root of its own: of the Debian that has it, whichever this machine is.

use std::path::Path;
use std::process::Command;

use crate::checkout;
use crate::error::Error;
use crate::tools::{Major, State, step, unpacked};

/// Where pg_config is in it.
pub(crate) fn config(major: Major) -> String {
    format!("usr/lib/postgresql/{major}/bin/pg_config")
}

/// Gets and unpacks it in a folder which will be the other one.
pub(crate) fn fill(state: &State, release: &str, partial: &Path, target: &Path) -> Result<(), Error> {
    let major = state.major;
    let patchelf = unpacked::need(state, "patchelf", "patchelf")?.join("patchelf");
    let mut script = Command::new("bash");
    script.arg(checkout().join("native/postgresql-debian.sh"));
    script.args([&major.to_string(), release]).arg(partial).arg(target).arg(patchelf);
    let what = format!("Getting PostgreSQL {major} (Debian's packages of 100 MB, unpacked and not installed)");
    step::run(state, &format!("postgresql-{major}"), &what, script)
}
