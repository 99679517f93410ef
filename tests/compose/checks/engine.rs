//! A Docker engine with Compose v2: the machine's own when one runs, otherwise one that is started here, on a socket, a network
//! bridge and a data folder of its own, and stopped at the end.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use operations_lab::checks::{Outcome, Stop, require};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::programs::{Finished, finish, wait};

/// No call of docker but a build takes longer.
const LIMIT: Duration = Duration::from_secs(120);

pub struct Engine {
    own: Option<OwnEngine>,
}

/// Without `must_have` an engine that would have to be started is not, and the checks are skipped.
pub fn get(state: &Path, must_have: bool) -> Outcome<Engine> {
    let mut engine = Engine { own: None };
    let answers =
        |engine: &Engine| Ok::<_, Stop>(engine.docker(&["version", "--format", "{{.Server.Version}}"])?.success);
    if !answers(&engine).unwrap_or(false) {
        if !must_have {
            return Err(Stop::Skipped(
                "no Docker engine runs: make test-compose brings one, or name a PATTERN".to_owned(),
            ));
        }
        engine.own = Some(OwnEngine::start(state)?);
    }
    let compose = engine.docker(&["compose", "version", "--short"])?.output().unwrap_or_default();
    let major = compose.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
    require(major.unwrap_or(0) >= 2, "docker compose (version 2) is missing: install it, or run make test-compose")?;
    let version = engine.docker(&["version", "--format", "{{.Server.Version}}"])?.output()?;
    println!("engine {version}, Compose {compose}");
    Ok(engine)
}

impl Engine {
    /// The program docker, with none of the caller's environment but where the engine is.
    pub fn command(&self) -> Command {
        let mut command = Command::new("docker");
        command.env_clear();
        for (name, value) in std::env::vars_os() {
            let kept = ["PATH", "HOME", "TMPDIR", "XDG_RUNTIME_DIR"].iter().any(|kept| name == *kept);
            if kept || name.to_string_lossy().starts_with("DOCKER_") {
                command.env(name, value);
            }
        }
        if let Some(own) = &self.own {
            command.env("DOCKER_HOST", own.address());
        }
        command
    }

    /// Runs docker with these arguments.
    pub fn docker(&self, arguments: &[&str]) -> Outcome<Finished> {
        let mut command = self.command();
        command.args(arguments);
        finish(command, LIMIT)
    }

    /// What docker prints with these arguments; it must succeed.
    pub fn ask(&self, arguments: &[&str]) -> Outcome<String> {
        self.docker(arguments)?.output()
    }

    /// The address of an engine that was started here.
    pub fn address(&self) -> Option<String> {
        self.own.as_ref().map(OwnEngine::address)
    }
}

struct OwnEngine {
    process: Child,
    folder: TempDir,
    bridge: String,
    log: PathBuf,
}

impl OwnEngine {
    fn start(state: &Path) -> Outcome<Self> {
        let installed = Command::new("dockerd").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        require(installed.is_ok_and(|status| status.success()), "no Docker engine runs, and dockerd is not installed")?;
        require(rustix::process::geteuid().is_root(), "no Docker engine runs, and only root can start one")?;
        let (data, log) = (state.join("docker"), state.join("dockerd.log"));
        println!("starting a Docker engine (data in {})", data.display());
        std::fs::create_dir_all(&data)?;
        let folder = tempfile::Builder::new().prefix("operations-test.").tempdir_in("/run")?;
        let output = File::create(&log)?;
        // Another engine of this machine has the bridge docker0.
        remove_bridges_of_the_dead()?;
        let bridge = format!("{BRIDGE}{}", std::process::id());
        ip(&["link", "add", "name", &bridge, "type", "bridge"])?;
        // It ends with us, however we end; a process group of its own, so that an interrupt leaves it to the clean-up.
        let mut dockerd = Command::new("setpriv");
        dockerd.args(["--pdeathsig", "TERM", "dockerd", "--bridge", &bridge, "--data-root"]).arg(&data);
        dockerd
            .arg("--exec-root")
            .arg(folder.path().join("exec"))
            .arg("--pidfile")
            .arg(folder.path().join("docker.pid"));
        dockerd.arg("--host").arg(format!("unix://{}", folder.path().join("docker.sock").display()));
        dockerd.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        let process = dockerd.spawn()?;
        let own = Self { process, folder, bridge, log };
        let address = own.address();
        wait(&format!("the Docker engine (log: {})", own.log.display()), 60, || {
            let mut info = Command::new("docker");
            info.args(["--host", &address, "info"]);
            finish(info, LIMIT)?.output()
        })?;
        Ok(own)
    }

    fn address(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    fn stop(&mut self) {
        let Some(pid) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) else { return };
        // It may have ended by itself.
        let _ = kill_process(pid, Signal::TERM);
        let ended = wait("the Docker engine to stop", 60, || match self.process.try_wait() {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(Stop::Failed("it runs".to_owned())),
            Err(error) => Err(error.into()),
        });
        if let Err(Stop::Failed(why) | Stop::Skipped(why)) = ended.and_then(|()| ip(&["link", "delete", &self.bridge]))
        {
            eprintln!("{why} (log: {})", self.log.display());
        }
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What a bridge of ours is called, before the process id of its owner.
const BRIDGE: &str = "optest-";

/// An owner that was killed could not remove it.
fn remove_bridges_of_the_dead() -> Outcome {
    for entry in std::fs::read_dir("/sys/class/net")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.strip_prefix(BRIDGE).is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
            ip(&["link", "delete", &name])?;
        }
    }
    Ok(())
}

/// Runs ip(8).
pub fn ip(arguments: &[&str]) -> Outcome<String> {
    let mut command = Command::new("ip");
    command.args(arguments);
    finish(command, LIMIT)?.output()
}
