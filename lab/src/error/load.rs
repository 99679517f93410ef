//! Why nothing is loaded.

use std::path::PathBuf;

use crate::role::Role;

/// Why nothing is loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A server cannot be loaded.
    #[error("nothing is loaded, for want of {server}: {why}")]
    NotLoadable {
        /// The server.
        server: String,
        /// Why.
        why: String,
    },

    /// A server is needed that was not named.
    #[error("no {server} is named: {why}")]
    NotNamed {
        /// The server.
        server: Role,
        /// What to do.
        why: &'static str,
    },

    /// A PostgreSQL without pgbench.
    #[error("there is no pgbench in {}: install it there, or name the pg_config of another PostgreSQL in PG_CONFIG", folder.display())]
    NoPgbench {
        /// Where its programs are.
        folder: PathBuf,
    },
}
