//! All tools at hand: what tests, lints and the benchmark run with.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use crate::checkout;
use crate::error::{Context, Error};
use crate::server::{DataDirectory, LIMIT, Stop, clean};
use crate::tools::memory::{self, InMemory};
use crate::tools::state::{need_checkout, server_folder};
use crate::tools::{Major, Postgres, State, cargo_pgrx, extension, packages, shim, step, wheel_programs};

/// The folder of the servers that tests make, in the state folder.
const SERVERS: &str = "tests";

/// The tools, and the environment in which they find each other.
#[derive(Debug)]
pub struct Toolbox {
    /// Where they are kept.
    pub state: State,
    /// The PostgreSQL that is used.
    pub postgres: Postgres,
    pgrx_home: PathBuf,
    servers: PathBuf,
    /// The folder of the servers on the disk, also where they are in memory.
    disk: PathBuf,
    memory: Option<InMemory>,
    pgrx_servers: PathBuf,
    path: OsString,
}

impl Toolbox {
    /// Gets what is missing.
    pub fn open() -> Result<Self, Error> {
        need_checkout()?;
        let state = State::find()?;
        packages::need_c_toolchain(&state)?;
        let first = cargo_pgrx::need(&state)?;
        let postgres = Postgres::need(&state)?;
        let path = with_first(first, &std::env::var_os("PATH").unwrap_or_default())?;
        let disk = server_folder(&state, SERVERS)?;
        Ok(Self {
            pgrx_home: cargo_pgrx::home(&state)?,
            servers: disk.clone(),
            disk,
            memory: None,
            pgrx_servers: server_folder(&state, "pgrx-test")?,
            state,
            postgres,
            path,
        })
    }

    /// Has the tests make their servers in memory from now on, where there is enough of it.
    pub fn work_in_memory(&mut self) -> Result<(), Error> {
        for folder in memory::left_over() {
            self.end_servers_in(&memory::servers(&folder))?;
            std::fs::remove_dir_all(&folder).context(|| format!("remove {}", folder.display()))?;
        }
        self.memory = InMemory::make(&self.state)?;
        if let Some(memory) = &self.memory {
            self.servers = memory.servers();
        }
        Ok(())
    }

    /// Builds the extension and installs it.
    pub fn install_extension(&self) -> Result<(), Error> {
        extension::install(&self.state, &self.postgres)
    }

    /// Installs the scripts of the checkout to the library that cargo-pgrx has installed with what it makes of the sources.
    pub fn install_scripts(&self) -> Result<(), Error> {
        extension::install_files(&self.postgres)
    }

    /// Gets a program that `native/programs/` names.
    pub fn need_program(&mut self, name: &str) -> Result<(), Error> {
        let folder = wheel_programs::need(&self.state, name)?;
        self.path = with_first(Some(folder), &self.path)?;
        Ok(())
    }

    /// Begins to compile the extension while something else is done.
    pub fn compile_extension_meanwhile(&self) -> Result<Compilation, Error> {
        let mut cargo = extension::compile(&self.state);
        step::log_to(&self.state, "extension-meanwhile", &mut cargo)?;
        Ok(Compilation(cargo.spawn().context(|| "run cargo".to_owned())?))
    }

    /// Runs a program to its end, its output going to a log of that name; `what` is said to the user.
    pub fn run_step(&self, name: &str, what: &str, command: Command) -> Result<(), Error> {
        step::run(&self.state, name, what, command)
    }

    /// A program that is run in the checkout, with the tools.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        clean(&mut command);
        command
            .current_dir(checkout())
            .env("PATH", &self.path)
            .env("STATE_DIR", &self.state.folder)
            .env(Major::SETTING, self.state.major.to_string())
            .env("SERVER_USER", &self.state.owner.name)
            .env("PG_CONFIG", shim::config(&self.state))
            .env("OPERATIONS_TEST_DIR", &self.servers)
            .env("OPERATIONS_TEST_DISK", &self.disk)
            .envs(self.memory.as_ref().map(|memory| ("OPERATIONS_TEST_MEMORY", memory.path())))
            .env("PGRX_HOME", &self.pgrx_home)
            // cargo pgrx connects as this user, whom initdb makes the superuser.
            .env("USER", &self.state.owner.name)
            .env("CARGO_PGRX_TEST_PGDATA", &self.pgrx_servers);
        // cargo pgrx builds all with a linker flag of its own, so that no linker drops the SQL in the library. None does so here,
        // and without the flag the tests share what they depend on.
        if cfg!(target_arch = "x86_64") {
            command.env("CARGO_PGRX_DISABLE_GC_SECTIONS_WORKAROUND", "1");
        }
        command
    }

    /// A command of cargo-pgrx. What the majors have in common is built once. The extension itself is built anew whenever the major is another
    /// one, for its files have one name: so what demos use, which is built for release, has a folder for each major.
    #[must_use]
    pub fn cargo_pgrx(&self, command: &str) -> Command {
        let mut cargo = self.command("cargo");
        cargo.args(["pgrx", command]).env("CARGO_TARGET_DIR", extension::target(&self.state));
        cargo.env("CARGO_BUILD_BUILD_DIR", extension::common_target());
        cargo
    }

    /// `cargo pgrx test`. Run by root it would itself write a setting into its server's data, where the server's user could put a
    /// link: that user writes it.
    pub fn pgrx_test(&self) -> Result<Command, Error> {
        let mut cargo = self.cargo_pgrx("test");
        cargo.arg(self.state.major.feature());
        if self.state.owner.is_lent() {
            let path = with_first(Some(shim::sudo(&self.state)), &self.path)?;
            cargo.env("CARGO_PGRX_TEST_RUNAS", &self.state.owner.name).env("PATH", path);
        }
        Ok(cargo)
    }

    /// Ends the servers that a test left behind, because it was killed or died, and deletes them.
    pub fn end_servers(&self) -> Result<(), Error> {
        self.end_servers_in(&self.servers)
    }

    fn end_servers_in(&self, servers: &Path) -> Result<(), Error> {
        let below = |folder: &Path| -> Vec<PathBuf> {
            let entries = self.state.owner.files(|| std::fs::read_dir(folder));
            entries.map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
        };
        let tests = below(servers);
        let own: Vec<_> = below(&self.pgrx_home);
        let candidates =
            below(&self.pgrx_servers).into_iter().chain(own).chain(tests.iter().flat_map(|test| below(test)));
        for data in candidates.chain(tests.clone()) {
            DataDirectory::new(&data, &self.state.owner).stop(Stop::Immediate, LIMIT)?;
        }
        for path in below(&self.pgrx_servers).into_iter().chain(tests) {
            let removed = self.state.owner.files(|| match std::fs::symlink_metadata(&path)?.is_dir() {
                true => std::fs::remove_dir_all(&path),
                false => std::fs::remove_file(&path),
            });
            removed.context(|| format!("remove {}", path.display()))?;
        }
        Ok(())
    }
}

/// A `PATH` with a folder before all others.
fn with_first(folder: Option<PathBuf>, path: &OsStr) -> Result<OsString, Error> {
    let path = std::env::join_paths(folder.into_iter().chain(std::env::split_paths(path)));
    path.map_err(|error| Error::Environment(format!("PATH cannot be used: {error}")))
}

/// A compilation that runs.
#[derive(Debug)]
pub struct Compilation(Child);

impl Compilation {
    /// Waits for its end, whatever that is.
    pub fn wait(mut self) {
        let _ = self.0.wait();
    }
}

/// What throw-away servers are made with, as variables of the environment.
pub fn test_environment(state: &State) -> Result<[(&'static str, PathBuf); 2], Error> {
    Ok([("PG_CONFIG", shim::config(state)), ("OPERATIONS_TEST_DIR", server_folder(state, SERVERS)?)])
}
