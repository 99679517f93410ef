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
pub mod connect;
pub mod demo;
pub mod doctor;
pub mod drill;
mod error;
pub mod failover;
mod long;
pub mod lsn;
mod passfile;
pub mod receipt;
pub mod role;
pub mod say;
pub mod server;
pub mod target;
pub mod throwaway;
pub mod tools;

pub use error::Error;

use std::path::Path;

/// The database of the lab.
pub const DATABASE: &str = "operations_db";

/// The superuser that `initdb` makes.
pub const SUPERUSER: &str = "postgres";

/// The role that replicas connect as.
pub const REPLICATOR: &str = "replicator";

/// The checkout that this was built from. What the servers run (`docker/`) is read from there.
#[must_use]
pub fn checkout() -> &'static Path {
    let lab = Path::new(env!("CARGO_MANIFEST_DIR"));
    lab.parent().unwrap_or(lab)
}
