//! Drives PostgreSQL servers, whoever made them: finds, stops, kills, promotes, asks and waits for them.

mod daemon;
mod directory;
pub mod entrypoint;
mod owner;
pub mod ports;
pub(crate) mod process;
mod programs;
mod rights;
mod session;
mod wait;

pub use daemon::Daemon;
pub use directory::{DataDirectory, Stop};
pub use owner::Owner;
pub(crate) use owner::{make_anew, open_to_append, open_to_read};
pub(crate) use programs::quoted_for_shell;
pub use programs::{Finished, clean, finish};
pub(crate) use rights::may_write;
pub use rustix::process::Signal;
pub use session::{db_error, promote, text, value};
pub use wait::try_wait;

use std::time::Duration;

/// How long a server may take to start or to stop.
pub const LIMIT: Duration = Duration::from_secs(60);
