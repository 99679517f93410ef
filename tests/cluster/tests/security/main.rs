//! The guards of docs/security.md: its lists are compared with the catalogs and the sources, and every boundary that it
//! names is attacked by a role that has only what it was granted, TEMP, and a schema of its own.
//!
//! A trap is a function of the attacker. It writes to the server's log, which no rollback takes back, as whom it ran. Each
//! test first shows that its trap works where nothing keeps it out, and then that at our boundary it never ran with rights
//! that its owner does not have.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod counting;
mod doctor;
mod jobs;
mod lab;
mod lab_role;
mod left_behind;
mod metrics;
mod notes;
mod page;
mod partitions;
mod partitions_race;
mod plans;
mod public;
mod reach;
mod settings;
mod setup;
mod sources;
mod status;
mod views;
mod worker;
