//! The package for Debian and its relatives.

use std::path::Path;
use std::process::Command;

use super::binary::Binary;
use super::meta::{ABSTRACT, MAINTAINER};
use super::{Package, VERSION, gzip, paths, run, write};
use crate::error::{Context, Error};
use crate::tools::Major;

/// What it is, for who looks through the packages.
pub(super) const DESCRIPTION: &str = "It keeps a database at work with simulated bank transactions: a range-partitioned table\n\
    of realistic rows, a new one every 5 seconds, a batch of status changes\n\
    every 3, and sums that are always right. For testing applications,\n\
    monitoring, change data capture, backup and failover.";

const BEFORE_REMOVAL: &str = include_str!("prerm.sh");

/// Debian has no address of ours.
const ADDRESS: &str = "operations-ext@localhost.localdomain";

/// The package of the program operations-lab, and the program.
pub(super) const PROGRAM: &str = "operations-lab";

pub(super) fn name(major: Major) -> String {
    format!("postgresql-{major}-operations-ext")
}

/// With a tilde dpkg takes a development version for older than its release.
pub(super) fn version() -> String {
    format!("{}-1", VERSION.replace('-', "~"))
}

pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// What a package says of itself.
struct Card {
    name: String,
    /// What it is of no use without.
    depends: String,
    suggests: String,
    summary: &'static str,
    description: &'static str,
    /// The script that dpkg runs before the files are removed.
    before_removal: Option<String>,
}

impl Package {
    pub(super) fn debian(&self, made: &Path) -> Result<(), Error> {
        let (root, major) = (self.work.path().join("debian"), self.major);
        let library = format!("usr/lib/postgresql/{major}/lib/operations_ext.so");
        write(&root.join(library), &self.contents.library.bytes, 0o644)?;
        let extension = root.join(format!("usr/share/postgresql/{major}/extension"));
        for (name, bytes) in &self.contents.extension {
            write(&extension.join(name), bytes, 0o644)?;
        }
        write(
            &root.join("usr/share/doc").join(name(major)).join("operations_ext.cdx.json"),
            &self.contents.sbom,
            0o644,
        )?;
        let card = Card {
            name: name(major),
            depends: format!("postgresql-{major}, {}", of_the_system(&self.contents.library)),
            suggests: format!("postgresql-{major}-cron, {PROGRAM}"),
            summary: ABSTRACT,
            description: DESCRIPTION,
            before_removal: Some(BEFORE_REMOVAL.replace("@MAJOR@", &major.to_string())),
        };
        self.pack(&root, &card, &made.join(&self.names.debian))
    }

    pub(super) fn debian_program(&self, made: &Path, program: &Binary) -> Result<(), Error> {
        let root = self.work.path().join("debian-program");
        write(&root.join("usr/bin").join(PROGRAM), &program.bytes, 0o755)?;
        let card = Card {
            name: PROGRAM.to_owned(),
            depends: of_the_system(program),
            suggests: "postgresql".to_owned(),
            summary: "Runs, judges and breaks the servers of an operations lab",
            description: "It asks a primary and its replicas whether all is well and says why not,\n\
                serves a live page and metrics, and runs the demo of operations_ext\nfrom a checkout of its sources.",
            before_removal: None,
        };
        self.pack(&root, &card, &made.join(&self.names.program))
    }

    /// Makes a package of the files in a folder.
    fn pack(&self, root: &Path, card: &Card, package: &Path) -> Result<(), Error> {
        let documents = root.join("usr/share/doc").join(&card.name);
        for (name, bytes) in &self.contents.documents {
            match name.as_str() {
                "LICENSE" => write(&documents.join("copyright"), &copyright(bytes), 0o644)?,
                "CHANGELOG.md" => self.put_gzip(&documents.join("changelog.gz"), bytes)?,
                other => write(&documents.join(other), bytes, 0o644)?,
            }
        }
        self.put_gzip(&documents.join("changelog.Debian.gz"), self.changelog()?.as_bytes())?;
        let mut files = paths(root)?;
        files.sort();
        let mut sums = Command::new("md5sum");
        sums.current_dir(root).arg("--").args(&files);
        write(&root.join("DEBIAN/md5sums"), run(sums)?.as_bytes(), 0o644)?;
        write(&root.join("DEBIAN/control"), control(card, root, &files)?.as_bytes(), 0o644)?;
        if let Some(script) = &card.before_removal {
            write(&root.join("DEBIAN/prerm"), script.as_bytes(), 0o755)?;
        }
        // Of what the caller's umask has made.
        let mut modes = Command::new("chmod");
        modes.args(["-R", "u=rwX,go=rX"]).arg(root);
        run(modes)?;
        let mut build = Command::new("dpkg-deb");
        // One thread: how many there are would show in the bytes.
        build.args(["--root-owner-group", "-Zxz", "--threads-max=1", "--build"]).arg(root).arg(package);
        build.env("SOURCE_DATE_EPOCH", self.epoch.to_string());
        run(build).map(drop)
    }

    fn put_gzip(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let plain = self.work.path().join("plain");
        write(&plain, bytes, 0o644)?;
        write(path, &gzip(&plain)?, 0o644)
    }

    fn changelog(&self) -> Result<String, Error> {
        let mut date = Command::new("date");
        date.args(["-u", "-R", "-d"]).arg(format!("@{}", self.epoch)).env("LC_ALL", "C");
        Ok(format!(
            "operations-ext ({}) unstable; urgency=medium\n\n  * Version {VERSION}: see changelog.gz.\n\n -- {MAINTAINER} <{ADDRESS}>  {}\n",
            version(),
            run(date)?.trim(),
        ))
    }
}

/// The libraries that it is linked with, by their packages.
fn of_the_system(binary: &Binary) -> String {
    format!("libc6 (>= {}), libgcc-s1 (>= 3.0)", binary.oldest_libc)
}

fn control(card: &Card, root: &Path, files: &[String]) -> Result<String, Error> {
    let mut size = 0;
    for file in files {
        let found = std::fs::metadata(root.join(file)).context(|| format!("read {file}"))?;
        size += found.len().div_ceil(1024);
    }
    Ok(format!(
        "Package: {}\nSource: operations-ext\nVersion: {}\nArchitecture: {}\nMaintainer: {MAINTAINER} <{ADDRESS}>\n\
         Installed-Size: {size}\nDepends: {}\nSuggests: {}\nSection: database\nPriority: optional\n\
         Description: {}\n {}\n",
        card.name,
        version(),
        architecture(),
        card.depends,
        card.suggests,
        card.summary,
        card.description.replace('\n', "\n "),
    ))
}

/// The licence in Debian's form.
fn copyright(licence: &[u8]) -> Vec<u8> {
    let licence = String::from_utf8_lossy(licence);
    let holder = licence.lines().find(|line| line.starts_with("Copyright")).unwrap_or_default();
    let holder = holder.trim_start_matches("Copyright (c) ").replacen(", ", " ", 1);
    let text: String = licence
        .lines()
        .filter(|line| !line.starts_with("Copyright") && *line != "PostgreSQL License")
        .skip_while(|line| line.is_empty())
        .map(|line| if line.is_empty() { " .\n".to_owned() } else { format!(" {line}\n") })
        .collect();
    let text = format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: operations_ext\n\n\
         Files: *\nCopyright: {holder}\nLicense: PostgreSQL\n{text}\
         Comment: The library has crates of others linked in, under licences of their own: operations_ext.cdx.json names them.\n"
    );
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_licence_is_whole_in_debians_form() {
        let licence = "PostgreSQL License\n\nCopyright (c) 2026, who made it\n\nMay be used.\n\nNo warranty.\n";
        let text = String::from_utf8_lossy(&copyright(licence.as_bytes())).into_owned();
        let wanted = "Copyright: 2026 who made it\nLicense: PostgreSQL\n May be used.\n .\n No warranty.\nComment:";
        assert!(text.contains(wanted), "{text}");
    }
}
