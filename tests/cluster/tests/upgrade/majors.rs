//! pg_upgrade takes a database at work from an older major version of PostgreSQL to this one.

use std::path::Path;
use std::process::Command;

use operations_cluster::expect::{LIVE_DIFFERENCE, run, skipped, wait_for_runs};
use operations_cluster::{Finished, Stop, finish, text};
use operations_lab::server::{DataDirectory, LIMIT, Owner, clean};
use operations_lab::tools::{Major, Postgres, State, is_installed};
use postgres::{Client, NoTls};
use tempfile::TempDir;

use crate::{CATALOGS, difference, fill, rows};

/// As for somebody who upgrades: the jobs are in the settings of both.
const SETTINGS: &str = "
listen_addresses = ''
fsync = off
shared_preload_libraries = 'operations_ext'
operations_ext.database = 'postgres'
operations_ext.insert_interval = 1s
operations_ext.change_status_interval = 1s
";

struct Cluster<'a> {
    postgres: Postgres,
    data: DataDirectory,
    folder: &'a Path,
    owner: Owner,
}

impl<'a> Cluster<'a> {
    fn new(postgres: Postgres, folder: &'a Path, name: &str, owner: &Owner) -> Self {
        let data = DataDirectory::new(&folder.join(name), owner);
        let made = Self { postgres, data, folder, owner: owner.clone() };
        let mut initdb = made.program("initdb");
        initdb.args(["--no-sync", "--auth=trust", "--username=postgres", "--data-checksums", "--pgdata"]);
        initdb.arg(made.data.path());
        finish(initdb).unwrap().success().unwrap();
        let settings = format!("{SETTINGS}unix_socket_directories = '{}'\n", folder.display());
        let file = made.data.path().join("postgresql.auto.conf");
        owner.write(&file, settings.as_bytes(), false).unwrap();
        made
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.postgres.bindir.join(name));
        clean(&mut command);
        self.owner.runs(&mut command);
        command.current_dir(self.folder).env("LC_ALL", "C");
        command
    }

    /// Starts the server, with an option more if it is not empty.
    fn start(&self, option: &str) -> Client {
        let mut start = self.program("pg_ctl");
        start.args(["start", "--silent", "--wait", "--log"]).arg(self.folder.join("log"));
        start.arg("--pgdata").arg(self.data.path());
        if !option.is_empty() {
            start.arg("--options").arg(option);
        }
        finish(start).unwrap().success().unwrap();
        self.connect("postgres")
    }

    fn connect(&self, database: &str) -> Client {
        let mut config = postgres::Config::new();
        config.host_path(self.folder).user("postgres").dbname(database).connect(NoTls).unwrap()
    }

    fn stop(&self) {
        assert!(self.data.stop(Stop::Fast, LIMIT).unwrap(), "it had stopped by itself");
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        let _ = self.data.stop(Stop::Immediate, LIMIT);
    }
}

/// The oldest PostgreSQL, if it is at hand with this version of the extension.
fn oldest(state: &State) -> Option<(Major, Postgres)> {
    let major = Major::ALL.into_iter().min().filter(|major| *major < state.major)?;
    let postgres = Postgres::found(&State { major, ..state.clone() })?;
    is_installed(&postgres.config).then_some((major, postgres))
}

fn upgrade(old: &Cluster<'_>, new: &Cluster<'_>) -> Finished {
    let mut upgrade = new.program("pg_upgrade");
    upgrade.arg("--old-bindir").arg(&old.postgres.bindir).arg("--new-bindir").arg(&new.postgres.bindir);
    upgrade.arg("--old-datadir").arg(old.data.path()).arg("--new-datadir").arg(new.data.path());
    upgrade.arg("--socketdir").arg(new.folder).args(["--username", "postgres", "--no-sync"]);
    finish(upgrade).unwrap()
}

/// What the catalogs say, but for what PostgreSQL itself has otherwise after pg_upgrade: the names of NOT NULL, which 18 makes
/// constraints, and rights of the owner alone, which are those of an object without any.
fn facts(session: &mut Client) -> String {
    let mut facts = text(session, CATALOGS).unwrap();
    for owner in ["{postgres=arwdDxt/postgres}", "{postgres=arwdDxtm/postgres}"] {
        facts = facts.replace(owner, "");
    }
    let is_its_own = |line: &str| line.contains("_not_null") || line.contains("first rights") && line.ends_with(' ');
    facts.lines().filter(|line| !is_its_own(line)).collect::<Vec<_>>().join("\n")
}

/// The last lines of what pg_upgrade's programs said.
fn logs(data: &Path) -> String {
    let mut find = Command::new("find");
    find.arg(data.join("pg_upgrade_output.d"))
        .args(["-name", "*.log", "-size", "+0", "-exec", "tail", "-n", "12", "{}", "+"]);
    finish(find).unwrap().stdout
}

#[test]
fn pg_upgrade_keeps_rows_sums_and_jobs() {
    let state = State::find().unwrap();
    let Some((major, old)) = oldest(&state) else {
        let why =
            "no older PostgreSQL 15 with this version of the extension is at hand: PG=15 bash native/lab.sh dev build";
        return skipped("pg_upgrade_keeps_rows_sums_and_jobs", why);
    };
    let scratch = std::env::var_os("OPERATIONS_TEST_DIR").unwrap();
    let folder: TempDir =
        state.owner.files(|| tempfile::Builder::new().prefix("server-").tempdir_in(&scratch)).unwrap();
    let old = Cluster::new(old, folder.path(), "old", &state.owner);
    let new = Cluster::new(Postgres::found(&state).unwrap(), folder.path(), "new", &state.owner);

    let mut session = old.start("");
    run(&mut session, "CREATE EXTENSION operations_ext");
    fill(&mut session);
    run(&mut session, "CALL operations_schedule()");
    for job in ["operation_insert_one", "change_status"] {
        wait_for_runs(&mut session, job, "succeeded", 1);
    }
    drop(session);
    // So that nothing is written between the look and the end.
    old.stop();
    let mut session = old.start("-c operations_ext.database=");
    let before = rows(&mut session);
    drop(session);
    old.stop();

    let upgraded = upgrade(&old, &new);
    assert!(upgraded.is_success(), "from {major}: {}\n{}", upgraded.stdout, logs(new.data.path()));

    let mut session = new.start("-c operations_ext.database=");
    assert_eq!(rows(&mut session), before, "from {major}");
    assert_eq!(text(&mut session, LIVE_DIFFERENCE).unwrap(), "");
    run(&mut session, "CREATE DATABASE fresh");
    let mut fresh = new.connect("fresh");
    run(&mut fresh, "CREATE EXTENSION operations_ext");
    fill(&mut fresh);
    // Both have what maintenance makes, whatever day it is.
    for session in [&mut session, &mut fresh] {
        run(session, "CALL operations_maintain_partitions()");
    }
    let (expected, found) = (facts(&mut fresh), facts(&mut session));
    assert_eq!(difference(&expected, &found), Vec::<String>::new(), "from {major}");
    drop((session, fresh));
    new.stop();

    let mut session = new.start("");
    for job in ["operation_insert_one", "change_status"] {
        wait_for_runs(&mut session, job, "succeeded", 1);
    }
    run(&mut session, "CALL operations_test_data('2025-08-01', '2025-11-30', 20000, 2)");
    for query in [LIVE_DIFFERENCE, "SELECT * FROM operations_verify_rollup()"] {
        assert_eq!(text(&mut session, query).unwrap(), "", "{query}");
    }
    let broken = "SELECT code, evidence FROM operations_doctor() WHERE severity IN ('broken', 'unknown')";
    assert_eq!(text(&mut session, broken).unwrap(), "");
}
