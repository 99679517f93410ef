//! Packages of the extension.

use std::path::PathBuf;

use clap::Args;
use operations_lab::tools::State;
use operations_lab::{Error, checkout, package};

/// Makes packages of the extension: a .deb, one of this program, an archive with an install script, META.json and source for PGXN, what is in the library
/// (CycloneDX), and their SHA-256.
///
/// Two builds of one commit give the same bytes. The time of all files is that of the commit, or SOURCE_DATE_EPOCH.
#[derive(Args)]
pub struct Package {
    /// Where they go [default: dist/ of the checkout]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,

    /// Leave out the program operations-lab, which has a package of its own
    #[arg(long)]
    no_program: bool,
}

impl Package {
    /// Runs the command; returns its exit code.
    pub fn run(&self) -> Result<u8, Error> {
        let folder = self.out.clone().unwrap_or_else(|| checkout().join("dist"));
        package::make(&State::find()?, &folder, !self.no_program).map(|_| 0)
    }
}
