//! What `pg_config` says of a PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Context, Error};
use crate::server::finish;
use crate::tools::State;
use crate::tools::state::remove;

/// What a pg_config answers, if it runs.
pub(crate) fn ask(config: &Path, option: &str) -> Option<String> {
    let mut command = Command::new(config);
    command.arg(option);
    let answer = finish(command).ok()?.success().ok()?;
    Some(answer.lines().next()?.to_owned())
}

/// The pg_config of a PostgreSQL that was just unpacked in a folder. One that does not run here is removed.
pub(crate) fn unpacked(state: &State, config: PathBuf, folder: &Path) -> Result<PathBuf, Error> {
    if ask(&config, "--version").is_some() {
        return Ok(config);
    }
    remove(folder).context(|| format!("remove {}", folder.display()))?;
    let major = state.major;
    let text = format!("the unpacked PostgreSQL {major} does not run on this machine: set PG_CONFIG to another one");
    Err(Error::Environment(text))
}
