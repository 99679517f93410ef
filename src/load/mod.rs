//! Loading a set of test data, each month the fastest way that is right for it.
//!
//! | a month that | is loaded |
//! |---|---|
//! | has no partition | into a table of its own, indexed afterwards and attached at the end |
//! | has an empty partition | likewise; at the end the partition gets the file of that table |
//! | has far fewer rows than come | in place, its indexes made anew afterwards, while it is locked |
//! | has many rows, is the current one, or must not be locked for the jobs' sake | in place, its indexes kept row by row |
//!
//! All of it is the caller's transaction, also what parallel workers write. A table that is not the one that
//! operations_setup() makes is loaded by COPY (`copy`), which knows triggers, constraints and other columns; one that Citus has distributed
//! by its nodes (`sharded`).

mod copy;
mod fill;
mod procedure;
mod processes;
mod progress;
mod progress_view;
mod run;
pub mod shard;
mod sharded;
mod staging;
mod standard;
mod storage;
mod strategy;
