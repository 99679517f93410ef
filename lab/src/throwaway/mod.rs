//! Throw-away primaries and streaming replicas, for the tests and the benchmark of `operations_ext`.
//!
//! Two things come from the environment, so that nobody here needs to know how PostgreSQL got on the machine
//! or that it refuses to run as root: `PG_CONFIG` names the `pg_config` whose `--bindir` holds the programs to
//! run, `OPERATIONS_TEST_DIR` a folder that the user of those programs owns. `make test` sets both.
//! `CITUS_PG_CONFIG` may name the `pg_config` of one with Citus.
//! `OPERATIONS_KEEP=1` keeps the folders of finished servers.
//!
//! ```no_run
//! # fn main() -> Result<(), operations_lab::Error> {
//! use operations_lab::server::value;
//! use operations_lab::throwaway::Server;
//! let primary = Server::primary().with_extension().start()?;
//! let replica = primary.replica().start()?;
//! primary.session()?.batch_execute("CALL operation_insert_one()")?;
//! primary.wait_for_catchup(&replica)?;
//! assert_eq!(value::<i64>(&mut replica.session()?, "SELECT count(*) FROM operations")?, 1);
//! # Ok(())
//! # }
//! ```

use std::time::Duration;

use crate::checks::PATIENCE;

mod builder;
mod citus;
mod clients;
mod connect;
mod environment;
mod leftovers;
mod port;
mod replica;
mod server;
mod source;
mod template;

pub use builder::ServerBuilder;
pub use citus::{CITUS_PG_CONFIG, missing_citus};
pub use connect::Notices;
pub use environment::repository;
pub use replica::ReplicaBuilder;
pub use server::Server;

/// How long they may take to start, to stop or to replay, for many run at once.
const LIMIT: Duration = crate::server::LIMIT.saturating_mul(PATIENCE);
