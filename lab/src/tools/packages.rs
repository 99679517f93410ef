//! What the operating system must bring.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::checkout;
use crate::error::Error;
use crate::tools::State;
use crate::tools::step;

/// Installs Debian packages, as root; or says what to install. `what` names what is missing.
pub fn need(state: &State, what: &str, packages: &[&str]) -> Result<(), Error> {
    let names = packages.join(" ");
    if !can_install() {
        return Err(Error::Environment(format!(
            "{what} is missing: install it (Debian, as root: apt-get install -y {names}), then run make again"
        )));
    }
    let apt = "apt-get -q -o DPkg::Lock::Timeout=300";
    let install = format!("{apt} install -y --no-install-recommends \"$@\"");
    let mut command = Command::new("sh");
    // The lists of packages are brought up to date only where the installation fails without.
    command.args(["-c", &format!("{install} || {{ {apt} update && {install}; }}"), "sh"]).args(packages);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    step::run(state, "apt", &format!("Installing {names} ({what})"), command)
}

/// Whether packages can be installed here: as root on Debian.
#[must_use]
pub fn can_install() -> bool {
    rustix::process::geteuid().is_root() && which("apt-get").is_some()
}

/// A C compiler, whose linker Rust uses, and libclang, which reads PostgreSQL's headers.
pub(crate) fn need_c_toolchain(state: &State) -> Result<(), Error> {
    if which("cc").is_none() {
        need(state, "a C compiler", &["gcc", "libc6-dev"])?;
    }
    if has_libclang() { Ok(()) } else { need(state, "libclang", &["libclang-dev"]) }
}

/// pip of the system's Python or of a private environment.
pub(crate) fn need_pip(state: &State) -> Result<(), Error> {
    if which("python3").is_none() {
        need(state, "Python 3", &["python3", "python3-pip"])?;
    }
    let mut asked = pip();
    asked.arg("--version");
    match crate::server::finish(asked) {
        Ok(answer) if answer.is_success() => Ok(()),
        _ => need(state, "pip for Python 3", &["python3-pip"]),
    }
}

/// pip, which looks for no module in the caller's folder.
fn pip() -> Command {
    let mut command = Command::new("python3");
    command.args(["-I", "-m", "pip"]).current_dir(checkout());
    command
}

/// pip that installs what a file pins, with its hashes, into a folder and nowhere else.
pub(crate) fn pip_install(pin: &Path, folder: &Path) -> Command {
    let mut pip = pip();
    pip.args(["install", "--no-cache-dir", "--no-deps", "--require-hashes", "--only-binary=:all:", "--no-compile"]);
    pip.arg("--target").arg(folder).arg("-r").arg(pin);
    pip
}

/// A program in `PATH`, or by its path.
#[must_use]
pub fn which(name: &str) -> Option<PathBuf> {
    let runs = |path: &Path| {
        let access = rustix::fs::Access::EXEC_OK;
        path.is_file() && rustix::fs::accessat(rustix::fs::CWD, path, access, rustix::fs::AtFlags::empty()).is_ok()
    };
    if name.contains('/') {
        return std::path::absolute(name).ok().filter(|path| runs(path));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| runs(path))
}

/// bindgen needs the library, and the compiler's own headers beside it.
fn has_libclang() -> bool {
    let given = std::env::var_os("LIBCLANG_PATH").filter(|path| !path.is_empty()).map(PathBuf::from);
    let mut libraries: Vec<_> = ["/usr/lib64", "/usr/lib", "/usr/local/lib"].map(PathBuf::from).into();
    let mut headers: Vec<_> = ["/usr/lib/clang", "/usr/lib64/clang"].map(PathBuf::from).into();
    for entry in entries(Path::new("/usr/lib")) {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("llvm-") {
            libraries.push(entry.join("lib"));
            headers.push(entry.join("lib/clang"));
        } else if name.ends_with("-linux-gnu") {
            libraries.push(entry);
        }
    }
    let has_headers = given.is_some()
        || headers.iter().flat_map(|folder| entries(folder)).any(|version| version.join("include/stddef.h").exists());
    libraries.extend(given);
    let is_library = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("libclang.so") || (name.starts_with("libclang-") && name.contains(".so"))
    };
    has_headers && libraries.iter().flat_map(|folder| entries(folder)).any(|path| is_library(&path))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}
