//! The doctor sees what is caused, by its name and within 10 s, sees it go, and sees nothing where nothing is.
//!
//! Tests share a pair where they can: what one causes it also mends.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod both;
mod common;
mod crash;
mod healthy;
mod primary;
mod time_off;
