//! A PostgreSQL with Citus, where one is given: no registry that the tests can reach has it.

use std::path::PathBuf;

use crate::error::Error;
use crate::throwaway::environment::Environment;
use crate::tools::{Postgres, extension};

/// The variable that names its pg_config.
pub const CITUS_PG_CONFIG: &str = "CITUS_PG_CONFIG";

/// Why no server with Citus can be made; nothing, if [`super::ServerBuilder::with_citus`] makes one. Then that PostgreSQL has the extension
/// that the one under test has.
pub fn missing_citus() -> Result<Option<String>, Error> {
    if std::env::var_os(CITUS_PG_CONFIG).is_none_or(|given| given.is_empty()) {
        return Ok(Some(format!("{CITUS_PG_CONFIG} names no PostgreSQL with Citus")));
    }
    let (tested, citus) = (Environment::get()?, Environment::citus()?);
    let (ours, theirs) = (tested.major()?, citus.major()?);
    if ours != theirs {
        return Ok(Some(format!("{CITUS_PG_CONFIG} is of PostgreSQL {theirs}, and {ours} is tested")));
    }
    let [library, _] = tested.extension()?;
    let [target, _] = citus.extension()?;
    if library != target {
        let postgres = Postgres { config: citus.pg_config().to_owned(), bindir: PathBuf::from(&citus.bindir) };
        extension::install_library(&library, &target)?;
        extension::install_files(&postgres)?;
    }
    Ok(None)
}
