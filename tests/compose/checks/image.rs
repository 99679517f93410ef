//! What the image is made of, and what the Compose files say.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use operations_lab::checkout;
use operations_lab::checks::{Outcome, require, same};

use crate::demo::Demo;
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
        &(2, 2),
        &(count("published:"), count("host_ip: 127.0.0.1")),
    )
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
        let compose = ["EXTRA_INIT", "POSTGRES_PASSWORD_FILE", "REPLICATION_PASSWORD_FILE"]
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

/// With another source file, the stage of the dependencies comes from the cache as it is.
pub fn source_change_keeps_the_dependencies(demo: &Demo) -> Outcome {
    let folder: PathBuf = demo.path("checkout");
    std::fs::create_dir_all(&folder)?;
    let ignored = std::fs::read_to_string(checkout().join(".dockerignore"))?;
    let let_in: BTreeSet<_> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    require(let_in.contains("src/"), ".dockerignore does not let src/ into the build")?;
    for line in let_in.into_iter().chain([".dockerignore", "compose.yaml"]) {
        copy(line, &folder)?;
    }
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
