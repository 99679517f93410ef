//! A server's container: what runs the server there.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use operations_lab::say::say;
use operations_lab::{Error, node};

/// Runs a server of the demo in its container, and decides whether it may be opened for writes.
#[derive(Args)]
#[command(hide = true)]
pub struct Node {
    /// The folder of its data
    #[arg(long, value_name = "FOLDER", required_unless_present = "find_primary")]
    data: Option<PathBuf>,

    /// Print where the server is that takes writes by its data, and do nothing else
    #[arg(long, conflicts_with = "command")]
    find_primary: bool,

    /// What starts the server
    #[arg(last = true, required_unless_present = "find_primary")]
    command: Vec<OsString>,
}

impl Node {
    /// Runs the command; returns its exit code.
    pub fn run(&self) -> Result<u8, Error> {
        match &self.data {
            Some(data) => node::run(data, &self.command),
            None => {
                say(&node::find_primary()?);
                Ok(0)
            }
        }
    }
}
