//! One server for the tests that restart nothing, with a database for each.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use operations_cluster::expect::run;
use operations_cluster::{DATABASE, SUPERUSER, Server, db_error, finish, repository};
use postgres::Client;

/// Has nothing but what PUBLIC has.
pub const MALLORY: &str = "mallory";

/// Was granted the role `operations_worker`.
pub const MOLE: &str = "mole";

/// Was granted the role `operations_reader`.
pub const READER: &str = "reader";

const TRAP: &str = include_str!("trap.sql");

/// A database on the shared server, and an attacker in it.
pub struct Lab {
    server: Arc<Server>,
    database: String,
    attacker: &'static str,
    lines_seen: usize,
}

/// A trap that was sprung, and the role that it ran as.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sprung {
    pub trap: String,
    pub role: String,
}

impl Lab {
    /// As the demo is, with 20,000 operations, 3,000 of them done, and the roles of docker/init_main/06_roles.sql.
    pub fn new(name: &str, attacker: &'static str) -> Self {
        Self::of_template(name, attacker, DATABASE)
    }

    /// Without the extension.
    pub fn empty(name: &str, attacker: &'static str) -> Self {
        Self::of_template(name, attacker, "template0")
    }

    fn of_template(name: &str, attacker: &'static str, template: &str) -> Self {
        let server = server();
        let database = format!("security_{name}");
        run(&mut server.connect("postgres").unwrap(), &format!("CREATE DATABASE {database} TEMPLATE {template}"));
        let mut lab = Self { server, database, attacker, lines_seen: 0 };
        run(&mut lab.superuser(), &format!("CREATE SCHEMA lair AUTHORIZATION {attacker}"));
        run(&mut lab.attacker(), TRAP);
        lab.lines_seen = lab.log().len();
        lab
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    pub fn database(&self) -> &str {
        &self.database
    }

    pub fn superuser(&self) -> Client {
        self.session(SUPERUSER)
    }

    pub fn attacker(&self) -> Client {
        self.session(self.attacker)
    }

    pub fn session(&self, role: &str) -> Client {
        let mut session = self.server.connect_as(role, &self.database).unwrap();
        run(&mut session, "SET lock_timeout = '20s'");
        session
    }

    /// The traps that were sprung since this was asked last, each once for a role.
    pub fn sprung(&mut self) -> Vec<Sprung> {
        let log = self.log();
        let mut sprung: Vec<_> = log[self.lines_seen..].to_vec();
        self.lines_seen = log.len();
        sprung.sort();
        sprung.dedup();
        sprung
    }

    fn log(&self) -> Vec<Sprung> {
        sprung_in(&self.server.log().unwrap(), &self.database)
    }

    /// Does what springs these traps with the superuser's rights, to show that they work.
    #[track_caller]
    pub fn expect_armed(&mut self, statements: &str, traps: &[&str]) {
        self.sprung();
        run(&mut self.superuser(), statements);
        let sprung = self.sprung();
        for trap in traps {
            let expected = Sprung { trap: (*trap).to_owned(), role: SUPERUSER.to_owned() };
            assert!(sprung.contains(&expected), "{statements}: the trap {trap:?} does not work: {sprung:?}");
        }
    }

    /// Runs each of the statements in a session of its own of that role, and returns those that sprang a trap as somebody
    /// else than the attacker or that role. Whether one is refused is not asked: who ran the traps is.
    pub fn breaches(&mut self, role: &str, statements: &[&str]) -> Vec<String> {
        self.sprung_beside(&[self.attacker, role], role, statements)
    }

    /// As [`Self::breaches`], where that role, too, is to run nothing of the attacker's; a panic if a trap was sprung so.
    #[track_caller]
    pub fn expect_none_lent(&mut self, role: &str, statements: &[&str]) {
        let breaches = self.sprung_beside(&[self.attacker], role, statements);
        assert!(breaches.is_empty(), "ran with rights that its owner does not have:\n{}", breaches.join("\n"));
    }

    fn sprung_beside(&mut self, ours: &[&str], role: &str, statements: &[&str]) -> Vec<String> {
        let mut breaches = Vec::new();
        for statement in statements {
            self.sprung();
            let error = db_error(self.session(role).batch_execute(statement));
            let mut sprung = self.sprung();
            sprung.retain(|sprung| !ours.contains(&sprung.role.as_str()));
            if !sprung.is_empty() {
                let error = error.map(|error| error.message().to_owned());
                breaches.push(format!("{role}: {statement}: {sprung:?}, error: {error:?}"));
            }
        }
        breaches
    }
}

/// The traps that were sprung in a database, by what the server has logged.
pub fn sprung_in(log: &str, database: &str) -> Vec<Sprung> {
    log.lines()
        .filter_map(|line| {
            let mut parts = line.split_once("SPRUNG;").filter(|(prefix, _)| prefix.contains("LOG:"))?.1.split(';');
            let (of, trap, role) = (parts.next()?, parts.next()?, parts.next()?);
            (of == database).then(|| Sprung { trap: trap.to_owned(), role: role.to_owned() })
        })
        .collect()
}

/// The code of the error that refuses a statement; a panic if nothing does.
#[track_caller]
pub fn refused(session: &mut Client, statement: &str) -> String {
    match db_error(session.batch_execute(statement)) {
        Some(error) => error.code().code().to_owned(),
        None => unreachable!("{statement}: was not refused"),
    }
}

/// Makes the roles that the tests use, those of the demo among them, with their rights in [`DATABASE`].
fn make_roles(server: &Server) {
    for file in ["docker/init_main/06_roles.sql", "docker/init_main/09_lab_role.sql"] {
        let mut psql = server.client_program("psql", DATABASE).unwrap();
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"]).arg(repository(file));
        psql.env("LAB_PASSWORD", server.password());
        finish(psql).unwrap().success().unwrap();
    }
    let login = format!("LOGIN PASSWORD '{}'", server.password());
    run(
        &mut server.session().unwrap(),
        &format!(
            "CREATE ROLE {MALLORY} {login}; CREATE ROLE {MOLE} {login} IN ROLE operations_worker; \
             CREATE ROLE {READER} {login} IN ROLE operations_reader"
        ),
    );
}

/// The server that all tests share that run at the same time; the last one stops it.
fn server() -> Arc<Server> {
    static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(server) = shared.upgrade() {
        return server;
    }
    let server = Arc::new(Server::primary().with_rows().start().unwrap());
    make_roles(&server);
    *shared = Arc::downgrade(&server);
    server
}
