//! What `pg_config` says of a PostgreSQL.

use std::path::Path;
use std::process::Command;

use crate::server::finish;

/// What a pg_config answers, if it runs.
pub(crate) fn ask(config: &Path, option: &str) -> Option<String> {
    let mut command = Command::new(config);
    command.arg(option);
    let answer = finish(command).ok()?.success().ok()?;
    Some(answer.lines().next()?.to_owned())
}
