//! The Compose demo on a real Docker engine.

use clap::Args;
use operations_lab::Error;
use operations_lab::tools::{State, need_packages, which};
use operations_lab::{checkout, server};

use super::suites::succeeds;

/// Tests the Compose demo on a real Docker engine: all checks, or those whose names contain a PATTERN.
///
/// As root on Debian it installs what is missing. It fails where no engine can be had.
#[derive(Args)]
pub struct TestCompose {
    /// Parts of names of checks
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
}

impl TestCompose {
    /// Runs the command; returns its exit code.
    pub fn run(&self) -> Result<u8, Error> {
        let state = State::find()?;
        let answers = |text: &str| {
            let mut asked = std::process::Command::new("sh");
            asked.args(["-c", text]);
            server::finish(asked).is_ok_and(|answer| answer.is_success())
        };
        let is_there = |program: &str| which(program).is_some();
        if !answers("docker info") {
            if !["docker", "dockerd"].into_iter().all(is_there) {
                need_packages(&state, "a Docker engine", &["docker.io", "iptables"])?;
            }
            if !is_there("debootstrap") {
                need_packages(&state, "debootstrap", &["debootstrap"])?;
            }
        }
        if !answers("docker compose version --short | grep -Eq '^v?([2-9]|[1-9][0-9])\\.'") {
            let mut script = std::process::Command::new("bash");
            script.arg(checkout().join("tests/compose/base/install-compose.sh")).arg(state.folder.join("compose/apt"));
            if !succeeds(script)? {
                return Err(Error::AlreadyPrinted);
            }
        }
        // To cut and slow down the containers' networks.
        if !is_there("tc") {
            need_packages(&state, "ip and tc", &["iproute2"])?;
        }
        let mut cargo = std::process::Command::new("cargo");
        server::clean(&mut cargo);
        cargo.current_dir(checkout()).env("OPERATIONS_COMPOSE_CHECKS", "all").env("STATE_DIR", &state.folder);
        cargo.args(["test", "--locked", "-p", "operations_compose_checks", "--"]).args(&self.patterns);
        let passed = succeeds(cargo)?;
        // CI keeps nothing.
        if std::env::var_os("CI").is_some_and(|ci| !ci.is_empty()) {
            let mut remove = std::process::Command::new("rm");
            remove.args(["-rf", "--one-file-system"]).arg(state.folder.join("compose"));
            succeeds(remove)?;
        }
        Ok(u8::from(!passed))
    }
}
