//! Where Citus has made a table its own, what cannot work says so, and the rest works; without Citus nothing is other than before.
//!
//! Most of it takes a PostgreSQL with Citus, which `CITUS_PG_CONFIG` names: a coordinator and two workers. Without one the tests
//! say what was skipped.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod attacks;
mod common;
mod distribute;
mod flips;
mod hidden;
mod loads;
mod moves;
mod refused;
mod rights;
mod shards;
mod without;
mod workers;
mod works;
