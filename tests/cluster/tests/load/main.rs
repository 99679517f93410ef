//! `operations_test_data` past COPY: every way to load a month gives what COPY gives, all or nothing, beside others.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod beside;
mod common;
mod elsewhere;
mod exchanged;
mod fallbacks;
mod files;
mod ids;
mod interrupted;
mod rows;
mod snapshots;
mod transactions;
