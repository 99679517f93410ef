//! What the image is made of, and what the Compose files say.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use operations_lab::checkout;
use operations_lab::checks::{Outcome, require, same};

use crate::bases;
use crate::demo::{Demo, took_at_most};
use crate::programs::finish;

/// What ships, with nothing in the environment: the tests' own settings are build arguments and ports, no more.
pub fn defaults_are_as_documented(demo: &Demo) -> Outcome {
    let config = demo.plain_compose(&checkout().join("compose.yaml")).run(&["config"])?;
    for wanted in [
        "PG_MAJOR: \"16\"",
        "POSTGRES_IMAGE: postgres:16-bookworm",
        "RUST_IMAGE: rust:1.95-bookworm",
        "host_ip: 127.0.0.1",
        "published: \"5432\"",
        "published: \"5433\"",
        "published: \"8080\"",
        "POSTGRES_DB: operations_db",
        "POSTGRES_USER: postgres",
        "POSTGRES_PASSWORD: postgres",
        "REPLICATION_USER: replicator",
        "REPLICATION_PASSWORD: \"123123\"",
        "REPLICATION_ALLOW: samenet",
        "restart: unless-stopped",
        "stop_grace_period: 1m0s",
    ] {
        require(config.contains(wanted), format!("compose.yaml does not say {wanted} by default"))?;
    }
    let count = |text: &str| config.lines().filter(|line| line.contains(text)).count();
    same(
        "published ports, and those of them on the loopback address",
        &(3, 3),
        &(count("published:"), count("host_ip: 127.0.0.1")),
    )
}

/// Of the profile, too: no port is open to others, each image is of one version, and Grafana lets nobody change anything who does not
/// know the password.
pub fn monitoring_is_as_documented(demo: &Demo) -> Outcome {
    let compose = demo.plain_compose(&checkout().join("compose.yaml"));
    let config = compose.run(&["--profile", "monitoring", "config"])?;
    let count = |text: &str| config.lines().filter(|line| line.contains(text)).count();
    let published = count("published:");
    require(published >= 4, format!("{published} ports are published"))?;
    same("published ports, and those of them on the loopback address", &published, &count("host_ip: 127.0.0.1"))?;
    for wanted in ["image: prom/prometheus:v", "image: grafana/grafana:", "GF_AUTH_ANONYMOUS_ORG_ROLE: Viewer"] {
        require(config.contains(wanted), format!("compose.yaml does not say {wanted}"))?;
    }
    require(!config.contains(":latest"), "an image is of no version")
}

/// compose.yaml alone and with each set of the files that are laid over it.
pub fn compose_files_fit_together(demo: &Demo) -> Outcome {
    let mut over = vec![checkout().join("tests/compose/extra-init.yaml")];
    for entry in std::fs::read_dir(checkout().join("docker"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            over.push(path);
        }
    }
    require(over.len() >= 2, format!("few files: {over:?}"))?;
    for chosen in 0..1_u32 << over.len() {
        let files: Vec<_> = (0..over.len()).filter(|bit| chosen >> bit & 1 == 1).map(|bit| &over[bit]).collect();
        let compose = files.iter().fold(demo.compose(), |compose, file| compose.file(*file));
        let compose = ["EXTRA_INIT", "POSTGRES_PASSWORD_FILE", "REPLICATION_PASSWORD_FILE", "LAB_PASSWORD_FILE"]
            .into_iter()
            .fold(compose, |compose, name| compose.env(name, demo.log_file().to_string_lossy()));
        compose.run(&["config", "--quiet"])?;
    }
    Ok(())
}

pub fn image_has_no_toolchain(demo: &Demo) -> Outcome {
    demo.need()?;
    let primary = demo.primary().container()?;
    for program in ["cargo", "rustc", "cc", "make", "clang"] {
        let found = primary.try_exec("root", &["sh", "-c", &format!("command -v {program}")])?;
        found.refused(&format!("the image should not ship {program}"))?;
    }
    primary.exec("root", &["test", "!", "-e", "/usr/local/cargo"])?;
    Ok(())
}

/// CREATE EXTENSION runs the files of the checkout.
pub fn image_has_the_extension_of_the_checkout(demo: &Demo) -> Outcome {
    demo.need()?;
    let primary = demo.primary();
    let version = env!("CARGO_PKG_VERSION");
    let share = primary.ask("SELECT setting FROM pg_catalog.pg_config WHERE name = 'SHAREDIR'")?;
    let script = format!("operations_ext--{version}.sql");
    let installed = primary.container()?.exec("root", &["cat", &format!("{share}/extension/{script}")])?;
    let ours = std::fs::read_to_string(checkout().join("sql").join(&script))?;
    require(installed == ours.trim_end_matches('\n'), format!("the image's {script} is not the one in sql/"))?;
    let default = "SELECT default_version FROM pg_catalog.pg_available_extensions WHERE name = 'operations_ext'";
    primary.answers("default version", default, version)
}

/// Copies what a line of .dockerignore lets into the build.
fn copy(line: &str, to: &Path) -> Outcome {
    let mut command = Command::new("cp");
    command.args(["-r", "--parents", "--"]).arg(line.trim_end_matches('/')).arg(to).current_dir(checkout());
    finish(command, Duration::from_secs(60))?.output()?;
    Ok(())
}

/// All that the image is built of, in a folder of the checks.
fn copy_of_the_checkout(demo: &Demo, name: &str) -> Outcome<PathBuf> {
    let folder: PathBuf = demo.path(name);
    std::fs::create_dir_all(&folder)?;
    let ignored = std::fs::read_to_string(checkout().join(".dockerignore"))?;
    let let_in: BTreeSet<_> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    require(let_in.contains("src/"), ".dockerignore does not let src/ into the build")?;
    // The packages are there only where somebody has made them.
    let is_there = |line: &&str| checkout().join(line).exists();
    for line in let_in.into_iter().filter(is_there).chain([".dockerignore", "compose.yaml"]) {
        copy(line, &folder)?;
    }
    Ok(folder)
}

/// With another source file, the stage of the dependencies comes from the cache as it is.
pub fn source_change_keeps_the_dependencies(demo: &Demo) -> Outcome {
    let folder = copy_of_the_checkout(demo, "checkout")?;
    let library = folder.join("src/lib.rs");
    std::fs::write(&library, format!("{}// changed\n", std::fs::read_to_string(&library)?))?;
    let (image, stage) = ("operations-test/dependencies", folder.join("dependencies.yaml"));
    let yaml = format!("services:\n  postgres_primary:\n    image: {image}\n    build:\n      target: dependencies\n");
    std::fs::write(&stage, yaml)?;
    let build = demo.compose().instead_of_the_checkout(&folder.join("compose.yaml")).file(stage);
    let built = build.try_run(&["build", "postgres_primary"])?;
    let answer = built.text();
    built.output()?;
    demo.engine.ask(&["image", "rm", image])?;
    require(answer.contains("CACHED"), "nothing came from the cache")?;
    require(!answer.contains("Compiling"), "a change in src/ builds the dependencies anew")
}

/// Makes packages of what the image has, in /dist of a container: this major is not the one that make package is tried with.
const MAKE_PACKAGES: &str = r#"
pack() {
    name=$1 depends=$2
    shift 2
    mkdir -p "/made/$name/DEBIAN"
    cp --parents --target-directory "/made/$name" "$@"
    printf 'Package: %s\nVersion: 0.1.0-1\nArchitecture: %s\nMaintainer: tests <tests@localhost>\nDepends: %s\nDescription: tests\n' \
        "$name" "$(dpkg --print-architecture)" "$depends" >"/made/$name/DEBIAN/control"
    dpkg-deb --build "/made/$name" "/dist/${name}_0.1.0-1_tests.deb"
}
mkdir /dist
pack "postgresql-$PG_MAJOR-operations-ext" "postgresql-$PG_MAJOR" "/usr/lib/postgresql/$PG_MAJOR/lib/operations_ext.so" \
    "/usr/share/postgresql/$PG_MAJOR/extension"/operations_ext*
mv /usr/local/bin/operations-lab /usr/bin/
pack operations-lab libc6 /usr/bin/operations-lab
"#;

/// With packages in dist/ nothing is compiled.
pub fn image_is_made_of_packages(demo: &Demo) -> Outcome {
    let folder = copy_of_the_checkout(demo, "packaged")?;
    // Those that are there may be of another major.
    let dist = folder.join("dist");
    if dist.exists() {
        std::fs::remove_dir_all(&dist)?;
    }
    let (image, container) = ("operations-test/packaged", "operations-test-packages");
    let entrypoint = ["run", "--name", container, "--user", "root", "--entrypoint", "sh", &bases::DEMO_IMAGE, "-euc"];
    demo.engine.ask(&[&entrypoint[..], &[MAKE_PACKAGES]].concat())?;
    let copied = demo.engine.ask(&["cp", &format!("{container}:/dist"), &dist.to_string_lossy()]);
    demo.engine.ask(&["rm", container])?;
    copied?;

    let stage = folder.join("packaged.yaml");
    std::fs::write(&stage, format!("services:\n  postgres_primary:\n    image: {image}\n"))?;
    let build = || {
        let compose = demo.compose().instead_of_the_checkout(&folder.join("compose.yaml")).file(stage.clone());
        compose.env("EXTENSION_FROM", "package").try_run(&["build", "postgres_primary"])
    };
    let began = Instant::now();
    let built = build()?;
    let answer = built.text();
    built.output()?;
    took_at_most(began, 60, "the build of the image from packages")?;
    std::fs::copy(dist.join("operations-lab_0.1.0-1_tests.deb"), dist.join("operations-lab_0.0.9-1_tests.deb"))?;
    let several = build()?.refused("there are two packages of operations-lab");
    let version = demo.engine.ask(&["run", "--rm", "--entrypoint", "operations-lab", image, "--version"]);
    let look =
        "cat /usr/share/postgresql/$PG_MAJOR/extension/operations_ext.control; ls /usr/lib/postgresql/$PG_MAJOR/lib";
    let files = demo.engine.ask(&["run", "--rm", "--entrypoint", "sh", image, "-euc", look]);
    demo.engine.ask(&["image", "rm", image])?;
    require(!answer.contains("Compiling"), "something was compiled")?;
    let several = several?.text();
    require(several.contains("error: dist/ has several packages operations-lab: leave one of them"), several)?;
    let wanted = format!("operations-lab {}", env!("CARGO_PKG_VERSION"));
    same("the program", wanted.as_str(), version?.trim())?;
    let files = files?;
    require(files.contains("default_version = '") && files.contains("operations_ext.so"), files)
}
