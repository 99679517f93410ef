//! Failover and what follows it, on the command line.

use clap::Args;
use operations_lab::{Error, failover};

use super::demo::Folder;

/// Fences the primary, promotes the replica, and shows that writes and both jobs go on there.
///
/// Of several replicas the one that has received most is promoted, and the others are led to it. See docs/readers.md.
///
/// The old primary is stopped fast, then at once, then killed; if a process of it is still there, nothing is promoted. It
/// cannot take writes again, by whatever command it is started. Ports stay with the servers. See docs/failover.md.
#[derive(Args)]
pub struct Failover {
    #[command(flatten)]
    folder: Folder,
}

impl Failover {
    /// Runs the command; returns its exit code.
    pub fn run(&self) -> Result<u8, Error> {
        failover::failover(self.folder.get()).map(|()| 0)
    }
}

/// Makes the old primary a replica of the new one, by pg_rewind or else by a new clone, and says which and why.
///
/// Rows that only the old primary has are written to a file before, which psql loads. make demo does the same when it finds
/// an old primary.
#[derive(Args)]
pub struct Rejoin {
    #[command(flatten)]
    folder: Folder,
}

impl Rejoin {
    /// Runs the command; returns its exit code.
    pub fn run(&self) -> Result<u8, Error> {
        failover::rejoin(self.folder.get()).map(|()| 0)
    }
}
