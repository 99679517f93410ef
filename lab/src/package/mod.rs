//! Packages of the extension for one major of PostgreSQL: a `.deb`, an archive with an install script, the source with its META.json
//! for PGXN, and what is in the library. Two builds of one commit give the same bytes.

mod binary;
mod contents;
mod debian;
mod meta;
mod sbom;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::checkout;
use crate::error::{Context, Error};
use crate::say::{say, warn};
use crate::server::{Finished, finish};
use crate::tools::{self, Major, Postgres, State};

use binary::Binary;
use contents::Contents;

/// The version of the packages.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The names of what is made, in a folder of the caller's.
#[derive(Clone, Debug)]
pub struct Names {
    /// The package for Debian.
    pub debian: String,
    /// That of the program operations-lab.
    pub program: String,
    /// The archive for other systems, and the name of the folder in it.
    pub archive: String,
    /// The folder in the archive.
    pub folder: String,
    /// The source for PGXN.
    pub source: String,
    /// What the library is made of.
    pub sbom: String,
}

/// The file with the SHA-256 of all others.
pub const SUMS: &str = "SHA256SUMS";

/// What PGXN wants to know.
pub const META: &str = "META.json";

impl Names {
    /// Those of this version for a major of PostgreSQL, on this machine.
    #[must_use]
    pub fn new(major: Major) -> Self {
        let folder = format!("operations_ext-{VERSION}-pg{major}-linux-{}", std::env::consts::ARCH);
        Self {
            debian: format!("{}_{}_{}.deb", debian::name(major), debian::version(), debian::architecture()),
            program: format!("{}_{}_{}.deb", debian::PROGRAM, debian::version(), debian::architecture()),
            archive: format!("{folder}.tar.gz"),
            sbom: format!("{folder}.cdx.json"),
            source: format!("operations_ext-{VERSION}.zip"),
            folder,
        }
    }
}

/// What the packages are made of.
struct Package {
    major: Major,
    names: Names,
    contents: Contents,
    program: Option<Binary>,
    /// When the commit was made, in seconds since 1970: the time of every file.
    epoch: u64,
    /// Where the packages are put together; removed at the end.
    work: tempfile::TempDir,
}

/// Builds the extension and makes all packages of it in a folder; returns their names.
///
/// The program operations-lab is a package of its own, and takes as long to build as all others; without it the rest is made.
pub fn make(state: &State, folder: &Path, with_program: bool) -> Result<Names, Error> {
    for (program, package) in [("dpkg-deb", "dpkg"), ("strip", "binutils"), ("objdump", "binutils"), ("git", "git")] {
        if tools::which(program).is_none() {
            tools::need_packages(state, program, &[package])?;
        }
    }
    let epoch = epoch()?;
    if is_changed()? {
        warn("The checkout has changes that no commit has: nobody else can make these packages");
    }
    let postgres = Postgres::need(state)?;
    tools::build(state)?;
    let program = if with_program { Some(Binary::read(&tools::build_program(state)?)?) } else { None };
    let contents = Contents::gather(state, &postgres, epoch)?;
    std::fs::create_dir_all(folder).context(|| format!("make {}", folder.display()))?;
    let work = tempfile::tempdir_in(folder).context(|| format!("write {}", folder.display()))?;
    let package = Package { major: state.major, names: Names::new(state.major), contents, program, epoch, work };
    package.put(folder)?;
    Ok(package.names)
}

impl Package {
    fn put(&self, folder: &Path) -> Result<(), Error> {
        let made = self.work.path().join("made");
        std::fs::create_dir(&made).context(|| format!("make {}", made.display()))?;
        write(&made.join(META), &self.contents.meta, 0o644)?;
        write(&made.join(&self.names.sbom), &self.contents.sbom, 0o644)?;
        self.debian(&made)?;
        if let Some(program) = &self.program {
            self.debian_program(&made, program)?;
        }
        self.archive(&made)?;
        self.source(&made)?;
        let mut names = file_names(&made)?;
        names.sort();
        let sums = sums(&made, &names)? + &others(folder, &names);
        write(&made.join(SUMS), sums.as_bytes(), 0o644)?;
        names.push(SUMS.to_owned());
        for name in &names {
            let to = folder.join(name);
            std::fs::rename(made.join(name), &to).context(|| format!("write {}", to.display()))?;
            let size = std::fs::metadata(&to).map_or(0, |data| data.len());
            say(&format!("{:>8} KB  {}", size.div_ceil(1024), to.display()));
        }
        Ok(())
    }

    /// The folder with an install script, for systems without packages of ours.
    fn archive(&self, made: &Path) -> Result<(), Error> {
        let root = self.work.path().join("archive").join(&self.names.folder);
        for (name, bytes) in &self.contents.extension {
            write(&root.join("extension").join(name), bytes, 0o644)?;
        }
        write(&root.join("lib/operations_ext.so"), &self.contents.library.bytes, 0o755)?;
        for (name, bytes) in &self.contents.documents {
            write(&root.join(name), bytes, 0o644)?;
        }
        write(&root.join(META), &self.contents.meta, 0o644)?;
        write(&root.join("operations_ext.cdx.json"), &self.contents.sbom, 0o644)?;
        let script = include_str!("install.sh")
            .replace("@VERSION@", VERSION)
            .replace("@MAJOR@", &self.major.to_string())
            .replace("@MACHINE@", std::env::consts::ARCH);
        write(&root.join("install.sh"), script.as_bytes(), 0o755)?;
        let mut names = paths(&root)?;
        names.sort();
        write(&root.join(SUMS), sums(&root, &names)?.as_bytes(), 0o644)?;

        let tar = self.work.path().join("archive.tar");
        let mut pack = Command::new("tar");
        pack.args(["--create", "--format=gnu", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"]);
        pack.arg(format!("--mtime=@{}", self.epoch)).arg("--file").arg(&tar);
        pack.arg("--directory").arg(root.parent().unwrap_or(&root)).arg(&self.names.folder);
        run(pack)?;
        let archive = made.join(&self.names.archive);
        write(&archive, &gzip(&tar)?, 0o644)
    }

    /// What git has of the commit, and META.json.
    fn source(&self, made: &Path) -> Result<(), Error> {
        let mut git = git();
        // The times in a zip are local ones, of the commit.
        git.env("TZ", "UTC").args(["archive", "--format=zip"]);
        git.arg(format!("--prefix=operations_ext-{VERSION}/"));
        git.arg(format!("--add-file={}", made.join(META).display()));
        git.arg("--output").arg(made.join(&self.names.source)).arg("HEAD");
        run(git).map(drop)
    }
}

/// `SOURCE_DATE_EPOCH`, else when the commit was made.
fn epoch() -> Result<u64, Error> {
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().filter(|given| !given.is_empty());
    let text = match &given {
        Some(given) => given.clone(),
        None => {
            let mut git = git();
            git.args(["log", "-1", "--format=%ct"]);
            finish(git)?.success().map_err(|_| {
                let text = "git knows no commit of this checkout: set SOURCE_DATE_EPOCH to the time of the sources";
                Error::Environment(text.to_owned())
            })?
        }
    };
    let what = given.map_or("the time of the commit".to_owned(), |given| format!("SOURCE_DATE_EPOCH={given}"));
    text.trim().parse().map_err(|_| Error::Environment(format!("{what} is no number of seconds since 1970")))
}

fn is_changed() -> Result<bool, Error> {
    let mut git = git();
    git.args(["status", "--porcelain"]);
    finish(git).map(|answer| !answer.stdout.trim().is_empty())
}

/// git in the checkout, whoever owns that.
fn git() -> Command {
    let mut git = Command::new("git");
    git.current_dir(checkout()).args(["-c", "safe.directory=*"]).stdin(Stdio::null());
    git
}

fn run(command: Command) -> Result<String, Error> {
    finish(command).and_then(Finished::success)
}

/// Without the name and the time of the file.
fn gzip(path: &Path) -> Result<Vec<u8>, Error> {
    let mut gzip = Command::new("gzip");
    gzip.args(["-9", "-n", "-c"]).arg(path).env_remove("GZIP").stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = gzip.output().context(|| "run gzip".to_owned())?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let output_text = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::Program { program: "gzip".to_owned(), status: output.status.to_string(), output: output_text })
}

/// As sha256sum prints and checks them.
fn sums(folder: &Path, names: &[String]) -> Result<String, Error> {
    let mut sums = Command::new("sha256sum");
    sums.current_dir(folder).arg("--").args(names);
    run(sums)
}

/// The sums that a folder has of other files, such as those for another major.
fn others(folder: &Path, names: &[String]) -> String {
    let kept = std::fs::read_to_string(folder.join(SUMS)).unwrap_or_default();
    let is_other = |name: &str| !names.iter().any(|new| new == name) && folder.join(name).is_file();
    let lines = kept.lines().filter(|line| line.split_once("  ").is_some_and(|(_, name)| is_other(name)));
    lines.flat_map(|line| [line, "\n"]).collect()
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    let put = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, bytes)?;
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode))
    };
    put().context(|| format!("write {}", path.display()))
}

fn file_names(folder: &Path) -> Result<Vec<String>, Error> {
    let read = || -> std::io::Result<Vec<String>> {
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    read().context(|| format!("read {}", folder.display()))
}

/// The files of a folder and of those in it, from the folder on.
fn paths(folder: &Path) -> Result<Vec<String>, Error> {
    fn add(top: &Path, folder: &Path, paths: &mut Vec<String>) -> std::io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let path: PathBuf = entry?.path();
            match path.is_dir() {
                true => add(top, &path, paths)?,
                false => paths.push(path.strip_prefix(top).unwrap_or(&path).to_string_lossy().into_owned()),
            }
        }
        Ok(())
    }
    let mut paths = Vec::new();
    add(folder, folder, &mut paths).context(|| format!("read {}", folder.display()))?;
    Ok(paths)
}
