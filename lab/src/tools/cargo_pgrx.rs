//! cargo-pgrx, which makes the SQL of the extension and runs the tests inside the server.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::checkout;
use crate::error::{Context, Error};
use crate::server::finish;
use crate::server::ports::free_port;
use crate::tools::{State, shim, step};

/// Builds cargo-pgrx unless it is there; returns the folder to put into `PATH`, if any.
pub(crate) fn need(state: &State) -> Result<Option<PathBuf>, Error> {
    let wanted = version()?;
    let root = state.folder.join("cargo-pgrx");
    if is_version(Path::new("cargo-pgrx"), &wanted) {
        return Ok(None);
    }
    let bin = root.join("bin");
    if !is_version(&bin.join("cargo-pgrx"), &wanted) {
        let mut cargo = Command::new("cargo");
        // By the settings of the checkout, not of the caller's folder.
        cargo.current_dir(checkout());
        // Unoptimised, for it is built once and runs for seconds; without its download feature, for that wants OpenSSL.
        cargo.args(["install", "cargo-pgrx", "--version", &format!("={wanted}"), "--locked", "--debug"]);
        cargo.args(["--no-default-features", "--force", "--root"]).arg(&root).env("CARGO_PROFILE_DEV_DEBUG", "0");
        step::run(state, "cargo-pgrx", &format!("Building cargo-pgrx {wanted} (once, about two minutes)"), cargo)?;
    }
    Ok(Some(bin))
}

/// It must be exactly as old as the pgrx that Cargo.lock names.
fn version() -> Result<String, Error> {
    let path = checkout().join("Cargo.lock");
    let lock = std::fs::read_to_string(&path).context(|| format!("read {}", path.display()))?;
    let mut lines = lock.lines().skip_while(|line| *line != "name = \"pgrx\"");
    let version = lines.find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    version.map(str::to_owned).ok_or_else(|| Error::Environment("Cargo.lock names no pgrx".to_owned()))
}

fn is_version(program: &Path, wanted: &str) -> bool {
    let mut command = Command::new(program);
    command.args(["pgrx", "--version"]);
    let answer = finish(command).and_then(crate::server::Finished::success);
    answer.is_ok_and(|text| text.trim() == format!("cargo-pgrx {wanted}"))
}

/// Where cargo-pgrx keeps its own test server. Its configuration is written once: cargo builds everything anew when it changes.
///
/// It names programs that root runs, so the servers' user may make its own files beside it but not replace it.
pub(crate) fn home(state: &State) -> Result<PathBuf, Error> {
    let home = state.of_major().join("pgrx");
    let config = home.join("config.toml");
    let line = format!("{} = \"{}\"", state.major.feature(), shim::config(state).display());
    let make = || -> std::io::Result<()> {
        let user = rustix::process::geteuid().as_raw();
        let is_ours =
            |path: &Path| std::fs::symlink_metadata(path).is_ok_and(|found| !found.is_symlink() && found.uid() == user);
        if std::fs::symlink_metadata(&home).is_ok() && !is_ours(&home) {
            std::fs::remove_dir_all(&home)?;
        }
        std::fs::create_dir_all(&home)?;
        let is_right = is_ours(&config)
            && std::fs::read_to_string(&config).is_ok_and(|text| text.lines().any(|found| found == line));
        if !is_right {
            let port = free_port(&[]).map_err(std::io::Error::other)?;
            let mut new = tempfile::NamedTempFile::new_in(state.of_major())?;
            write!(new, "base_port = {}\n[configs]\n{line}\n", port - state.major.number())?;
            std::fs::set_permissions(new.path(), PermissionsExt::from_mode(0o644))?;
            new.persist(&config)?;
        }
        if state.owner.is_lent() {
            chown(&home, None, Some(state.owner.gid()))?;
            std::fs::set_permissions(&home, PermissionsExt::from_mode(0o1775))?;
        }
        Ok(())
    };
    make().context(|| format!("make {}", home.display()))?;
    Ok(home)
}
