//! The tests and the benchmark of `operations_ext` that drive real servers from outside: what they expect, and the library
//! of the program `operations-lab` that starts, stops, kills and asks the servers.

pub mod expect;

pub use expect::wait_until;
pub use operations_lab::server::{Finished, Stop, db_error, finish, text, try_wait, value};
pub use operations_lab::throwaway::{Notices, ReplicaBuilder, Server, ServerBuilder, missing_citus, repository};
pub use operations_lab::{DATABASE, Error, REPLICATOR, SUPERUSER};
