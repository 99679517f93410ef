//! What is unpacked and not installed: no service of it is started, and the machine stays as it is.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Context, Error};
use crate::tools::packages::which;
use crate::tools::state::remove;
use crate::tools::{State, step};

/// Makes a folder anew that is there as a whole or not at all: `fill` is given an empty one beside it, which then takes its place.
pub(crate) fn whole(folder: &Path, fill: impl FnOnce(&Path) -> Result<(), Error>) -> Result<(), Error> {
    let mut partial = OsString::from(folder);
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    for folder in [&*partial, folder] {
        remove(folder).context(|| format!("remove {}", folder.display()))?;
    }
    std::fs::create_dir_all(&partial).context(|| format!("make {}", partial.display()))?;
    fill(&partial)?;
    std::fs::rename(&partial, folder).context(|| format!("rename {}", partial.display()))
}

/// Whether this machine has the programs that unpack Debian's packages.
pub(crate) fn can_unpack() -> bool {
    which("apt-get").is_some() && which("dpkg-deb").is_some()
}

/// The folder of the programs of a Debian package. Where the machine has `program`, it is used; else the package is got from Debian, whose
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
    if !can_unpack() {
        return Err(Error::Environment(format!("{program} is missing: install it (Debian: the package {package})")));
    }
    // The lists of packages are brought up to date only where it is not found without.
    let get = "apt-get -q download \"$1\"";
    let script =
        format!("{{ {get} || {{ apt-get -q update && {get}; }}; }} && dpkg-deb -x \"$1\"_*.deb . && rm \"$1\"_*.deb");
    whole(&folder, |partial| {
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh", package]).current_dir(partial);
        let what = format!("Getting {program} (Debian's package {package}, unpacked and not installed)");
        step::run(state, package, &what, command)
    })?;
    Ok(programs)
}
