//! Finds the PostgreSQL to use, or unpacks one.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::Access;

use crate::error::Error;
use crate::say::warn;
use crate::server::{finish, may_write};
use crate::tools::packages::which;
use crate::tools::{PG_MAJOR, State, shim, wheel};

/// A PostgreSQL that is used.
#[derive(Clone, Debug)]
pub struct Postgres {
    /// Its pg_config.
    pub config: PathBuf,
    /// The folder of `postgres`, `initdb`, `psql` and the others.
    pub bindir: PathBuf,
}

impl Postgres {
    /// The one that was used before; nothing is looked for or unpacked.
    #[must_use]
    pub fn found(state: &State) -> Option<Self> {
        let read = |name: &str| {
            let text = std::fs::read_to_string(shim::folder(state).join(name)).ok()?;
            Some(PathBuf::from(text.trim_end_matches('\n')))
        };
        let found = Self { bindir: read(shim::REAL_BIN)?, config: read(shim::REAL_CONFIG)? };
        found.bindir.join("pg_ctl").exists().then_some(found)
    }

    /// The first that fits of `PG_CONFIG` and the usual places, else one that is unpacked; it is remembered.
    pub fn need(state: &State) -> Result<Self, Error> {
        let config = find(state)?;
        let bindir = ask(&config, "--bindir").map(PathBuf::from);
        let bindir = bindir.ok_or_else(|| Error::Environment(format!("{} gives no --bindir", config.display())))?;
        let postgres = Self { config, bindir };
        shim::make(state, &postgres)?;
        Ok(postgres)
    }
}

/// What a pg_config answers, if it runs.
pub(crate) fn ask(config: &Path, option: &str) -> Option<String> {
    let mut command = Command::new(config);
    command.arg(option);
    let answer = finish(command).ok()?.success().ok()?;
    Some(answer.lines().next()?.to_owned())
}

fn find(state: &State) -> Result<PathBuf, Error> {
    if let Some(given) = std::env::var_os("PG_CONFIG").filter(|given| !given.is_empty()) {
        let given = given.to_string_lossy().into_owned();
        let Some(path) = which(&given) else {
            return Err(Error::Environment(format!(
                "PG_CONFIG={given} cannot be used: it is not a pg_config that runs"
            )));
        };
        // Given back what we made for another program: what it stands for is meant.
        let path = shim::stands_for(state, &path).unwrap_or(path);
        return match unfit(state, &path) {
            None => Ok(path),
            Some(why) => Err(Error::Environment(format!("PG_CONFIG={given} cannot be used: {why}"))),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|folder| folder.join("pg_config"));
    let usual = [
        format!("/usr/lib/postgresql/{PG_MAJOR}/bin/pg_config"),
        format!("/usr/pgsql-{PG_MAJOR}/bin/pg_config"),
        "/usr/local/pgsql/bin/pg_config".to_owned(),
    ];
    for config in in_path.chain(usual.map(PathBuf::from)).filter(|config| config.exists()) {
        if let Some(why) = untrusted(state, &config) {
            warn(&format!("Not using {}: {why}", config.display()));
            continue;
        }
        if !ask(&config, "--version").is_some_and(|version| is_of_major(&version)) {
            continue;
        }
        match unfit(state, &config) {
            None => return Ok(config),
            Some(why) => warn(&format!("Not using the PostgreSQL of {}: {why}", config.display())),
        }
    }
    wheel::unpack(state)
}

fn is_of_major(version: &str) -> bool {
    version
        .strip_prefix(&format!("PostgreSQL {PG_MAJOR}"))
        .is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
}

/// Root runs what it finds there: nothing that the servers' user has put there.
fn untrusted(state: &State, config: &Path) -> Option<String> {
    let owner = &state.owner;
    let is_theirs = owner.is_lent() && (owner.may_change(config) || owner.owns(config));
    is_theirs.then(|| format!("the user {}, who runs the server, may change it, and root would run it", owner.name))
}

/// Why a pg_config is of no use; nothing when it is.
fn unfit(state: &State, config: &Path) -> Option<String> {
    if let Some(why) = untrusted(state, config) {
        return Some(why);
    }
    let Some(version) = ask(config, "--version").filter(|version| !version.is_empty()) else {
        return Some("it is not a pg_config that runs".to_owned());
    };
    if !is_of_major(&version) {
        return Some(format!("it is of {version}, and PostgreSQL {PG_MAJOR} is needed"));
    }
    let folder = |option: &str| PathBuf::from(ask(config, option).unwrap_or_default());
    if !folder("--includedir-server").join("postgres.h").exists() {
        return Some(format!("its server headers are missing (Debian: postgresql-server-dev-{PG_MAJOR})"));
    }
    let bindir = folder("--bindir");
    if !bindir.join("initdb").exists() {
        return Some(format!("it has no server beside it (no initdb in {})", bindir.display()));
    }
    if !state.owner.may(&bindir.join("postgres"), Access::EXEC_OK) {
        return Some(format!("the user {}, who runs the server, cannot reach it", state.owner.name));
    }
    let targets = [folder("--pkglibdir"), folder("--sharedir").join("extension")];
    let refused = targets.iter().find(|target| !may_write(target))?;
    let user = crate::server::Owner::current().name;
    Some(format!("{user} may not write {}, where the extension goes", refused.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_the_whole_number() {
        for version in ["PostgreSQL 16", "PostgreSQL 16.14", "PostgreSQL 16beta1", "PostgreSQL 16.4 (Debian 16.4-1)"] {
            assert!(is_of_major(version), "{version}");
        }
        for version in ["PostgreSQL 160", "PostgreSQL 15.3", "pg_config 16", ""] {
            assert!(!is_of_major(version), "{version}");
        }
    }
}
