//! `operations_ext`: a live PostgreSQL operations lab in one extension.
//!
//! `api` is the SQL surface, a module a topic; `load` puts test data in; `worker` runs the jobs where pg_cron does not; `pg`
//! faces PostgreSQL, behind safe types: elsewhere unsafe code is denied, but for what says why it needs it; `operations_model`, a crate of its own, knows what an operation is and needs no PostgreSQL.

mod api;
mod error;
mod guc;
mod install;
mod jobs;
mod load;
mod partitions;
mod pg;
#[cfg(any(test, feature = "pg_test"))]
mod pgrx_tests;
mod query;
mod random;
mod rights;
mod rollup;
mod schema;
mod worker;

pgrx::pg_module_magic!(name, version);

/// Called by PostgreSQL when it loads the library.
#[pgrx::pg_guard]
pub extern "C-unwind" fn _PG_init() {
    pg::session::keep_backtraces_from_clients();
    guc::register();
    worker::register();
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
