//! Builds the extension and installs it. CREATE EXTENSION runs a file of the repository, so cargo-pgrx is not needed.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::checkout;
use crate::error::{Context, Error, SettingError};
use crate::release;
use crate::say::say;
use crate::server::quoted_for_shell;
use crate::tools::pg_config::ask;
use crate::tools::postgres::Postgres;
use crate::tools::{Major, State, packages, shim, step};

/// The file that CREATE EXTENSION runs, from the top of the checkout.
pub const SCHEMA: &str = concat!("sql/operations_ext--", env!("CARGO_PKG_VERSION"), ".sql");

/// The variable that says which extension the demo runs with.
const VARIABLE: &str = "EXTENSION";

/// Where a panic's message has the sources.
const SOURCES: &str = "/usr/src/operations_ext";

const CONTROL: &str = "operations_ext.control";

/// Builds the extension, in the release profile, and installs it into a PostgreSQL.
pub fn install(state: &State, postgres: &Postgres) -> Result<(), Error> {
    build(state)?;
    let libraries = folder(&postgres.config, "--pkglibdir")?;
    put(&libraries.join("operations_ext.so"), &read(&built(state))?, 0o755)?;
    install_files(postgres)
}

/// Installs the library of another PostgreSQL of the same major version, which has the same form.
pub(crate) fn install_library(library: &Path, target: &Path) -> Result<(), Error> {
    put(target, &read(library)?, 0o755)
}

/// Installs what CREATE EXTENSION reads, to a library that is there.
pub(crate) fn install_files(postgres: &Postgres) -> Result<(), Error> {
    let share = folder(&postgres.config, "--sharedir")?.join("extension");
    for (name, bytes) in files()? {
        put(&share.join(name), &bytes, 0o644)?;
    }
    Ok(())
}

/// Whether a PostgreSQL has this version of the extension, with the scripts of this checkout: then it need not be built.
#[must_use]
pub fn is_installed(config: &Path) -> bool {
    let (Ok(share), Ok(libraries)) = (folder(config, "--sharedir"), folder(config, "--pkglibdir")) else {
        return false;
    };
    let has =
        |name: &str, bytes: &[u8]| std::fs::read(share.join("extension").join(name)).is_ok_and(|found| found == bytes);
    libraries.join("operations_ext.so").is_file()
        && files().is_ok_and(|files| files.iter().all(|(name, bytes)| has(name, bytes)))
}

/// Which extension the demo runs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The one that is installed, if there is one of this version and nothing was built here.
    Either,
    /// The one that is installed.
    Installed,
    /// The one that is built from this checkout.
    Built,
}

impl Wanted {
    /// `EXTENSION`. Whoever has built the extension once works on it, and gets what the sources say.
    pub fn given(state: &State) -> Result<Self, Error> {
        let given = std::env::var(VARIABLE).unwrap_or_default();
        match given.as_str() {
            "" if built(state).exists() => Ok(Self::Built),
            "" => Ok(Self::Either),
            "installed" => Ok(Self::Installed),
            "build" => Ok(Self::Built),
            _ => Err(SettingError::Extension { given }.into()),
        }
    }
}

/// Has the extension in a PostgreSQL, as it is wanted.
pub(crate) fn need(state: &State, postgres: &Postgres, wanted: Wanted) -> Result<(), Error> {
    let (is_there, version) = (is_installed(&postgres.config), env!("CARGO_PKG_VERSION"));
    match wanted {
        Wanted::Either | Wanted::Installed if is_there => {
            let server = postgres.bindir.display();
            say(&format!(
                "Using operations_ext {version} as it is installed beside {server}; make demo {VARIABLE}=build builds it"
            ));
            Ok(())
        }
        Wanted::Installed => Err(SettingError::NotInstalled { version, config: postgres.config.clone() }.into()),
        Wanted::Either | Wanted::Built => install(state, postgres),
    }
}

/// Builds the library, in the release profile.
pub(crate) fn build(state: &State) -> Result<(), Error> {
    packages::need_c_toolchain(state)?;
    // Whether there is something to build, cargo finds out.
    let what =
        if built(state).exists() { "Checking that the extension is built" } else { "Building the extension (release)" };
    step::run(state, "extension", what, compile(state))
}

/// The library.
pub(crate) fn built(state: &State) -> PathBuf {
    target(state).join("release/liboperations_ext.so")
}

/// What CREATE EXTENSION reads, by name: the scripts, and last the control file, which says that they are there.
pub(crate) fn files() -> Result<Vec<(String, Vec<u8>)>, Error> {
    let folder = checkout().join("sql");
    // All of them: PostgreSQL finds among them the way from an older version.
    let scripts = release::scripts(&folder)?.into_iter().map(|script| script.name());
    let mut files =
        scripts.map(|name| Ok((name.clone(), read(&folder.join(name))?))).collect::<Result<Vec<_>, Error>>()?;
    let control = String::from_utf8_lossy(&read(&checkout().join(CONTROL))?).into_owned();
    let control = control.replace("@CARGO_VERSION@", env!("CARGO_PKG_VERSION"));
    files.push((CONTROL.to_owned(), control.into_bytes()));
    Ok(files)
}

fn folder(config: &Path, option: &str) -> Result<PathBuf, Error> {
    let found = ask(config, option).map(PathBuf::from);
    found.ok_or_else(|| Error::Environment(format!("{} gives no {option}", config.display())))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).context(|| format!("read {}", path.display()))
}

/// What compiles the library, in the release profile.
pub(crate) fn compile(state: &State) -> Command {
    let mut cargo = Command::new("cargo");
    crate::server::clean(&mut cargo);
    cargo.args(["build", "--locked", "--release", "--lib", "--package", "operations_ext", "--no-default-features"]);
    cargo.args(["--features", &state.major.feature()]).current_dir(checkout());
    cargo.env("CARGO_TARGET_DIR", target(state));
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(state)).env_remove("RUSTFLAGS");
    cargo.env("CFLAGS", c_flags(state)).env("CC_SHELL_ESCAPED_FLAGS", "1");
    // The stand-in: by its name cargo knows whether PostgreSQL has changed.
    cargo.env("PGRX_PG_CONFIG_PATH", shim::config(state)).env("PG_CONFIG", shim::config(state));
    cargo
}

/// Flags of rustc by which the folders of this machine do not come into the library: two builds of one commit are the same.
fn flags(state: &State) -> OsString {
    let given = std::env::var("RUSTFLAGS").unwrap_or_default();
    let mut flags: Vec<_> = given.split_whitespace().map(OsString::from).collect();
    for (here, everywhere) in places(state) {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(here);
        flag.push("=");
        flag.push(everywhere);
        flags.push(flag);
    }
    flags.join(std::ffi::OsStr::new("\u{1f}"))
}

/// The same for the C compiler, as shells quote them: PostgreSQL's headers name themselves in messages.
fn c_flags(state: &State) -> String {
    let mut flags = std::env::var("CFLAGS").unwrap_or_default();
    for (here, everywhere) in places(state) {
        flags
            .push_str(&format!(" {}", quoted_for_shell(&format!("-ffile-prefix-map={}={everywhere}", here.display()))));
    }
    flags
}

/// Folders of this machine, and what they are called in what is built. Of several that fit, the last counts.
fn places(state: &State) -> [(PathBuf, &'static str); 4] {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let cargo = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    [
        (cargo, "/usr/share/cargo"),
        (checkout().to_owned(), SOURCES),
        (state.folder.clone(), "/usr/src/operations_ext/.state"),
        (target(state), "/usr/src/operations_ext/target"),
    ]
}

/// Builds the program operations-lab for a package; returns the file.
pub(crate) fn build_program(state: &State) -> Result<PathBuf, Error> {
    packages::need_c_toolchain(state)?;
    let mut cargo = Command::new("cargo");
    crate::server::clean(&mut cargo);
    cargo.args(["build", "--locked", "--profile", "image", "--package", "operations_lab", "--bin", "operations-lab"]);
    cargo.env("CARGO_TARGET_DIR", target(state));
    cargo.current_dir(checkout()).env("CARGO_ENCODED_RUSTFLAGS", flags(state)).env_remove("RUSTFLAGS");
    cargo.env("OPERATIONS_LAB_PACKAGED", "yes");
    step::run(state, "program", "Building operations-lab (image)", cargo)?;
    Ok(target(state).join("image/operations-lab"))
}

/// Where cargo builds the extension. All majors give their libraries one name, so each but the default has a folder of its own.
pub(crate) fn target(state: &State) -> PathBuf {
    let folder = common_target();
    if state.major == Major::DEFAULT { folder } else { folder.join(state.major.feature()) }
}

/// Where cargo builds what all majors have in common.
pub(crate) fn common_target() -> PathBuf {
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
