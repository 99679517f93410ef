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
    fn new(postgres: Postgres, folder: &'a Path, name: &str, owner: &Owner, settings: &str) -> Self {
        let data = DataDirectory::new(&folder.join(name), owner);
        let made = Self { postgres, data, folder, owner: owner.clone() };
        let mut initdb = made.program("initdb");
        initdb.args(["--no-sync", "--auth=trust", "--username=postgres", "--data-checksums", "--pgdata"]);
        initdb.arg(made.data.path());
        finish(initdb).unwrap().success().unwrap();
        let place = folder.display();
        let settings = format!("{settings}listen_addresses = ''\nfsync = off\nunix_socket_directories = '{place}'\n");
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

/// The older PostgreSQLs that are at hand with this version of the extension, the oldest first.
fn older(state: &State) -> impl Iterator<Item = (Major, Postgres)> {
    let majors = Major::ALL.into_iter().filter(|major| *major < state.major);
    majors.filter_map(|major| {
        let postgres = Postgres::found(&State { major, ..state.clone() })?;
        is_installed(&postgres.config).then_some((major, postgres))
    })
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

/// A folder of the servers' user, for two of them.
fn folder(owner: &Owner) -> TempDir {
    let scratch = std::env::var_os("OPERATIONS_TEST_DIR").unwrap();
    owner.files(|| tempfile::Builder::new().prefix("server-").tempdir_in(&scratch)).unwrap()
}

fn version(postgres: &Postgres) -> String {
    let mut ask = Command::new(&postgres.config);
    ask.arg("--version");
    finish(ask).unwrap().success().unwrap().trim().to_owned()
}

/// The errors of pg_upgrade of two servers where nothing but one table was made, if it failed. Builds whose minor releases are of different
/// days may not understand each other, whatever is in them: Debian's 15.20 and 17.12 give each column an option that 18.6 refuses.
fn refusal_of_a_plain_table(old: &Postgres, new: &Postgres, owner: &Owner) -> Option<String> {
    let folder = folder(owner);
    let settings = "shared_preload_libraries = ''\n";
    let old = Cluster::new(old.clone(), folder.path(), "old", owner, settings);
    let new = Cluster::new(new.clone(), folder.path(), "new", owner, settings);
    run(&mut old.start(""), "CREATE TABLE plain (number integer)");
    old.stop();
    let upgraded = upgrade(&old, &new);
    let mut errors = Command::new("grep");
    errors.args(["-rhoE", "(ERROR|FATAL): .*"]).arg(new.data.path().join("pg_upgrade_output.d"));
    (!upgraded.is_success()).then(|| finish(errors).unwrap().stdout.trim().replace('\n', "; "))
}

#[test]
fn pg_upgrade_keeps_rows_sums_and_jobs() {
    let state = State::find().unwrap();
    let new = Postgres::found(&state).unwrap();
    for (major, old) in older(&state) {
        let Err(output) = keeps_all(major, &old, &new, &state.owner) else { return };
        let refusal = refusal_of_a_plain_table(&old, &new, &state.owner);
        assert!(refusal.is_some(), "from {major}: {output}");
        let refusal = refusal.unwrap_or_default();
        let [from, to] = [&old, &new].map(version);
        let why = format!("pg_upgrade from {from} to {to} refuses a plain table, too: {refusal}");
        skipped(&format!("pg_upgrade_keeps_rows_sums_and_jobs, from {major}"), &why);
    }
    let why = "no older PostgreSQL with this version of the extension is at hand that can be upgraded: PG=15 bash native/lab.sh dev build";
    skipped("pg_upgrade_keeps_rows_sums_and_jobs", why);
}

/// Upgrades a database at work, and compares; what pg_upgrade said, if it failed.
fn keeps_all(major: Major, old: &Postgres, new: &Postgres, owner: &Owner) -> Result<(), String> {
    let folder = folder(owner);
    let old = Cluster::new(old.clone(), folder.path(), "old", owner, SETTINGS);
    let new = Cluster::new(new.clone(), folder.path(), "new", owner, SETTINGS);

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
    if !upgraded.is_success() {
        return Err(format!("{}\n{}", upgraded.stdout, logs(new.data.path())));
    }

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
    Ok(())
}
