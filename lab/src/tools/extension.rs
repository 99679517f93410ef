//! Builds the extension and installs it. CREATE EXTENSION runs a file of the repository, so cargo-pgrx is not needed.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::checkout;
use crate::error::{Context, Error};
use crate::tools::postgres::{Postgres, ask};
use crate::tools::{PG_MAJOR, State, packages, shim, step};

/// The file that CREATE EXTENSION runs, from the top of the checkout.
pub const SCHEMA: &str = concat!("sql/operations_ext--", env!("CARGO_PKG_VERSION"), ".sql");

const CONTROL: &str = "operations_ext.control";

/// Builds the extension, in the release profile, and installs it into a PostgreSQL.
pub fn install(state: &State, postgres: &Postgres) -> Result<(), Error> {
    packages::need_c_toolchain(state)?;
    let built = target().join("release/liboperations_ext.so");
    // Whether there is something to build, cargo finds out.
    let what = if built.exists() { "Checking that the extension is built" } else { "Building the extension (release)" };
    step::run(state, "extension", what, compile(state))?;

    let folder = |option: &str| {
        let found = ask(&postgres.config, option).map(PathBuf::from);
        found.ok_or_else(|| Error::Environment(format!("{} gives no {option}", postgres.config.display())))
    };
    let (libraries, share) = (folder("--pkglibdir")?, folder("--sharedir")?.join("extension"));
    let read = |path: &Path| std::fs::read(path).context(|| format!("read {}", path.display()));
    let schema = checkout().join(SCHEMA);
    let control = String::from_utf8_lossy(&read(&checkout().join(CONTROL))?).into_owned();
    let control = control.replace("@CARGO_VERSION@", env!("CARGO_PKG_VERSION"));
    put(&libraries.join("operations_ext.so"), &read(&built)?, 0o755)?;
    put(&share.join(schema.file_name().unwrap_or_default()), &read(&schema)?, 0o644)?;
    put(&share.join(CONTROL), control.as_bytes(), 0o644)
}

/// What compiles the library, in the release profile.
pub(crate) fn compile(state: &State) -> Command {
    let mut cargo = Command::new("cargo");
    crate::server::clean(&mut cargo);
    cargo.args(["build", "--locked", "--release", "--lib", "--package", "operations_ext", "--no-default-features"]);
    cargo.args(["--features", &format!("pg{PG_MAJOR}")]).current_dir(checkout());
    // The stand-in: by its name cargo knows whether PostgreSQL has changed.
    cargo.env("PGRX_PG_CONFIG_PATH", shim::config(state)).env("PG_CONFIG", shim::config(state));
    cargo
}

/// Where cargo builds.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| checkout().join("target"), PathBuf::from)
}

/// A running server may have the file open, so it gets a new one of the same name.
fn put(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let write = || -> std::io::Result<()> {
        let mut new = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(path))?;
        new.write_all(bytes)?;
        std::fs::set_permissions(new.path(), PermissionsExt::from_mode(mode))?;
        new.persist(path)?;
        Ok(())
    };
    write().context(|| format!("install {}", path.display()))
}
