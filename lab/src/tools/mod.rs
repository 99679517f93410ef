//! What the demo, the tests and the benchmark are built and run with. What the machine lacks is fetched or built: packages of the
//! system (as root), PostgreSQL, cargo-pgrx. Everything else stays in the state folder.

mod cargo_pgrx;
mod extension;
mod packages;
mod postgres;
mod shim;
pub(crate) mod state;
mod step;
mod toolbox;
mod wheel;
mod wheel_programs;

pub use extension::{SCHEMA, install};
pub use packages::{can_install, need as need_packages, which};
pub use postgres::Postgres;
pub use state::State;
pub use toolbox::{Meanwhile, Toolbox, test_environment};

/// The major version of PostgreSQL that all of this is for.
pub const PG_MAJOR: u16 = 16;
