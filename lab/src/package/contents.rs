//! The files that every package has.

use std::path::Path;

use super::binary::Binary;
use super::{meta, sbom};
use crate::checkout;
use crate::error::{Context, Error};
use crate::tools::{self, Postgres, State};

/// Files by their names.
pub(super) type Files = Vec<(String, Vec<u8>)>;

pub(super) struct Contents {
    pub library: Binary,
    /// The control file and the scripts.
    pub extension: Files,
    /// Those to read.
    pub documents: Files,
    pub meta: Vec<u8>,
    pub sbom: Vec<u8>,
}

impl Contents {
    pub fn gather(state: &State, postgres: &Postgres, epoch: u64) -> Result<Self, Error> {
        let mut documents = Files::new();
        for name in ["CHANGELOG.md", "LICENSE", "README.md"] {
            documents.push((name.to_owned(), read(&checkout().join(name))?));
        }
        Ok(Self {
            library: Binary::read(&tools::built(state))?,
            extension: tools::extension_files()?,
            documents,
            meta: meta::json()?,
            sbom: sbom::json(state.major, postgres, epoch)?,
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).context(|| format!("read {}", path.display()))
}
