//! The library behind the program `operations-lab`, the tests and the benchmark: drives PostgreSQL servers, and says what is
//! wrong with them.
//!
//! ```no_run
//! # fn main() -> Result<(), operations_lab::Error> {
//! use operations_lab::doctor::{Options, examine};
//! use operations_lab::role::Role;
//! use operations_lab::target::Target;
//! let servers = vec![
//!     Target::from_url(Role::Primary, "postgresql://postgres@127.0.0.1:5432/operations_db")?,
//!     Target::from_url(Role::Replica, "postgresql://postgres@127.0.0.1:5433/operations_db")?,
//! ];
//! println!("{:?}", examine(&servers, &Options::default()).verdict);
//! # Ok(())
//! # }
//! ```

pub mod checks;
pub mod compose;
pub mod connect;
pub mod demo;
pub mod doctor;
pub mod drill;
mod error;
pub mod failover;
pub mod http;
pub mod load;
mod long;
pub mod lsn;
mod marks;
pub mod metrics;
mod moment;
pub mod monitoring;
pub mod node;
pub mod package;
mod passfile;
pub mod patroni;
pub mod receipt;
pub mod release;
pub mod role;
pub mod say;
pub mod serve;
pub mod server;
pub mod target;
pub mod throwaway;
pub mod tools;

pub use error::{DemoError, DrillError, Error, FailoverError, LoadError, PageError, SettingError};

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The database of the lab.
pub const DATABASE: &str = "operations_db";

/// The superuser that `initdb` makes.
pub const SUPERUSER: &str = "postgres";

/// The role that replicas connect as.
pub const REPLICATOR: &str = "replicator";

/// The checkout that this was built from, or that `OPERATIONS_CHECKOUT` names. What the servers run (`docker/`) is read from there.
#[must_use]
pub fn checkout() -> &'static Path {
    static CHECKOUT: OnceLock<PathBuf> = OnceLock::new();
    CHECKOUT.get_or_init(|| {
        let given = std::env::var_os("OPERATIONS_CHECKOUT").filter(|given| !given.is_empty());
        given.map_or_else(|| Path::new(BUILT_FROM).parent().unwrap_or(Path::new(BUILT_FROM)).to_owned(), PathBuf::from)
    })
}

/// The folder of this crate. A package comes from no folder that its user has.
const BUILT_FROM: &str = match option_env!("OPERATIONS_LAB_PACKAGED") {
    Some(_) => "/usr/src/operations_ext/lab",
    None => env!("CARGO_MANIFEST_DIR"),
};
