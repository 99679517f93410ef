//! Programs out of Debian's packages, unpacked and not installed: no service of theirs is started, and the machine stays as it is.

use std::path::PathBuf;
use std::process::Command;

use crate::error::{Context, Error};
use crate::tools::packages::which;
use crate::tools::state::remove;
use crate::tools::{State, step};

/// The folder of the programs of a package. Where the machine has `program`, it is used; else the package is got from Debian, whose
/// signature apt checks.
pub fn need(state: &State, package: &str, program: &str) -> Result<PathBuf, Error> {
    if let Some(folder) = which(program).and_then(|path| path.parent().map(PathBuf::from)) {
        return Ok(folder);
    }
    let folder = state.folder.join("programs").join(package);
    let programs = folder.join("usr/bin");
    if programs.join(program).exists() {
        return Ok(programs);
    }
    if which("apt-get").is_none() || which("dpkg-deb").is_none() {
        return Err(Error::Environment(format!("{program} is missing: install it (Debian: the package {package})")));
    }
    let partial = state.folder.join("programs").join(format!("{package}.partial"));
    for folder in [&partial, &folder] {
        remove(folder).context(|| format!("remove {}", folder.display()))?;
    }
    std::fs::create_dir_all(&partial).context(|| format!("make {}", partial.display()))?;
    let mut command = Command::new("sh");
    // The lists of packages are brought up to date only where it is not found without.
    let get = "apt-get -q download \"$1\"";
    command.args([
        "-c",
        &format!("{{ {get} || {{ apt-get -q update && {get}; }}; }} && dpkg-deb -x \"$1\"_*.deb . && rm \"$1\"_*.deb"),
        "sh",
        package,
    ]);
    command.current_dir(&partial);
    step::run(
        state,
        package,
        &format!("Getting {program} (Debian's package {package}, unpacked and not installed)"),
        command,
    )?;
    std::fs::rename(&partial, &folder).context(|| format!("rename {}", partial.display()))?;
    Ok(programs)
}
