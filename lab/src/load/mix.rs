//! The scripts, and how often each is run.

use std::fmt;
use std::str::FromStr;

use crate::role::Role;

/// A transaction that pgbench runs again and again.
#[derive(Debug)]
pub struct Script {
    /// The name of its file in `load/`.
    pub name: &'static str,
    /// The server that it runs on.
    pub server: Role,
    /// Its statements.
    pub text: &'static str,
    /// How often it is run, if nothing else is said.
    weight: u32,
}

/// A script of `load/`.
macro_rules! script {
    ($name:literal, $server:expr, $weight:literal) => {
        Script {
            name: $name,
            server: $server,
            text: include_str!(concat!("../../../load/", $name, ".sql")),
            weight: $weight,
        }
    };
}

/// All scripts, with the weights of a bank's day.
pub static SCRIPTS: [Script; 7] = [
    script!("insert", Role::Primary, 60),
    script!("flip", Role::Primary, 1),
    script!("correct", Role::Primary, 4),
    script!("cancel", Role::Primary, 2),
    script!("late", Role::Primary, 3),
    script!("balance", Role::Replica, 28),
    script!("dashboard", Role::Replica, 2),
];

/// The largest weight that may be given.
const MOST: u32 = 1_000_000;

/// How often each script is run, as a share of all.
#[derive(Clone, Debug)]
pub struct Mix(Vec<(&'static Script, u32)>);

impl Default for Mix {
    fn default() -> Self {
        Self(SCRIPTS.iter().map(|script| (script, script.weight)).collect())
    }
}

impl Mix {
    /// The scripts of a server with their weights.
    pub fn of(&self, server: Role) -> impl Iterator<Item = (&'static Script, u32)> {
        self.0.iter().copied().filter(move |(script, _)| script.server == server)
    }

    /// Which part of all transactions is a server's.
    #[must_use]
    pub fn share(&self, server: Role) -> f64 {
        let sum = |parts: &mut dyn Iterator<Item = u32>| parts.map(f64::from).sum::<f64>();
        sum(&mut self.of(server).map(|(_, weight)| weight)) / sum(&mut self.0.iter().map(|(_, weight)| *weight))
    }

    /// Whether a server has anything to do.
    #[must_use]
    pub fn has(&self, server: Role) -> bool {
        self.of(server).next().is_some()
    }
}

/// As it is given: `insert=60,flip=5`. What is not named is not run.
impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts: Vec<(&Script, u32)> = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (name, weight) = part.split_once('=').ok_or_else(|| format!("\"{part}\" is not NAME=WEIGHT"))?;
            let Some(script) = SCRIPTS.iter().find(|script| script.name == name) else {
                let known: Vec<_> = SCRIPTS.iter().map(|script| script.name).collect();
                return Err(format!("there is no \"{name}\": name some of {}", known.join(", ")));
            };
            if parts.iter().any(|(other, _)| other.name == name) {
                return Err(format!("{name} is named twice"));
            }
            let is_number = weight.bytes().all(|byte| byte.is_ascii_digit());
            let weight = weight.parse().ok().filter(|weight| is_number && *weight <= MOST);
            parts.push((script, weight.ok_or_else(|| format!("{part}: give a whole number from 0 to {MOST}"))?));
        }
        parts.retain(|(_, weight)| *weight > 0);
        if parts.is_empty() {
            return Err("all weights are 0, so there is nothing to do".to_owned());
        }
        Ok(Self(parts))
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = self.0.iter().map(|(script, weight)| format!("{}={weight}", script.name)).collect();
        formatter.write_str(&parts.join(","))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn weights_are_shares_of_all() {
        let mix: Mix = "insert=60, balance=20,flip=0".parse().unwrap();
        assert_eq!(mix.to_string(), "insert=60,balance=20");
        assert_eq!((mix.share(Role::Primary), mix.share(Role::Replica)), (0.75, 0.25));
        let mix: Mix = "insert=1".parse().unwrap();
        assert_eq!((mix.share(Role::Replica), mix.has(Role::Replica)), (0.0, false));
        let usual = Mix::default();
        assert_eq!(usual.to_string().parse::<Mix>().unwrap().to_string(), usual.to_string());
        assert!((usual.share(Role::Primary) + usual.share(Role::Replica) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_no_mix_is_told() {
        for (text, why) in [
            (
                "nonsense=1",
                "there is no \"nonsense\": name some of insert, flip, correct, cancel, late, balance, dashboard",
            ),
            ("", "\"\" is not NAME=WEIGHT"),
            ("insert", "\"insert\" is not NAME=WEIGHT"),
            ("insert=1,insert=2", "insert is named twice"),
            ("insert=-1", "insert=-1: give a whole number from 0 to 1000000"),
            ("insert=+1", "insert=+1: give a whole number from 0 to 1000000"),
            ("insert=99999999999", "insert=99999999999: give a whole number from 0 to 1000000"),
            ("insert=0,flip=0", "all weights are 0, so there is nothing to do"),
        ] {
            assert_eq!(text.parse::<Mix>().unwrap_err(), why);
        }
    }

    #[test]
    fn each_file_is_a_script() {
        let folder = crate::checkout().join("load");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        files.sort();
        let mut names: Vec<_> = SCRIPTS.iter().map(|script| format!("{}.sql", script.name)).collect();
        names.sort();
        assert_eq!(files, names);
    }
}
