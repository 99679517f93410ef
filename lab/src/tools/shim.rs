//! Stands in for PostgreSQL's programs, so that cargo-pgrx and the tests can be run by root, as which PostgreSQL refuses to run.
//!
//! The folder `pg` of the state folder has pg_config, every program, pg_regress, and sudo in a folder of its own: all links to `native/shim.sh` with its
//! settings in front.

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::checkout;
use crate::error::{Context, Error};
use crate::server::quoted_for_shell;
use crate::tools::pg_config::ask;
use crate::tools::state::remove;
use crate::tools::{State, packages};

/// Files that name what is stood in for: the pg_config, and the folder of programs.
pub(crate) const REAL_CONFIG: &str = "real_config";
pub(crate) const REAL_BIN: &str = "real_bin";

const SCRIPT: &str = "shim";
const REGRESS: &str = "pgxs/src/test/regress/pg_regress";

/// Where the stand-ins are.
pub(crate) fn folder(state: &State) -> PathBuf {
    state.of_major().join("pg")
}

/// The stand-in of pg_config.
pub(crate) fn config(state: &State) -> PathBuf {
    folder(state).join("bin/pg_config")
}

/// The folder of the stand-in of sudo, for a `PATH`.
pub(crate) fn sudo(state: &State) -> PathBuf {
    folder(state).join("sudo")
}

/// What a pg_config stands for, if it is ours.
pub(crate) fn stands_for(state: &State, path: &Path) -> Option<PathBuf> {
    let ours = folder(state).join(SCRIPT).canonicalize().ok()?;
    if path.canonicalize().ok()? != ours {
        return None;
    }
    let real = std::fs::read_to_string(folder(state).join(REAL_CONFIG)).ok()?;
    Some(PathBuf::from(real.trim_end_matches('\n')))
}

/// Makes the stand-ins of a pg_config and of the programs in a folder. What is there already and right stays: cargo builds everything anew when it changes.
pub(crate) fn make(state: &State, config: &Path, bindir: &Path) -> Result<(), Error> {
    if state.owner.is_lent() && packages::which("setpriv").is_none() {
        let text = "setpriv is missing: install util-linux, or run make as an ordinary user";
        return Err(Error::Environment(text.to_owned()));
    }
    let here = folder(state);
    let make = || {
        let script = script(state, config, bindir)?;
        let programs = programs(bindir)?;
        let is_right = std::fs::read_to_string(here.join(SCRIPT)).is_ok_and(|text| text == script)
            && self::programs(&here.join("bin")).is_ok_and(|found| found == programs)
            && here.join(REGRESS).exists()
            && sudo(state).join("sudo").exists();
        if is_right {
            return Ok(());
        }
        let partial = state.of_major().join("pg.partial");
        for folder in [&partial, &here] {
            remove(folder)?;
        }
        std::fs::create_dir_all(partial.join("bin"))?;
        let regress = partial.join(REGRESS);
        std::fs::create_dir_all(regress.parent().unwrap_or(&partial))?;
        std::fs::write(partial.join(SCRIPT), &script)?;
        std::fs::set_permissions(partial.join(SCRIPT), PermissionsExt::from_mode(0o755))?;
        symlink(here.join(SCRIPT), regress)?;
        std::fs::create_dir(partial.join("sudo"))?;
        symlink(here.join(SCRIPT), partial.join("sudo/sudo"))?;
        for program in &programs {
            symlink(here.join(SCRIPT), partial.join("bin").join(program))?;
        }
        std::fs::write(partial.join(REAL_BIN), format!("{}\n", bindir.display()))?;
        std::fs::write(partial.join(REAL_CONFIG), format!("{}\n", config.display()))?;
        std::fs::rename(&partial, &here)
    };
    make().context(|| format!("make the stand-ins for PostgreSQL's programs in {}", here.display()))
}

fn script(state: &State, config: &Path, bindir: &Path) -> std::io::Result<String> {
    let pgxs = PathBuf::from(ask(config, "--pgxs").unwrap_or_default());
    let pgxs = pgxs.ancestors().nth(3).unwrap_or(&pgxs);
    let here = folder(state);
    let settings = [
        ("REAL_CONFIG", quoted_for_shell(&config.to_string_lossy())),
        ("REAL_BIN", quoted_for_shell(&bindir.to_string_lossy())),
        ("REAL_PGXS", quoted_for_shell(&pgxs.to_string_lossy())),
        ("HERE", quoted_for_shell(&here.to_string_lossy())),
        ("RUN_AS", quoted_for_shell(&state.owner.name)),
    ];
    let mut text = "#!/bin/sh\n".to_owned();
    for (name, value) in settings {
        text.push_str(&format!("{name}={value}\n"));
    }
    Ok(text + &std::fs::read_to_string(checkout().join("native/shim.sh"))?)
}

/// The names of the programs in a folder.
fn programs(folder: &Path) -> std::io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let runs = |data: &std::fs::Metadata| data.is_file() && data.permissions().mode() & 0o111 != 0;
        if std::fs::metadata(entry.path()).is_ok_and(|data| runs(&data)) {
            found.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(found)
}
