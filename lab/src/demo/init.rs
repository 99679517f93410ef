//! Makes the primary's data, under another name until all of `docker/init_main` has run.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use postgres::{Client, Config, NoTls};

use crate::connect::{guarded, within};
use crate::demo::settings::TEST_ROWS;
use crate::demo::{Demo, Programs, Scheduler, folders};
use crate::error::{Context, DemoError, Error};
use crate::long;
use crate::role::Role;
use crate::say::say;
use crate::server::text;

impl Demo {
    /// What a start that was cut short left behind was never whole, and nobody's rows are in it.
    pub(crate) fn remove_half_made(&self) -> Result<(), Error> {
        let half_made = self.layout.half_made();
        if std::fs::symlink_metadata(half_made.path()).is_err() {
            return Ok(());
        }
        say("An earlier start was cut short: removing its half-made primary and starting over");
        self.stop_server(Role::Primary, &half_made)?;
        folders::remove(half_made.path(), &self.layout.owner)
    }

    /// Makes the primary's data.
    pub(crate) fn init_primary(&self, programs: &Programs, scheduler: &Scheduler) -> Result<(), Error> {
        say("Making the primary: initdb, then docker/init_main");
        let half_made = self.layout.half_made();
        let filled = self.fill_primary(programs, scheduler);
        let stopped = self.stop_server(Role::Primary, &half_made);
        filled?;
        stopped?;
        let (from, to) = (half_made.path(), self.layout.data(Role::Primary));
        let moved = self.layout.owner.files(|| {
            for file in ["global/pg_control", "pg_hba.conf"] {
                File::open(from.join(file))?.sync_all()?;
            }
            std::fs::rename(from, to.path())?;
            File::open(&self.layout.folder)?.sync_all()
        });
        moved.context(|| format!("rename {} to {}", from.display(), to.path().display()))
    }

    fn fill_primary(&self, programs: &Programs, scheduler: &Scheduler) -> Result<(), Error> {
        self.initdb(programs)?;
        self.start_for_init(programs, &[])?;
        self.create_database()?;
        self.stop_server(Role::Primary, &self.layout.half_made())?;
        // The worker stays off until all is there: operations_ext.database is only set at the real start.
        let mut settings = scheduler.settings.clone();
        for setting in &mut settings {
            if setting.starts_with("operations_ext.database=") {
                "operations_ext.database=".clone_into(setting);
            }
        }
        // Nor does pg_cron run what the stop after the init files would cut short.
        settings.push("cron.launch_active_jobs=off".to_owned());
        self.start_for_init(programs, &settings)?;
        self.run_init_files(programs)
    }

    fn initdb(&self, programs: &Programs) -> Result<(), Error> {
        let (layout, log) = (&self.layout, self.layout.logs().join("initdb.log"));
        let password = layout.folder.join("password.new");
        let written = layout.owner.write(&password, format!("{}\n", self.settings.password).as_bytes(), true);
        written.context(|| format!("write {}", password.display()))?;
        let mut command = programs.command("initdb");
        command.arg("--pgdata").arg(layout.half_made().path()).arg("--pwfile").arg(&password);
        command.args(["--username", &self.settings.user, "--auth", "scram-sha-256", "--data-checksums"]);
        command.args(["--encoding", "UTF8", locale()]);
        let status = self.logged(&mut command, &log, false, || None);
        folders::remove(&password, &layout.owner)?;
        if status? { Ok(()) } else { Err(DemoError::Initdb { why: first_error(&log), log }.into()) }
    }

    /// The temporary server takes connections on its socket only: nobody else comes in before all is done.
    fn start_for_init(&self, programs: &Programs, settings: &[String]) -> Result<(), Error> {
        let mut all = vec!["listen_addresses=".to_owned()];
        all.extend_from_slice(settings);
        self.start_server(programs, Role::Primary, &self.layout.half_made(), &all)
    }

    fn create_database(&self) -> Result<(), Error> {
        let name = &self.settings.database;
        let create = |mut session: Client| {
            if session.query_opt("select from pg_database where datname = $1", &[name])?.is_none() {
                let statement = session.query_one("select format('create database %I', $1::text)", &[name])?;
                session.batch_execute(statement.get(0))?;
            }
            Ok::<_, postgres::Error>(())
        };
        let made = self.socket_config("postgres").connect(NoTls).and_then(create);
        made.map_err(|error| {
            Error::Demo(DemoError::Database { name: name.clone(), why: Error::from(error).to_string() })
        })
    }

    /// How to connect as the superuser, through the socket.
    fn socket_config(&self, database: &str) -> Config {
        let mut config = Config::new();
        config
            .host_path(self.layout.sockets())
            .port(self.settings.primary_port)
            .user(&self.settings.user)
            .password(&self.settings.password)
            .dbname(database)
            .connect_timeout(Duration::from_secs(2));
        guarded(config, "")
    }

    fn run_init_files(&self, programs: &Programs) -> Result<(), Error> {
        let log = self.layout.logs().join("init.log");
        File::create(&log).context(|| format!("make {}", log.display()))?;
        for file in files_of(&self.layout.docker().join("init_main"))? {
            let began = Instant::now();
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(mut command) = self.init_command(programs, &file) else {
                continue;
            };
            if !self.logged(&mut command, &log, true, || self.loaded_rows())? {
                return Err(DemoError::InitFile { file: name, why: first_error(&log), log }.into());
            }
            say(&format!("    {name:<28} {:>5} ms", began.elapsed().as_millis()));
        }
        Ok(())
    }

    /// As in the official image: psql for .sql, bash for .sh, the same variables, the local socket.
    fn init_command(&self, programs: &Programs, file: &Path) -> Option<Command> {
        let settings = &self.settings;
        let mut command = match file.extension()?.to_str()? {
            "sql" => {
                let mut psql = programs.command("psql");
                psql.args(["--no-psqlrc", "--no-password", "--quiet", "--set", "ON_ERROR_STOP=1"]);
                psql.args(["--username", &settings.user, "--dbname", &settings.database, "--file"]).arg(file);
                psql
            }
            "sh" => {
                let mut bash = programs.ready(Command::new("bash"));
                bash.arg(file);
                bash
            }
            _ => return None,
        };
        command
            .env("POSTGRES_USER", &settings.user)
            .env("POSTGRES_DB", &settings.database)
            .env("POSTGRES_PASSWORD", &settings.password)
            .env("REPLICATION_USER", &settings.replication_user)
            .env("REPLICATION_PASSWORD", &settings.replication_password)
            .env(TEST_ROWS, settings.test_rows.to_string())
            .env("PGDATA", self.layout.half_made().path())
            .env("PGHOST", self.layout.sockets())
            .env("PGPORT", settings.primary_port.to_string())
            .env("PGPASSWORD", &settings.password);
        Some(command)
    }

    /// Runs a program as the server's user, its output in a log; whether it succeeded.
    fn logged(
        &self,
        command: &mut Command,
        log: &Path,
        append: bool,
        progress: impl Fn() -> Option<String>,
    ) -> Result<bool, Error> {
        let open = || OpenOptions::new().create(true).write(true).append(append).truncate(!append).open(log);
        let output = open().and_then(|file| Ok((file.try_clone()?, file)));
        let (stdout, stderr) = output.context(|| format!("open {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let child = self.layout.owner.runs(command).spawn();
        let child = child.context(|| format!("run {}", command.get_program().to_string_lossy()))?;
        Ok(long::wait(child, "      ", progress)?.success())
    }

    /// How far a long load is, from another session.
    fn loaded_rows(&self) -> Option<String> {
        let config = self.socket_config(&self.settings.database);
        let rows = within(Duration::from_secs(3), move || {
            let mut session = config.connect(NoTls).ok()?;
            text(&mut session, "select tuples_processed from pg_stat_progress_copy limit 1").ok()
        });
        let rows = rows.flatten().filter(|rows| !rows.is_empty())?;
        Some(format!("{rows} rows loaded"))
    }
}

/// The files of a folder, in the order of their names.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let mut files: Vec<_> =
        entries.context(|| format!("read {}", folder.display()))?.iter().map(std::fs::DirEntry::path).collect();
    files.sort();
    Ok(files)
}

fn locale() -> &'static str {
    let known = Command::new("locale").arg("-a").output().map(|output| output.stdout).unwrap_or_default();
    let known = String::from_utf8_lossy(&known).into_owned();
    match known.lines().any(|name| name == "C.utf8" || name == "C.UTF-8") {
        true => "--locale=C.UTF-8",
        false => "--locale=C",
    }
}

/// The first error in a log of ours, or its last line.
fn first_error(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let error = |line: &&str| {
        let line = line.to_ascii_lowercase();
        line.contains("error") || line.contains("fatal")
    };
    text.lines().find(error).or_else(|| text.lines().last()).unwrap_or_default().to_owned()
}
