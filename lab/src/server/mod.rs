//! Drives PostgreSQL servers, whoever made them: finds, stops, kills, promotes, asks and waits for them.

mod directory;
pub mod entrypoint;
mod owner;
pub mod ports;
pub(crate) mod process;
mod programs;
mod resident;
mod rights;
mod session;
mod wait;

pub use directory::{DataDirectory, Stop};
pub use owner::Owner;
pub(crate) use owner::open_to_read;
pub(crate) use programs::quoted_for_shell;
pub use programs::{Finished, clean, finish};
pub use resident::Resident;
pub(crate) use rights::may_write;
pub use rustix::process::Signal;
pub use session::{db_error, promote, text, value};
pub use wait::try_wait;

use std::time::Duration;

/// How long a server may take to start or to stop.
pub const LIMIT: Duration = Duration::from_secs(60);
