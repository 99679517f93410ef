//! The packages, installed into a Debian that has a PostgreSQL and nothing to build with.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod root;

use std::path::Path;
use std::process::Command;

use operations_cluster::expect::{major, skipped};
use operations_cluster::finish;
use operations_lab::checkout;
use operations_lab::package::{META, Names, SUMS, make};
use operations_lab::tools::State;
use tempfile::TempDir;

use root::Root;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Everything the extension is for, with the job that the worker runs; prints "good" at the end.
const WORKLOAD: &str = "
sql -c 'create extension operations_ext' -c 'call operations_setup()'
sql -c \"call operations_test_data('2025-08-01', '2025-11-30', 20000, 42)\" >/dev/null
sql -c 'call operation_insert_one()' -c 'call change_status()'
[ \"$(sql -c 'select count(*) from operations')\" = 20001 ]
[ \"$(sql -c 'select count(*) > 5000 from operations where status = 1')\" = t ]
same='select (select sum(total_amount) from client_type_sum_mv) = (select sum(amount) from operations where status = 1)'
[ \"$(sql -c \"$same\")\" = t ]
[ -z \"$(sql -c 'select * from operations_verify_rollup()')\" ]
stop
echo \"shared_preload_libraries = 'operations_ext'\noperations_ext.database = 'postgres'\" >>/tmp/data/postgresql.conf
start
sql -c 'call operations_schedule()'
# The worker's first insert, for which there are 60 seconds.
sql -c \"do 'declare ends timestamptz := clock_timestamp() + ''60 s''; begin
    while (select count(*) from operations) < 20002 loop
        if clock_timestamp() > ends then raise ''the worker inserts nothing''; end if;
        perform pg_sleep(0.1);
    end loop;
end'\"
sql -c 'drop extension operations_ext cascade' >/dev/null
echo good";

struct Made {
    names: Names,
    folder: TempDir,
    state: State,
}

impl Made {
    fn new() -> Self {
        let state = State::find().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let names = make(&state, folder.path(), false).unwrap();
        Self { names, folder, state }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

/// Each file is whole, and says what it has to.
#[test]
fn packages_are_whole() {
    let major = major();
    let made = Made::new();
    let mut check = Command::new("sha256sum");
    check.current_dir(made.folder.path()).args(["--strict", "--check", SUMS]);
    let checked = finish(check).unwrap().success().unwrap();
    let files = [&made.names.debian, &made.names.archive, &made.names.source, &made.names.sbom, META];
    for name in files {
        assert!(checked.contains(&format!("{name}: OK")), "{name}: {checked}");
    }
    let found = std::fs::read_dir(made.folder.path()).unwrap().count();
    assert_eq!(found, files.len() + 1, "each file has a sum, and the sums are one more");

    let mut show = Command::new("dpkg-deb");
    show.arg("--field").arg(made.path(&made.names.debian));
    let fields = finish(show).unwrap().success().unwrap();
    for wanted in [
        format!("Package: postgresql-{major}-operations-ext"),
        format!("Version: {}-1", VERSION.replace('-', "~")),
        format!("Depends: postgresql-{major}, libc6 (>= 2."),
    ] {
        assert!(fields.contains(&wanted), "{wanted}: {fields}");
    }
    let mut list = Command::new("dpkg-deb");
    list.arg("--contents").arg(made.path(&made.names.debian));
    let list = finish(list).unwrap().success().unwrap();
    let documents = format!("./usr/share/doc/postgresql-{major}-operations-ext");
    for wanted in [
        format!("./usr/lib/postgresql/{major}/lib/operations_ext.so"),
        format!("./usr/share/postgresql/{major}/extension/operations_ext.control"),
        format!("./usr/share/postgresql/{major}/extension/operations_ext--{VERSION}.sql"),
        format!("{documents}/copyright"),
        format!("{documents}/changelog.Debian.gz"),
    ] {
        assert!(list.lines().any(|line| line.ends_with(&wanted)), "{wanted}: {list}");
    }
    assert!(list.lines().all(|line| line.contains(" root/root ")), "{list}");

    // Nothing of this machine's folders is in the library.
    let mut unpack = Command::new("dpkg-deb");
    unpack.arg("--extract").arg(made.path(&made.names.debian)).arg(made.path("root"));
    finish(unpack).unwrap().success().unwrap();
    let library = format!("root/usr/lib/postgresql/{major}/lib/operations_ext.so");
    let bytes = std::fs::read(made.path(&library)).unwrap();
    for variable in ["HOME", "CARGO_HOME"] {
        let Some(folder) = std::env::var_os(variable) else { continue };
        absent(&bytes, Path::new(&folder));
    }
    absent(&bytes, checkout());

    let read =
        |name: &str| -> serde_json::Value { serde_json::from_slice(&std::fs::read(made.path(name)).unwrap()).unwrap() };
    let meta = read(META);
    assert_eq!(meta["provides"]["operations_ext"]["version"], VERSION);
    let file = meta["provides"]["operations_ext"]["file"].as_str().unwrap();
    assert!(checkout().join(file).exists(), "{file}");
    let bom = read(&made.names.sbom);
    let components = bom["components"].as_array().unwrap();
    for name in ["pgrx", "operations_model", "rand"] {
        assert!(components.iter().any(|component| component["name"] == name), "{name} is linked");
    }
    // The tests' and the program's crates are not.
    for name in ["pgrx-tests", "axum", "operations_lab"] {
        assert!(components.iter().all(|component| component["name"] != name), "{name} is not linked");
    }
    for component in components {
        assert!(component["licenses"][0]["expression"].is_string(), "{component}");
        assert!(
            component["name"] == "operations_model" || component["hashes"][0]["content"].is_string(),
            "{component}"
        );
    }
}

#[track_caller]
fn absent(bytes: &[u8], folder: &Path) {
    let wanted = format!("{}/", folder.display());
    let found = bytes.windows(wanted.len()).any(|part| part == wanted.as_bytes());
    assert!(!found, "{wanted} is in the library");
}

#[test]
fn the_debian_package_works_and_leaves_nothing() {
    let major = major();
    if let Some(why) = root::missing() {
        return skipped("the_debian_package_works_and_leaves_nothing", why);
    }
    let made = Made::new();
    let package = format!("postgresql-{major}-operations-ext");

    // Without the server it is not configured, and dpkg says what it wants.
    let bare = Root::new(&made.state);
    bare.put(&made.path(&made.names.debian), "package.deb");
    let refused = bare.run("dpkg --install /tmp/package.deb");
    let wanted = format!("{package} depends on postgresql-{major}");
    assert!(!refused.is_success() && refused.stderr.contains(&wanted), "{refused:?}");
    for_another_processor(&made, &bare.path().join("tmp/other.deb"));
    let refused = bare.run("dpkg --install /tmp/other.deb");
    let wanted = "package architecture (s390x) does not match system";
    assert!(!refused.is_success() && refused.stderr.contains(wanted), "{refused:?}");
    drop(bare);

    let root = Root::with_server(&made.state);
    assert!(!root.run("command -v cc || command -v gcc || command -v cargo").is_success(), "a toolchain is there");
    let before = root.files();
    root.put(&made.path(&made.names.debian), "package.deb");
    root.run("dpkg --install /tmp/package.deb && dpkg --verify").success().unwrap();
    let worked = root.with_running_server(WORKLOAD);
    assert!(worked.is_success() && worked.stdout.ends_with("good\n"), "{worked:?}");
    // Again, over itself.
    root.run("dpkg --install /tmp/package.deb && rm /tmp/package.deb").success().unwrap();

    // Half of it: the server names the file that is missing.
    let library = format!("/usr/lib/postgresql/{major}/lib/operations_ext.so");
    root.run(&format!("mv {library} /tmp/aside")).success().unwrap();
    let half = root.with_running_server("sql -c 'create extension operations_ext' || true");
    // PostgreSQL 18 leaves out $libdir.
    let said = half.stdout.replace("$libdir/", "");
    assert!(said.contains("could not access file \"operations_ext\": No such file"), "{half:?}");
    // The library of another machine: the byte that says for which processor it is.
    root.run(&format!(
        "printf '\\363' | dd of=/tmp/aside bs=1 seek=18 conv=notrunc 2>/dev/null; mv /tmp/aside {library}"
    ))
    .success()
    .unwrap();
    let other = root.with_running_server("sql -c 'create extension operations_ext' || true");
    let wanted = format!("could not load library \"/usr/lib/postgresql/{major}/lib/");
    assert!(other.stdout.contains(&wanted), "{other:?}");
    let verified = root.run(&format!("dpkg --verify {package}"));
    assert!(verified.stdout.contains(&library), "{verified:?}");

    // A server that is told to load it would not start again.
    let main = format!("/etc/postgresql/{major}/main");
    let removed = root.run(&format!(
        "mkdir -p {main}/conf.d; echo \"#shared_preload_libraries = 'operations_ext'\" >{main}/postgresql.conf
         echo \"shared_preload_libraries = 'pg_cron, operations_ext'\" >{main}/conf.d/lab.conf
         dpkg --remove {package}; rm -r {main}; rmdir --ignore-fail-on-non-empty --parents /etc/postgresql/{major}"
    ));
    let warned = removed.stderr.contains("names operations_ext in shared_preload_libraries. Take it out of\n");
    assert!(removed.is_success() && warned, "{removed:?}");
    assert!(removed.stderr.contains(&format!("  {main}/conf.d/lab.conf\n")), "{removed:?}");
    assert!(!removed.stderr.contains("postgresql.conf"), "{removed:?}");
    root.run(&format!("dpkg --purge {package}")).success().unwrap();
    assert_eq!(root.files(), before, "after the purge");
    let gone = root.with_running_server("sql -c 'create extension operations_ext' || true");
    assert!(gone.stdout.contains("extension \"operations_ext\" is not available"), "{gone:?}");
}

/// Packs the package anew, for a processor that this machine does not have.
fn for_another_processor(made: &Made, package: &Path) {
    let mut unpack = Command::new("dpkg-deb");
    unpack.arg("--raw-extract").arg(made.path(&made.names.debian)).arg(made.path("raw"));
    finish(unpack).unwrap().success().unwrap();
    let control = made.path("raw/DEBIAN/control");
    let text = std::fs::read_to_string(&control).unwrap();
    let other = text
        .replace("Architecture: amd64", "Architecture: s390x")
        .replace("Architecture: arm64", "Architecture: s390x");
    assert_ne!(text, other);
    std::fs::write(&control, other).unwrap();
    let mut build = Command::new("dpkg-deb");
    build.args(["--root-owner-group", "-Znone", "--build"]).arg(made.path("raw")).arg(package);
    finish(build).unwrap().success().unwrap();
}

#[test]
fn the_archive_installs_and_leaves_nothing() {
    let major = major();
    if let Some(why) = root::missing() {
        return skipped("the_archive_installs_and_leaves_nothing", why);
    }
    let made = Made::new();
    let root = Root::with_server(&made.state);
    let before = root.files();
    root.put(&made.path(&made.names.archive), "archive.tar.gz");
    root.run("cd /tmp && tar -xzf archive.tar.gz").success().unwrap();
    let folder = format!("/tmp/{}", made.names.folder);
    let install = |words: &str| root.run(&format!("sh {folder}/install.sh {words}"));
    let refuses = |words: &str, why: &str| {
        let answer = install(words);
        assert!(!answer.is_success() && answer.stderr.contains(why), "{words}: {answer:?}");
        assert!(!answer.stderr.contains("No such file"), "one clear error: {answer:?}");
    };

    refuses("--force", "error: --force is no option");
    let help = install("--help").success().unwrap();
    assert!(help.ends_with("the one of Debian's package.\n") && help.contains("[--uninstall] [PG_CONFIG]"), "{help}");
    let nothing = install("--uninstall").success().unwrap();
    assert!(nothing.starts_with("There is no operations_ext in PostgreSQL"), "{nothing}");
    refuses("/usr/bin/env", "error: /usr/bin/env is not a pg_config that runs\n");
    refuses("/no/pg_config", "error: /no/pg_config is not a pg_config that runs");
    let other = major + 1;
    root.run(&format!("printf '#!/bin/sh\\necho PostgreSQL {other}.1\\n' >/tmp/pg_config && chmod +x /tmp/pg_config"))
        .success()
        .unwrap();
    refuses(
        "/tmp/pg_config",
        &format!("error: /tmp/pg_config is of PostgreSQL {other}.1, and this is for PostgreSQL {major}"),
    );
    let found = root.run(&format!("mv /usr/lib/postgresql/{major}/bin/pg_config /tmp/aside; PATH=/tmp:$PATH sh {folder}/install.sh || true; mv /tmp/aside /usr/lib/postgresql/{major}/bin/pg_config"));
    let wanted =
        format!("error: found no PostgreSQL {major} (/tmp/pg_config is of PostgreSQL {other}.1): sh install.sh");
    assert!(found.stderr.contains(&wanted), "{found:?}");
    let machine = root.run(&format!(
        "mkdir /tmp/bin && printf '#!/bin/sh\\necho s390x\\n' >/tmp/bin/uname && chmod +x /tmp/bin/uname
         PATH=/tmp/bin:$PATH sh {folder}/install.sh"
    ));
    assert!(machine.stderr.contains("machines, and this one is s390x"), "{machine:?}");
    let user = root.run(&format!("runuser -u postgres -- sh {folder}/install.sh"));
    assert!(!user.is_success() && user.stderr.contains("cannot be written: run this as root"), "{user:?}");
    // Root runs no program that another user can replace.
    let theirs = format!("#!/bin/sh\\ntouch /tmp/ran\\necho PostgreSQL {major}.1\\n");
    root.run(&format!(
        "install -d -o nobody /tmp/theirs && printf '{theirs}' >/tmp/theirs/pg_config && chmod +x /tmp/theirs/pg_config"
    ))
    .success()
    .unwrap();
    refuses("/tmp/theirs/pg_config", "error: /tmp/theirs/pg_config is not root's alone: run this as its owner");
    assert!(!root.path().join("tmp/ran").exists(), "it was run");
    let extension = format!("/usr/share/postgresql/{major}/extension");
    root.run(&format!("chmod o+w {extension}")).success().unwrap();
    refuses("", "/extension is not root's alone: run this as its owner");
    root.run(&format!("chmod o-w {extension}")).success().unwrap();
    let control = format!("{extension}/operations_ext.control");
    assert!(!root.path().join(&control[1..]).exists(), "something was installed all the same");

    // What somebody has put among the files of the archive, where that was unpacked in a folder of theirs.
    root.run(&format!("touch {folder}/extension/operations_ext--0.1.0--9.sql")).success().unwrap();
    let installed = install("").success().unwrap();
    assert!(installed.contains(&format!("Installed operations_ext {VERSION} into PostgreSQL {major}")), "{installed}");
    let added = root.run(&format!("ls {extension} | grep -e --9 -e new"));
    assert!(!added.is_success(), "{added:?}");
    let worked = root.with_running_server(WORKLOAD);
    assert!(worked.is_success() && worked.stdout.ends_with("good\n"), "{worked:?}");
    // Again, over itself.
    install(&format!("/usr/lib/postgresql/{major}/bin/pg_config")).success().unwrap();

    let removed = install("--uninstall").success().unwrap();
    assert!(removed.contains("Removed operations_ext from PostgreSQL"), "{removed}");
    assert!(removed.contains("shared_preload_libraries"), "{removed}");

    // A download that broke off.
    root.run(&format!("truncate --size=-1 {folder}/lib/operations_ext.so")).success().unwrap();
    let half = install("");
    assert!(!half.is_success() && half.stderr.contains("are not those of the archive: unpack it again"), "{half:?}");
    root.run(&format!("rm -r {folder} /tmp/archive.tar.gz /tmp/bin /tmp/pg_config /tmp/theirs")).success().unwrap();
    assert_eq!(root.files(), before, "after it was removed");
}

/// That of this checkout, and one that is built in another folder.
#[test]
fn two_builds_of_one_commit_are_the_same() {
    let mut status = Command::new("git");
    status.args(["-c", "safe.directory=*", "status", "--porcelain"]).current_dir(checkout());
    if !finish(status).unwrap().success().unwrap().is_empty() {
        return skipped("two_builds_of_one_commit_are_the_same", "the checkout has changes that no commit has");
    }
    let made = Made::new();
    let work = tempfile::tempdir().unwrap();
    let (sources, out) = (work.path().join("elsewhere/sources"), work.path().join("dist"));
    let mut clone = Command::new("git");
    clone.args(["-c", "safe.directory=*", "clone", "--quiet"]).arg(checkout()).arg(&sources);
    finish(clone).unwrap().success().unwrap();
    // This program, for the other folder.
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| checkout().join("target"), std::path::PathBuf::from);
    let mut package = Command::new(target.join("debug/operations-lab"));
    package.args(["package", "--no-program", "--out"]).arg(&out).current_dir("/").env("OPERATIONS_CHECKOUT", &sources);
    package.env("STATE_DIR", &made.state.folder).env_remove("CARGO_TARGET_DIR").env_remove("SOURCE_DATE_EPOCH");
    finish(package).unwrap().success().unwrap();
    let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap();
    assert_eq!(read(made.path(SUMS)), read(out.join(SUMS)));
}

/// By the network's own check.
#[test]
fn the_network_takes_the_meta_file() {
    let made = Made::new();
    let home = made.state.folder.join("pgxn_meta");
    let program = home.join("bin/pgxn_meta");
    if !program.exists() {
        let mut install = Command::new("cargo");
        install.args(["install", "pgxn_meta", "--version", "=0.7.0", "--locked", "--debug", "--root"]).arg(&home);
        install.env("CARGO_PROFILE_DEV_DEBUG", "0").env_remove("CARGO_TARGET_DIR");
        finish(install).unwrap().success().unwrap();
    }
    let check = |text: &str| {
        let file = made.path("checked.json");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(&program);
        command.arg(&file);
        finish(command).unwrap()
    };
    let meta = std::fs::read_to_string(made.path(META)).unwrap();
    let checked = check(&meta);
    assert!(checked.is_success(), "{checked:?}");
    // It is one that refuses.
    let refused = check(&meta.replace("\"license\"", "\"licence\""));
    assert!(!refused.is_success(), "{refused:?}");
}

/// By the format's own schema.
#[test]
fn the_list_of_crates_is_valid() {
    let made = Made::new();
    let modules = made.state.folder.join("cyclonedx");
    if !modules.exists() {
        let partial = tempfile::tempdir_in(&made.state.folder).unwrap();
        let mut pip = Command::new("python3");
        pip.args(["-I", "-m", "pip", "install", "--quiet", "--target"]).arg(partial.path());
        pip.arg("cyclonedx-python-lib[json-validation]==11.12.0");
        finish(pip).unwrap().success().unwrap();
        std::fs::rename(partial.keep(), &modules).unwrap();
    }
    let check = |text: &str| {
        let file = made.path("checked.json");
        std::fs::write(&file, text).unwrap();
        let script = "import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
print(JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read()) or 'valid')";
        let mut python = Command::new("python3");
        python.args(["-c", script]).arg(&file).env("PYTHONPATH", &modules);
        finish(python).unwrap().success().unwrap()
    };
    let bom = std::fs::read_to_string(made.path(&made.names.sbom)).unwrap();
    assert_eq!(check(&bom), "valid\n");
    // It is one that refuses.
    assert_ne!(check(&bom.replacen("\"type\": \"library\"", "\"type\": \"shelf\"", 1)), "valid\n");
}
