//! The demo's settings. At a start, what is given in the environment wins; what is not is as it was at the last start; the rest
//! has defaults. Whatever asks a demo does so by the settings of its last start, so that all find it.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::demo::layout::Layout;
use crate::demo::nodes::MOST;
use crate::error::{Context, Error, SettingError};

/// Each setting and its default.
pub(crate) const DEFAULTS: [(&str, &str); 14] = [
    ("PRIMARY_PORT", "5432"),
    ("REPLICA_PORT", "5433"),
    ("POSTGRES_USER", "postgres"),
    ("POSTGRES_PASSWORD", "postgres"),
    ("POSTGRES_DB", crate::DATABASE),
    ("REPLICATION_USER", crate::REPLICATOR),
    ("REPLICATION_PASSWORD", "123123"),
    (TEST_ROWS, "100000"),
    (WAL_LEVEL, "replica"),
    (SYNC, "off"),
    (INSERT_BATCH, "1"),
    (LAB_PORT, "8080"),
    (REPLICAS, "1"),
    (CASCADE, "off"),
];

/// How many rows of test data the first start makes.
pub(crate) const TEST_ROWS: &str = "OPERATIONS_TEST_ROWS";

/// How much the WAL says: `logical` lets logical slots decode it.
pub(crate) const WAL_LEVEL: &str = "WAL_LEVEL";

/// Whether a commit waits for the replica.
const SYNC: &str = "SYNC";

/// How many operations the job `operation_insert_one` inserts each time.
const INSERT_BATCH: &str = "OPERATIONS_INSERT_BATCH";

/// As many as `operations_ext.insert_batch` takes.
const MOST_INSERTED: u32 = 10_000;

/// Where the page is served; `off` or 0: nowhere.
pub(crate) const LAB_PORT: &str = "LAB_PORT";

/// How many replicas follow.
pub(crate) const REPLICAS: &str = "REPLICAS";

/// Whether the further replicas follow the first instead of the primary.
const CASCADE: &str = "CASCADE";

/// As many as `operations_test_data()` makes.
const MOST_TEST_ROWS: u64 = 10_000_000_000;

/// Settings that may also be given by a file: `NAME_FILE` names it.
const FROM_FILES: [&str; 2] = ["POSTGRES_PASSWORD", "REPLICATION_PASSWORD"];

/// Settings that the data are made with, and that stay.
const OF_THE_DATA: [&str; 3] = ["POSTGRES_USER", "POSTGRES_DB", "REPLICATION_USER"];

/// All settings of a demo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The port of the primary.
    pub primary_port: u16,
    /// The port of the first replica. Those of the others follow, in the order of their numbers.
    pub replica_port: u16,
    /// The superuser.
    pub user: String,
    /// The superuser's password.
    pub password: String,
    /// The database with the operations.
    pub database: String,
    /// The role that the replica connects as.
    pub replication_user: String,
    /// The password of that role.
    pub replication_password: String,
    /// How many rows of test data the first start makes.
    pub test_rows: u64,
    /// The servers' `wal_level`.
    pub wal_level: String,
    /// Whether a commit waits for the replica.
    pub synchronous: bool,
    /// How many operations the job `operation_insert_one` inserts each time.
    pub insert_batch: u32,
    /// The port of the page, if it is served.
    pub lab_port: Option<u16>,
    /// How many replicas follow.
    pub replicas: u8,
    /// Whether the further replicas follow the first instead of the primary.
    pub cascades: bool,
}

/// Settings by name, as they were at the last start or as they are given now.
#[derive(Clone, Debug, Default)]
pub struct Named(HashMap<String, String>);

impl Named {
    /// What the demo was last started with; nothing if it never was. The server's user may write anything there.
    pub fn saved(layout: &Layout) -> Result<Self, Error> {
        let path = layout.folder.join("settings");
        match layout.owner.read(&path) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            // Then that user has put something else there, which the next start replaces.
            Err(_) if layout.owner.is_lent() => Ok(Self::default()),
            Err(error) => Err(error).context(|| format!("read {}", path.display())),
        }
    }

    /// Drops what no start has written.
    fn parse(text: &str) -> Self {
        let known = |name: &str, value: &str| {
            let (found, _) = DEFAULTS.iter().find(|(known, _)| *known == name)?;
            let fits = match *found {
                TEST_ROWS => test_rows(value).is_ok(),
                WAL_LEVEL => wal_level(value).is_ok(),
                SYNC | CASCADE => switch(found, value).is_ok(),
                REPLICAS => replicas(value).is_ok(),
                INSERT_BATCH => insert_batch(value).is_ok(),
                LAB_PORT => lab_port(value).is_ok(),
                _ => !found.ends_with("_PORT") || port(found, value).is_ok(),
            };
            (!value.is_empty() && fits).then_some(())
        };
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        let pairs = pairs.filter(|(name, value)| known(name, value).is_some());
        Self(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// What the environment gives.
    pub fn given() -> Result<Self, Error> {
        Self::of(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let mut given = HashMap::new();
        for (name, _) in DEFAULTS {
            given.extend(variable(name).map(|value| (name.to_owned(), value)));
        }
        for name in FROM_FILES {
            let Some(file) = variable(&format!("{name}_FILE")).map(PathBuf::from) else {
                continue;
            };
            if given.contains_key(name) {
                return Err(SettingError::GivenTwice { name }.into());
            }
            let password = std::fs::read_to_string(&file)
                .map_err(|_| Error::Setting(SettingError::PasswordFile { name, file }))?;
            given.insert(name.to_owned(), password.trim_end_matches('\n').to_owned());
        }
        Ok(Self(given))
    }

    /// A setting by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The port that the servers of a number are counted from, if there is one and it is a port.
    #[must_use]
    pub fn base_port(&self, number: u8) -> Option<u16> {
        port(port_variable(number), self.get(port_variable(number))?).ok()
    }

    /// The port of the page, if there is a setting of it.
    #[must_use]
    pub fn lab_port(&self) -> Option<Option<u16>> {
        lab_port(self.get(LAB_PORT)?).ok()
    }

    /// The same without what each start takes anew: for data that are not made yet, their rows.
    #[must_use]
    pub fn lasting(mut self) -> Self {
        self.0.retain(|name, _| name != TEST_ROWS);
        self
    }
}

/// The variable that names the port of the server that was made as this.
#[must_use]
pub fn port_variable(number: u8) -> &'static str {
    match number {
        0 => "PRIMARY_PORT",
        _ => "REPLICA_PORT",
    }
}

impl Settings {
    /// What is given, else what was saved, else the default.
    pub fn of(given: &Named, saved: &Named) -> Result<Self, Error> {
        let value = |wanted: &str| {
            let usual = DEFAULTS.iter().find(|(name, _)| *name == wanted).map_or("", |(_, usual)| *usual);
            given.get(wanted).or_else(|| saved.get(wanted)).unwrap_or(usual).to_owned()
        };
        for (name, _) in DEFAULTS {
            if value(name).contains('\n') {
                return Err(SettingError::NotOneLine { name }.into());
            }
        }
        let settings = Self {
            primary_port: port("PRIMARY_PORT", &value("PRIMARY_PORT"))?,
            replica_port: port("REPLICA_PORT", &value("REPLICA_PORT"))?,
            user: value("POSTGRES_USER"),
            password: value("POSTGRES_PASSWORD"),
            database: value("POSTGRES_DB"),
            replication_user: value("REPLICATION_USER"),
            replication_password: value("REPLICATION_PASSWORD"),
            test_rows: test_rows(&value(TEST_ROWS))?,
            wal_level: wal_level(&value(WAL_LEVEL))?,
            synchronous: switch(SYNC, &value(SYNC))?,
            insert_batch: insert_batch(&value(INSERT_BATCH))?,
            lab_port: lab_port(&value(LAB_PORT))?,
            replicas: replicas(&value(REPLICAS))?,
            cascades: switch(CASCADE, &value(CASCADE))?,
        };
        settings.check_ports()?;
        Ok(settings)
    }

    /// No two servers on one port, nor a server and the page.
    pub fn check_ports(&self) -> Result<(), Error> {
        if self.primary_port == self.replica_port {
            return Err(SettingError::SamePorts { port: self.primary_port }.into());
        }
        let (replicas, first) = (self.replicas, self.replica_port);
        let Some(last) = first.checked_add(u16::from(replicas) - 1) else {
            return Err(SettingError::NoRoomForPorts { replicas, first }.into());
        };
        let others = [("PRIMARY_PORT", Some(self.primary_port)), (LAB_PORT, self.lab_port)];
        for (name, port) in others {
            if let Some(port) = port.filter(|port| replicas > 1 && (first..=last).contains(port)) {
                return Err(SettingError::PortOfAReplica { replicas, first, last, name, port }.into());
            }
        }
        Ok(())
    }

    /// The port of the server that was made as this: 0 is the primary.
    #[must_use]
    pub fn port(&self, number: u8) -> u16 {
        match number.checked_sub(1) {
            None => self.primary_port,
            Some(further) => self.replica_port.saturating_add(u16::from(further)),
        }
    }

    /// The port that the servers of a number are counted from.
    #[must_use]
    pub fn base_port(&self, number: u8) -> u16 {
        self.port(number.min(1))
    }

    /// Sets the port that the servers of a number are counted from.
    pub fn set_base_port(&mut self, number: u8, port: u16) {
        match number {
            0 => self.primary_port = port,
            _ => self.replica_port = port,
        }
    }

    /// Checks that the data of a demo were made with these names.
    pub fn check_against_data(&self, saved: &Named) -> Result<(), Error> {
        let values = [&self.user, &self.database, &self.replication_user];
        for (name, value) in OF_THE_DATA.into_iter().zip(values) {
            if let Some(saved) = saved.get(name).filter(|saved| saved != value) {
                return Err(SettingError::OtherData { name, given: value.clone(), saved: saved.to_owned() }.into());
            }
        }
        Ok(())
    }

    /// The data of a demo are made once. Says so if other rows were asked for, and keeps those that were made.
    #[must_use]
    pub fn keep_test_rows(&mut self, given: &Named, saved: &Named) -> Option<String> {
        let made = test_rows(saved.get(TEST_ROWS)?).ok()?;
        let asked = std::mem::replace(&mut self.test_rows, made);
        (given.get(TEST_ROWS).is_some() && asked != made).then(|| {
            format!("{TEST_ROWS}={asked} is ignored: the rows are made at the first start only, which made {made}")
        })
    }

    /// Takes the passwords that worked before.
    pub fn restore_passwords(&mut self, saved: &Named) {
        for (name, value) in FROM_FILES.into_iter().zip([&mut self.password, &mut self.replication_password]) {
            if let Some(saved) = saved.get(name) {
                saved.clone_into(value);
            }
        }
    }

    /// Takes the password that the replica connected with before.
    pub fn restore_replication_password(&mut self, saved: &Named) {
        if let Some(saved) = saved.get("REPLICATION_PASSWORD") {
            saved.clone_into(&mut self.replication_password);
        }
    }

    /// Keeps them for the next start, where nobody but the server's user can read them.
    pub fn save(&self, layout: &Layout) -> Result<(), Error> {
        let ports = [self.primary_port.to_string(), self.replica_port.to_string()];
        let test_rows = self.test_rows.to_string();
        let synchronous = if self.synchronous { "on" } else { "off" }.to_owned();
        let insert_batch = self.insert_batch.to_string();
        let lab_port = self.lab_port.map_or_else(|| "off".to_owned(), |port| port.to_string());
        let replicas = self.replicas.to_string();
        let cascades = if self.cascades { "on" } else { "off" }.to_owned();
        let values = [
            &ports[0],
            &ports[1],
            &self.user,
            &self.password,
            &self.database,
            &self.replication_user,
            &self.replication_password,
            &test_rows,
            &self.wal_level,
            &synchronous,
            &insert_batch,
            &lab_port,
            &replicas,
            &cascades,
        ];
        let lines = DEFAULTS.iter().zip(values).map(|((name, _), value)| format!("{name}={value}\n"));
        let path = layout.folder.join("settings");
        let written = layout.owner.write(&path, lines.collect::<String>().as_bytes(), true);
        written.context(|| format!("write {}", path.display()))
    }
}

fn port(name: &'static str, text: &str) -> Result<u16, Error> {
    let digits = (4..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|port| digits && *port >= 1024);
    port.ok_or_else(|| Error::Setting(SettingError::NoPort { name, value: text.to_owned() }))
}

fn lab_port(text: &str) -> Result<Option<u16>, Error> {
    match text {
        "off" | "0" => Ok(None),
        number => port(LAB_PORT, number).map(Some),
    }
}

pub(crate) fn replicas(text: &str) -> Result<u8, Error> {
    let number = text.parse().ok().filter(|number| text.len() == 1 && (1..=MOST).contains(number));
    number.ok_or_else(|| Error::Setting(SettingError::NoReplicas { value: text.to_owned(), most: MOST }))
}

fn switch(name: &'static str, text: &str) -> Result<bool, Error> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(SettingError::NoSwitch { name, value: other.to_owned() }.into()),
    }
}

fn test_rows(text: &str) -> Result<u64, Error> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let rows = text.parse().ok().filter(|rows| is_number && *rows <= MOST_TEST_ROWS);
    rows.ok_or_else(|| {
        Error::Setting(SettingError::NoRows { name: TEST_ROWS, value: text.to_owned(), most: MOST_TEST_ROWS })
    })
}

fn insert_batch(text: &str) -> Result<u32, Error> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let rows = text.parse().ok().filter(|rows| is_number && (1..=MOST_INSERTED).contains(rows));
    rows.ok_or_else(|| {
        Error::Setting(SettingError::NoBatch { name: INSERT_BATCH, value: text.to_owned(), most: MOST_INSERTED })
    })
}

fn wal_level(text: &str) -> Result<String, Error> {
    let is_known = matches!(text, "replica" | "logical");
    is_known.then(|| text.to_owned()).ok_or_else(|| Error::Setting(SettingError::NoWalLevel { value: text.to_owned() }))
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
