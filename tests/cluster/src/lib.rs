//! Drives real PostgreSQL servers from outside: throw-away primaries and streaming replicas for the tests and
//! the benchmark of `operations_ext`.
//!
//! Two things come from the environment, so that nobody here needs to know how PostgreSQL got on the machine
//! or that it refuses to run as root: `PG_CONFIG` names the `pg_config` whose `--bindir` holds the programs to
//! run, `OPERATIONS_TEST_DIR` a folder that the user of those programs owns. `make test` sets both.
//! `OPERATIONS_KEEP=1` keeps the folders of finished servers.
//!
//! ```no_run
//! # fn main() -> Result<(), operations_cluster::Error> {
//! use operations_cluster::{DATABASE, Server, value};
//! let primary = Server::primary().with_extension().start()?;
//! let replica = primary.replica().start()?;
//! let mut session = primary.connect(DATABASE)?;
//! session.batch_execute("CALL operation_insert_one()")?;
//! primary.wait_for_catchup(&replica)?;
//! assert_eq!(value::<i64>(&mut replica.connect(DATABASE)?, "SELECT count(*) FROM operations")?, 1);
//! # Ok(())
//! # }
//! ```

mod builder;
mod connect;
mod environment;
mod error;
pub mod expect;
mod leftovers;
mod ports;
mod process;
mod programs;
mod replica;
mod server;
mod session;
mod template;
mod wait;

pub use builder::ServerBuilder;
pub use connect::Notices;
pub use environment::repository;
pub use error::Error;
pub use programs::{Finished, finish};
pub use replica::ReplicaBuilder;
pub use server::{Server, Stop};
pub use session::{db_error, text, value};
pub use wait::{try_wait, wait_until};

/// The database that every primary made here has, of the name that the demo uses.
pub const DATABASE: &str = "operations_db";

/// The superuser that `initdb` makes.
pub const SUPERUSER: &str = "postgres";

/// The role that replicas connect as, of the name that the demo uses.
pub const REPLICATOR: &str = "replicator";
