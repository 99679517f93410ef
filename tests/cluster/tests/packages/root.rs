//! A Debian of its own, with nothing in it but what Debian calls essential, and a PostgreSQL as Debian's packages lay it out.
//!
//! For 16, which no Debian has, a package is made of the PostgreSQL that the tests use.

use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use operations_cluster::expect::major;
use operations_cluster::{Finished, finish};
use operations_lab::tools::{Major, Postgres, State, can_install, need_packages, which};
use tempfile::TempDir;

/// A root, deleted with this.
pub struct Root {
    folder: TempDir,
}

/// The Debian that has the major version.
fn debian() -> Option<&'static str> {
    Major::chosen().unwrap_or(Major::DEFAULT).debian()
}

/// Why there can be no root here.
pub fn missing() -> Option<&'static str> {
    (!can_install()).then_some("only root on Debian can make a root of its own")
}

impl Root {
    /// Debian alone.
    pub fn new(state: &State) -> Self {
        Self::unpacked(state, &base(state, None))
    }

    fn unpacked(state: &State, archive: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("root.").tempdir_in(roots(state)).unwrap();
        let root = Self { folder };
        let mut unpack = Command::new("tar");
        unpack.arg("--extract").arg("--file").arg(archive).arg("--directory").arg(root.path());
        finish(unpack).unwrap().success().unwrap();
        // mkdtemp's mode lets nobody in.
        let mut open = Command::new("chmod");
        open.arg("755").arg(root.path());
        finish(open).unwrap().success().unwrap();
        root
    }

    /// With the server, from a package.
    pub fn with_server(state: &State) -> Self {
        let server = format!("postgresql-{}", major());
        if debian().is_some() {
            return Self::unpacked(state, &base(state, Some(&server)));
        }
        let root = Self::new(state);
        make_server_package(&root, state);
        root.run("useradd --system --user-group --home-dir /var/lib/postgresql postgres").success().unwrap();
        root.run("dpkg --install /tmp/server.deb").success().unwrap();
        root.run("rm /tmp/server.deb && mkdir -p /run/postgresql && chown postgres: /run/postgresql")
            .success()
            .unwrap();
        root
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Puts a file into its /tmp.
    pub fn put(&self, file: &Path, name: &str) {
        std::fs::copy(file, self.path().join("tmp").join(name)).unwrap();
    }

    /// Runs a script in it as root. Whatever that starts ends with it.
    pub fn run(&self, script: &str) -> Finished {
        let mut command = Command::new("unshare");
        // Programs find the libraries beside them through /proc.
        let proc = format!("--mount-proc={}", self.path().join("proc").display());
        command.args(["--mount", "--pid", "--fork", "--kill-child", &proc, "chroot"]).arg(self.path());
        command
            .args(["sh", "-euc", script])
            .env_clear()
            .env("LC_ALL", "C.UTF-8")
            .env("DEBIAN_FRONTEND", "noninteractive");
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        finish(command).unwrap()
    }

    /// Makes a server, runs a script against it as its superuser, and stops it; returns what the script printed, errors too.
    pub fn with_running_server(&self, script: &str) -> Finished {
        let major = major();
        let bin = format!("/usr/lib/postgresql/{major}/bin");
        self.run(&format!(
            "cd /tmp
             cat >/tmp/script <<'end of script'
set -eu
export PATH={bin}:$PATH PGHOST=/run/postgresql
rm -rf /tmp/data
initdb --no-sync --auth=trust --pgdata=/tmp/data >/tmp/initdb.log 2>&1 || {{ cat /tmp/initdb.log; exit 1; }}
cat >>/tmp/data/postgresql.conf <<end
fsync = off
listen_addresses = ''
unix_socket_directories = '/run/postgresql'
end
start() {{ pg_ctl -s -w -D /tmp/data -l /tmp/log start || {{ cat /tmp/log; exit 1; }}; }}
stop() {{ pg_ctl -s -w -m fast -D /tmp/data stop; }}
sql() {{ psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --dbname postgres \"$@\" 2>&1; }}
start
{script}
stop
end of script
             runuser -u postgres -- sh /tmp/script
             rm -rf /tmp/data /tmp/log /tmp/initdb.log /tmp/script"
        ))
    }

    /// All files and folders that are not the system's own notes.
    pub fn files(&self) -> Vec<String> {
        let text = self
            .run("find / -xdev -path /proc -prune -o -path /var/lib/dpkg -prune -o -path /var/log -prune -o -print")
            .success()
            .unwrap();
        let mut files: Vec<_> = text.lines().map(str::to_owned).collect();
        files.sort();
        files
    }
}

/// Where roots are kept and made.
fn roots(state: &State) -> PathBuf {
    let folder = state.folder.join("roots");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The packed root, made once; with a package of Debian's.
fn base(state: &State, package: Option<&str>) -> PathBuf {
    let release = debian().unwrap_or("bookworm");
    let archive = roots(state).join(format!("{release}-{}.tar", package.unwrap_or("alone")));
    // Several tests want it at once.
    let lock = File::create(roots(state).join("lock")).unwrap();
    lock.lock().unwrap();
    if archive.exists() {
        return archive;
    }
    if which("debootstrap").is_none() {
        need_packages(state, "debootstrap", &["debootstrap"]).unwrap();
    }
    let folder = tempfile::tempdir_in(roots(state)).unwrap();
    let (made, packed) = (folder.path().join("root"), folder.path().join("root.tar"));
    let mut mirror = Command::new("sh");
    mirror.args(["-euc", "die() { echo \"$*\" >&2; exit 1; }; . \"$0\"; debian_mirror"]);
    mirror.arg(operations_lab::checkout().join("tests/compose/base/debian.sh"));
    let mirror = finish(mirror).unwrap().success().unwrap();
    let mut bootstrap = Command::new("debootstrap");
    bootstrap.arg("--variant=minbase").args(package.map(|package| format!("--include={package}")));
    bootstrap.arg(release).arg(&made).arg(mirror.trim());
    // One that is newer than this machine's debootstrap is made as what it comes from.
    let scripts = Path::new("/usr/share/debootstrap/scripts");
    bootstrap.arg(scripts.join(if scripts.join(release).exists() { release } else { "sid" }));
    finish(bootstrap).unwrap().success().unwrap();
    let mut pack = Command::new("tar");
    pack.args(["--create", "--exclude=./var/cache/apt/archives/*.deb", "--exclude=./var/lib/apt/lists/*"]);
    pack.arg("--file").arg(&packed).arg("--directory").arg(&made).arg(".");
    finish(pack).unwrap().success().unwrap();
    std::fs::rename(packed, &archive).unwrap();
    archive
}

/// Makes /tmp/server.deb: named as Debian's, with the PostgreSQL of the tests in Debian's folders.
fn make_server_package(root: &Root, state: &State) {
    let major = major();
    let postgres = Postgres::need(state).unwrap();
    let ask = |option: &str| {
        let mut command = Command::new(&postgres.config);
        command.arg(option);
        PathBuf::from(finish(command).unwrap().success().unwrap().trim())
    };
    let made = root.path().join("tmp/server");
    let (home, share) =
        (made.join(format!("usr/lib/postgresql/{major}")), made.join(format!("usr/share/postgresql/{major}")));
    let copy = |from: &Path, to: &Path| {
        std::fs::create_dir_all(to).unwrap();
        let mut command = Command::new("cp");
        command.args(["--recursive", "--dereference"]).arg(from.join(".")).arg(to);
        finish(command).unwrap().success().unwrap();
    };
    copy(&ask("--bindir"), &home.join("bin"));
    copy(&ask("--pkglibdir"), &home.join("lib"));
    copy(&ask("--sharedir"), &share);
    // It finds its folders from its programs on, and looks for these beside them.
    symlink(".", home.join("lib/postgresql")).unwrap();
    std::fs::create_dir(home.join("share")).unwrap();
    symlink(format!("/usr/share/postgresql/{major}"), home.join("share/postgresql")).unwrap();
    // The libraries that came with it in its wheel.
    for beside in std::fs::read_dir(ask("--bindir").join("../../..")).unwrap().flatten() {
        if beside.file_name().to_string_lossy().ends_with(".libs") {
            copy(&beside.path(), &made.join("usr/lib").join(beside.file_name()));
        }
    }
    // What the tests have installed there must not be there before the package is.
    for file in [home.join("lib/operations_ext.so"), share.join("extension/operations_ext.control")] {
        let _ = std::fs::remove_file(file);
    }
    for entry in std::fs::read_dir(share.join("extension")).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("operations_ext--") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    std::fs::create_dir(made.join("DEBIAN")).unwrap();
    let control = format!(
        "Package: postgresql-{major}\nVersion: {major}.0-1\nArchitecture: all\nMaintainer: tests <tests@localhost>\n\
         Description: PostgreSQL of the tests\n"
    );
    std::fs::write(made.join("DEBIAN/control"), control).unwrap();
    let mut build = Command::new("dpkg-deb");
    build.args(["--root-owner-group", "-Znone", "--build"]).arg(&made).arg(root.path().join("tmp/server.deb"));
    finish(build).unwrap().success().unwrap();
    std::fs::remove_dir_all(&made).unwrap();
}
