//! `operations_ext`: a live PostgreSQL operations lab in one extension.
//!
//! A folder is a topic, with the procedures that SQL calls, what they do, and the SQL that they run: `workload`, `partitions`,
//! `rollup`, `jobs`, `load`, `setup`, `doctor`. `pg` faces PostgreSQL for all of them and knows nothing of operations. What an operation
//! is knows the crate `operations_model`, which needs no PostgreSQL. Unsafe code is denied but in the modules that say why they need it.

use pgrx::PgLogLevel;
use pgrx::pg_sys::panic::ErrorReport;

mod arguments;
mod citus;
mod doctor;
mod error;
mod guc;
mod jobs;
mod load;
mod orphans;
mod partitions;
mod pg;
#[cfg(any(test, feature = "pg_test"))]
mod pgrx_tests;
mod query;
mod random;
mod rights;
mod rollup;
mod schema;
mod setup;
mod version;
mod workload;

pgrx::pg_module_magic!(name, version);

/// Called by PostgreSQL when it loads the library.
#[pgrx::pg_guard]
pub extern "C-unwind" fn _PG_init() {
    pg::session::keep_backtraces_from_clients();
    if let Err(error) = version::require_one_library() {
        ErrorReport::from(error).report(PgLogLevel::ERROR);
    }
    guc::register();
    jobs::worker::register();
}

#[cfg(test)]
/// What `cargo pgrx test` asks of a crate.
pub mod pg_test {
    /// Called before the test server starts.
    pub fn setup(_options: Vec<&str>) {}

    /// Settings of the test server.
    #[must_use]
    pub fn postgresql_conf_options() -> Vec<&'static str> {
        vec![]
    }
}
