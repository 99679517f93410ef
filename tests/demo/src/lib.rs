//! Somebody who types make, and looks at what it prints.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fmt::Display;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

pub use operations_lab::checks::{Outcome, Stop, require};
use operations_lab::checks::{Subject, wait};
use operations_lab::server::Owner;
use operations_lab::server::ports::{free_port, is_free};
use operations_lab::{checkout, server};
use tempfile::TempDir;

/// Awkward on purpose: every character that some file or shell treats as special.
pub const PASSWORD: &str = "top:se\\cret'\"$HOME 1";
/// The same, of the role that replicas connect as.
pub const REPLICATION_PASSWORD: &str = "wal:se\\cret'\"$HOME 2";

/// The program operations-lab, as make has built it.
pub fn program() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| checkout().join("target"), PathBuf::from);
    target.join("debug/operations-lab")
}

/// The user, the ports and folders that are used, and what make has printed.
pub struct User {
    folder: TempDir,
    /// Where the primary listens.
    pub primary_port: u16,
    /// Where the replica listens.
    pub replica_port: u16,
    /// Where the page is served.
    pub lab_port: u16,
    /// The pg_config of the PostgreSQL that is used.
    pub pg_config: PathBuf,
    /// The programs of that PostgreSQL, which run as the server's user.
    pub bindir: PathBuf,
    /// Who runs the servers.
    pub owner: Owner,
    output: RefCell<String>,
}

impl Subject for User {
    /// Short paths, since sockets lie in them, and open to the server's user.
    fn prepare(_group: &str, _patterns: &[String]) -> Outcome<Self> {
        let pg_config = std::env::var_os("PG_CONFIG").filter(|config| !config.is_empty());
        let pg_config = PathBuf::from(pg_config.ok_or("PG_CONFIG is not set: run the checks through make test")?);
        let (above, prefix) = match std::env::var_os("OPERATIONS_TEST_MEMORY") {
            Some(memory) => (PathBuf::from(memory), "demo."),
            None => (PathBuf::from("/tmp"), "operations_demo."),
        };
        let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(above)?;
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755))?;
        let bindir = Command::new(&pg_config).arg("--bindir").output()?;
        let bindir = PathBuf::from(String::from_utf8_lossy(&bindir.stdout).trim());
        let primary_port = free_port(&[])?;
        let mut replica_port = free_port(&[primary_port])?;
        // Those of further replicas are the next ones.
        let mut tried = vec![primary_port];
        while !(1..3).all(|further| replica_port + further != primary_port && is_free(replica_port + further)) {
            tried.push(replica_port);
            replica_port = free_port(&tried)?;
        }
        let lab_port = free_port(&[primary_port, replica_port, replica_port + 1, replica_port + 2])?;
        let owner = match rustix::process::geteuid().is_root() {
            true => {
                let name = std::env::var("SERVER_USER").unwrap_or_else(|_| "postgres".to_owned());
                Owner::named(&name)?.ok_or(format!("there is no user {name}"))?
            }
            false => Owner::current(),
        };
        Ok(Self { folder, primary_port, replica_port, lab_port, pg_config, bindir, owner, output: RefCell::default() })
    }

    fn begin(&self, _check: &str) {
        self.output.borrow_mut().clear();
    }

    fn evidence(&self) -> String {
        self.output.borrow().clone()
    }
}

impl User {
    /// A path in the folder of the checks.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path in the demo.
    pub fn demo(&self, name: &str) -> PathBuf {
        self.path("demo").join(name)
    }

    /// A new folder in that of the checks.
    pub fn make_folder(&self, name: &str) -> Outcome<PathBuf> {
        let folder = self.path(name);
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// A port that neither is used nor may be.
    pub fn free_port(&self) -> Outcome<u16> {
        let further = [self.replica_port + 1, self.replica_port + 2];
        Ok(free_port(&[self.primary_port, self.replica_port, further[0], further[1], self.lab_port])?)
    }

    /// make as a user types it.
    pub fn make<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new("make");
        for name in [
            "POSTGRES_USER",
            "POSTGRES_DB",
            "REPLICATION_USER",
            "REPLICA_RECLONE",
            "WAL_LEVEL",
            "OPERATIONS_INSERT_BATCH",
            "REPLICAS",
            "CASCADE",
            "N",
            "LAB_HOST",
            "LAB_NAMES",
        ] {
            command.env_remove(name);
        }
        command
            .args(["--no-print-directory", "-C"])
            .arg(checkout())
            .args(arguments)
            .env("DEMO_DIR", self.path("demo"))
            .env("PG_CONFIG", &self.pg_config)
            .env("PRIMARY_PORT", self.primary_port.to_string())
            .env("REPLICA_PORT", self.replica_port.to_string())
            .env("LAB_PORT", self.lab_port.to_string())
            .env("POSTGRES_PASSWORD", PASSWORD)
            .env("REPLICATION_PASSWORD", REPLICATION_PASSWORD)
            .env_remove("POSTGRES_PASSWORD_FILE")
            .env_remove("REPLICATION_PASSWORD_FILE")
            .env("OPERATIONS_TEST_ROWS", "20000")
            .stdin(Stdio::null());
        command
    }

    /// Runs a program, whose output is then what was printed last; whether it succeeded.
    pub fn run(&self, command: Command) -> Outcome<bool> {
        Ok(self.run_for_status(command)?.success())
    }

    /// The same; how it ended.
    pub fn run_for_status(&self, mut command: Command) -> Outcome<ExitStatus> {
        let (mut reader, writer) = std::io::pipe()?;
        command.stdout(writer.try_clone()?).stderr(writer);
        let mut child = command.spawn()?;
        drop(command);
        let mut printed = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut printed)?;
        let status = child.wait()?;
        *self.output.borrow_mut() = String::from_utf8_lossy(&printed).into_owned();
        Ok(status)
    }

    /// make must succeed with these arguments.
    pub fn succeeds<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Outcome {
        let succeeded = self.run(self.make(arguments))?;
        require(succeeded, format!("make {} failed", words(arguments)))
    }

    /// make must fail with these arguments.
    pub fn fails<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Outcome {
        let succeeded = self.run(self.make(arguments))?;
        require(!succeeded, format!("make {} succeeded", words(arguments)))
    }

    /// What was printed last.
    pub fn output(&self) -> String {
        self.output.borrow().clone()
    }

    /// What was printed last has this text in one line.
    pub fn printed(&self, text: impl Display) -> Outcome {
        let text = text.to_string();
        let found = self.output.borrow().lines().any(|line| line.contains(&text));
        require(found, format!("not printed: {text}"))
    }

    /// What was printed last does not have this text.
    pub fn not_printed(&self, text: &str) -> Outcome {
        require(!self.output.borrow().contains(text), format!("printed: {text}"))
    }

    /// What `make psql`, or `make psql-replica`, answers to a script on its standard input; a setting may follow the target.
    pub fn session(&self, target: &str, script: &str) -> Outcome<Output> {
        let mut command = self.make(&target.split(' ').collect::<Vec<_>>());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            writeln!(stdin, "{script}")?;
        }
        Ok(child.wait_with_output()?)
    }

    /// Both what a session prints and its errors.
    pub fn session_text(&self, target: &str, script: &str) -> Outcome<String> {
        let output = self.session(target, script)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    }

    /// The answer of the primary to a query.
    pub fn on_primary(&self, query: &str) -> Outcome<String> {
        self.answer("psql", query)
    }

    /// The answer of the replica to a query.
    pub fn on_replica(&self, query: &str) -> Outcome<String> {
        self.answer("psql-replica", query)
    }

    /// The answer of the replica on this port, or in this place of the status.
    pub fn on_replica_at(&self, port: u16, query: &str) -> Outcome<String> {
        self.answer(&format!("psql-replica N={port}"), query)
    }

    fn answer(&self, target: &str, query: &str) -> Outcome<String> {
        let output = self.session(target, &format!("\\pset tuples_only\n\\pset format unaligned\n{query}"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        require(output.status.success(), format!("make {target} failed: {}", String::from_utf8_lossy(&output.stderr)))?;
        // Each \pset says what it did.
        Ok(text.lines().skip(2).collect::<Vec<_>>().join("\n"))
    }

    /// Waits until something gives this text, which takes so many seconds at most on a machine that does nothing else.
    pub fn becomes(&self, wanted: &str, seconds: u64, question: impl Fn() -> Outcome<String>) -> Outcome {
        let what = format!("\"{wanted}\"");
        wait(&what, Duration::from_secs(seconds), || {
            let found = question()?;
            require(found == wanted, found)
        })
    }

    /// Waits until a program that runs has printed this into a file; fails at once if it ends before.
    pub fn prints(&self, program: &mut Running, log: &Path, wanted: &str, seconds: u64) -> Outcome {
        let program = RefCell::new(program);
        self.becomes("printed", seconds, || {
            let ended = program.borrow_mut().0.try_wait()?.is_some();
            let text = std::fs::read_to_string(log)?;
            Ok(if ended || text.contains(wanted) { "printed".to_owned() } else { text })
        })?;
        let text = std::fs::read_to_string(log)?;
        require(text.contains(wanted), format!("it ended without \"{wanted}\": {text}"))
    }

    /// SIGKILLs the postmaster of a server and waits until all its processes are gone.
    pub fn kill(&self, server: &str) -> Outcome {
        let killed = server::DataDirectory::new(&self.demo(server), &self.owner).kill_postmaster()?;
        require(killed, format!("the {server} does not run"))?;
        self.becomes("", 20, || Ok(self.processes_in(&self.demo(server))))
    }

    /// Processes at work in a folder, by their numbers.
    pub fn processes_in(&self, folder: &Path) -> String {
        let at_work = |entry: std::fs::DirEntry| {
            let number =
                entry.file_name().to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))?.to_owned();
            std::fs::read_link(entry.path().join("cwd")).ok()?.starts_with(folder).then_some(number)
        };
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(at_work).collect::<Vec<_>>().join(" ")
    }

    /// No process is at work in the demo.
    pub fn no_server_left(&self) -> Outcome {
        let left = self.processes_in(&self.path("demo"));
        require(left.is_empty(), format!("processes {left} are left"))
    }

    /// Which cluster the primary is.
    pub fn system_identifier(&self) -> Outcome<String> {
        self.on_primary("SELECT system_identifier FROM pg_control_system();")
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if let Err(error) = self.make(&["clean"]).stdout(Stdio::null()).stderr(Stdio::null()).status() {
            eprintln!("make clean: {error}");
        }
    }
}

/// A program that is ended when this goes.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn words<S: AsRef<OsStr>>(arguments: &[S]) -> String {
    arguments.iter().map(|word| word.as_ref().to_string_lossy()).collect::<Vec<_>>().join(" ")
}
