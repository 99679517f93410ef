//! What a drill works on: the demo, sessions on its servers, and all that must be undone whatever happens.

use std::cell::RefCell;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use postgres::Client;

use crate::connect::session;
use crate::demo::{Demo, Programs};
use crate::doctor::{Options, Report, Sums, Verdict};
use crate::drill::OWN;
use crate::error::{Context, DrillError, Error};
use crate::role::Role;
use crate::server::{DataDirectory, text};

/// How long a connection of a drill may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a statement of a drill may take: some read the whole table.
const STATEMENT: Duration = Duration::from_secs(120);

/// How a line begins that says what could not be undone.
pub const NOT_UNDONE: &str = "not undone: ";

/// The statement that makes of a setting, here called NAME, what ALTER SYSTEM has made of it.
const AS_BEFORE: &str = "\
    SELECT coalesce((SELECT pg_catalog.format('ALTER SYSTEM SET %I = %L', f.name, f.setting) \
                     FROM pg_catalog.pg_file_settings f \
                     WHERE f.name = n AND f.sourcefile LIKE '%/postgresql.auto.conf' ORDER BY f.seqno DESC LIMIT 1), \
                    pg_catalog.format('ALTER SYSTEM RESET %I', n)) \
    FROM (VALUES (NAME)) v (n)";

/// Undoes a part of a fault. It may find it undone already.
type Undo = Box<dyn FnOnce() -> Result<(), Error>>;

/// How long things may take in a drill.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// What is broken stays so for this long, at least: somebody watches.
    pub hold: Duration,
    /// How many times longer than on a machine of its own all may take.
    pub patience: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { hold: Duration::ZERO, patience: 1 }
    }
}

impl Pace {
    /// The time that something may take which takes at most `limit` on a machine of its own.
    #[must_use]
    pub fn allows(self, limit: Duration) -> Duration {
        limit.saturating_mul(self.patience)
    }
}

/// The demo under a drill. What was to be undone is undone when this goes, in the reverse order.
pub struct Scene {
    /// The demo.
    pub demo: Demo,
    /// The programs of its PostgreSQL.
    pub programs: Programs,
    /// How long things may take.
    pub pace: Pace,
    program: PathBuf,
    interrupted: Arc<AtomicBool>,
    undo: RefCell<Vec<(String, Undo)>>,
}

impl Scene {
    /// A demo that runs, and what is set when somebody presses Ctrl-C.
    pub fn new(demo: Demo, interrupted: Arc<AtomicBool>, pace: Pace) -> Result<Self, Error> {
        let programs = demo.found_programs()?;
        let program = std::env::current_exe().context(|| "find this program".to_owned())?;
        Ok(Self { demo, programs, pace, program, interrupted, undo: RefCell::default() })
    }

    /// The demo as it is now: a failover swaps the roles.
    #[must_use]
    pub fn now(&self) -> Demo {
        let now = match self.demo.layout.in_containers {
            false => Demo::as_started(Some(&self.demo.layout.folder)),
            true => self.demo.again(),
        };
        now.unwrap_or_else(|_| self.demo.clone())
    }

    /// The data of a server.
    #[must_use]
    pub fn data(&self, role: Role) -> DataDirectory {
        self.demo.layout.data(role)
    }

    /// What the doctor says now. The sums are compared only where nothing else is wrong: that takes processor time from the servers that
    /// the drill measures.
    #[must_use]
    pub fn look(&self) -> Report {
        let report = self.look_without_sums();
        if report.verdict == Verdict::Ok { self.now().examine(&Options::default()) } else { report }
    }

    /// What the doctor says now, whatever the sums are.
    #[must_use]
    pub fn look_without_sums(&self) -> Report {
        self.now().examine(&Options { sums: Sums::Skip, ..Options::default() })
    }

    /// A session of the superuser.
    pub fn session(&self, role: Role) -> Result<Client, Error> {
        let refused = |refusal| Error::Environment(format!("the {role} gives no session: {refusal}"));
        session(&self.now().target(role), CONNECT, STATEMENT).map_err(refused)
    }

    /// The answer of a server to a query, as text.
    pub fn ask(&self, role: Role, query: &str) -> Result<String, Error> {
        text(&mut self.session(role)?, query)
    }

    /// Runs statements, one after the other, each in a transaction of its own.
    pub fn run(&self, role: Role, statements: &[&str]) -> Result<(), Error> {
        let mut session = self.session(role)?;
        statements.iter().try_for_each(|statement| text(&mut session, statement).map(drop))
    }

    /// Runs statements as [`Self::run`] does, and others at the end of the drill, whatever becomes of it.
    pub fn run_and_undo(&self, role: Role, statements: &[&str], undo: &[&str]) -> Result<(), Error> {
        let (demo, undo) = (self.demo.clone(), undo.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
        self.later(&undo.join("; "), move || {
            undo.iter().try_for_each(|statement| {
                demo.ask(role, statement).map(drop).map_err(|refusal| Error::Environment(refusal.to_string()))
            })
        });
        self.run(role, statements)
    }

    /// ALTER SYSTEM SET, and at the end of the drill what `postgresql.auto.conf` had before, which may be the user's own.
    pub fn set_and_undo(&self, role: Role, settings: &[(&str, &str)]) -> Result<(), Error> {
        let mut session = self.session(role)?;
        let (mut set, mut undo) = (Vec::new(), Vec::new());
        for (name, value) in settings {
            set.push(format!("ALTER SYSTEM SET {name} = '{value}'"));
            undo.push(text(&mut session, &AS_BEFORE.replace("NAME", &format!("'{name}'")))?);
        }
        for statements in [&mut set, &mut undo] {
            statements.push("SELECT pg_reload_conf()".to_owned());
        }
        let (set, undo): (Vec<_>, Vec<_>) =
            (set.iter().map(String::as_str).collect(), undo.iter().map(String::as_str).collect());
        self.run_and_undo(role, &set, &undo)
    }

    /// Does something at the end of the drill, whatever becomes of it.
    pub fn later(&self, what: &str, undo: impl FnOnce() -> Result<(), Error> + 'static) {
        self.undo.borrow_mut().push((what.to_owned(), Box::new(undo)));
    }

    /// Undoes all that is to be undone; says what could not be.
    pub fn undo(&self) -> Vec<String> {
        let mut failed = Vec::new();
        loop {
            // The next one may add to the list.
            let Some((what, undo)) = self.undo.borrow_mut().pop() else {
                return failed;
            };
            if let Err(error) = undo() {
                failed.push(format!("{NOT_UNDONE}{what}: {error}"));
            }
        }
    }

    /// `make demo` or `make stop`, as a user types it; returns what it printed. It is not ended by the Ctrl-C that ends us.
    pub fn make(&self, target: &str, variables: &[(&str, &str)]) -> Result<String, Error> {
        let what = || format!("run make {target}");
        // Into a file: what it leaves behind may hold a pipe open.
        let mut printed = tempfile::tempfile().context(what)?;
        let (out, err) = (printed.try_clone().context(what)?, printed.try_clone().context(what)?);
        let status = self.making(target, variables).stdout(out).stderr(err).status().context(what)?;
        let mut output = Vec::new();
        printed.seek(SeekFrom::Start(0)).and_then(|_| printed.read_to_end(&mut output)).context(what)?;
        let output = String::from_utf8_lossy(&output).into_owned();
        match status.success() {
            true => Ok(output),
            false => Err(Error::Program { program: format!("make {target}"), status: status.to_string(), output }),
        }
    }

    /// The command of `make TARGET`, in a process group of its own.
    #[must_use]
    pub fn making(&self, target: &str, variables: &[(&str, &str)]) -> Command {
        let (layout, settings) = (&self.demo.layout, &self.demo.settings);
        let mut command = Command::new(&self.program);
        if layout.in_containers {
            // The settings are those of the container, as they are.
            command.arg(target).env(OWN, "1").envs(variables.iter().copied()).stdin(Stdio::null()).process_group(0);
            return command;
        }
        for name in crate::demo::setting_names() {
            command.env_remove(name).env_remove(format!("{name}_FILE"));
        }
        command
            .arg(target)
            .arg("--demo")
            .arg(&layout.folder)
            .env("STATE_DIR", &layout.state.folder)
            .env("PRIMARY_PORT", settings.primary_port.to_string())
            .env("REPLICA_PORT", settings.replica_port.to_string())
            .env("LAB_PORT", settings.lab_port.map_or_else(|| "off".to_owned(), |port| port.to_string()))
            .env(OWN, "1")
            .env_remove("REPLICA_RECLONE")
            .env_remove("PGPASSWORD")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .process_group(0);
        command
    }

    /// Fails if somebody has pressed Ctrl-C.
    pub fn go_on(&self) -> Result<(), Error> {
        if self.interrupted.load(Ordering::Relaxed) { Err(DrillError::Interrupted.into()) } else { Ok(()) }
    }

    /// Waits until `condition` gives something, for as long as the pace makes of `limit`; its errors are what was seen last.
    pub fn wait<T>(
        &self,
        what: &str,
        limit: Duration,
        mut condition: impl FnMut() -> Result<T, String>,
    ) -> Result<T, Error> {
        let (start, limit) = (Instant::now(), self.pace.allows(limit));
        loop {
            self.go_on()?;
            match condition() {
                Ok(value) => return Ok(value),
                Err(last) if start.elapsed() >= limit => {
                    return Err(Error::Timeout { what: what.to_owned(), limit, last });
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Waits until a query gives this text.
    pub fn becomes(&self, role: Role, query: &str, wanted: &str, limit: Duration) -> Result<(), Error> {
        self.wait(&format!("{query} to give {wanted}"), limit, || match self.now().ask(role, query) {
            Ok(answer) if answer == wanted => Ok(()),
            Ok(answer) => Err(answer),
            Err(refusal) => Err(refusal.to_string()),
        })
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for line in self.undo() {
            crate::say::warn(&line);
        }
    }
}
