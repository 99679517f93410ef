//! What keeps the program from asking at all.

use std::path::PathBuf;

/// Why the servers could not be named.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A connection string that is not one, or not one for this program.
    #[error("\"{url}\" names no server to ask: {why}")]
    Url {
        /// The string, without what may be a password.
        url: String,
        /// What is wrong with it.
        why: String,
    },

    /// A file of the demo that is there and cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },

    /// No server was named, and there is no demo.
    #[error("{0}")]
    Arguments(String),
}
