//! The files of `docker/monitoring/` that are made of the table of metrics.

use clap::Args;
use operations_lab::say::warn;
use operations_lab::{Error, checkout, monitoring};

/// Compares the alert rules and the dashboard with what the table of metrics gives.
#[derive(Args)]
pub struct Monitoring {
    /// Write the files anew instead
    #[arg(long)]
    write: bool,
}

impl Monitoring {
    /// Runs the command; returns its exit code.
    pub fn run(&self) -> Result<u8, Error> {
        let mut same = true;
        for (path, text) in monitoring::files() {
            let path = checkout().join(path);
            if std::fs::read_to_string(&path).is_ok_and(|found| found == text) {
                continue;
            }
            same = false;
            if self.write {
                let written = std::fs::write(&path, text);
                written.map_err(|source| Error::Io { what: format!("write {}", path.display()), source })?;
            } else {
                warn(&format!("{} is not as the table has it: operations-lab dev monitoring --write", path.display()));
            }
        }
        Ok(u8::from(!same && !self.write))
    }
}
