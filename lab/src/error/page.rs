//! Why the page cannot be served.

use std::path::PathBuf;

/// Why the page cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// Somebody listens where the page should be served.
    #[error(
        "port {port} of {host}, for the page, is taken: stop what listens there, or name another one: LAB_PORT, or --port"
    )]
    PagePortTaken {
        /// The address.
        host: String,
        /// The port.
        port: u16,
    },

    /// The same, of a demo.
    #[error(
        "port {port} of 127.0.0.1 is taken: stop what listens there and make demo again, or make demo LAB_PORT={free}; \
             LAB_PORT=off serves none"
    )]
    LabPortTaken {
        /// The port.
        port: u16,
        /// A port that is free.
        free: u16,
    },

    /// There is no password to look at a demo with.
    #[error("{} cannot be read, which has the password of the role that looks: make demo makes it", file.display())]
    NoLabPassword {
        /// The file.
        file: PathBuf,
    },

    /// The role that looks could not be made.
    #[error("the role that looks could not be made (docker/init_main/09_lab_role.sql): {why}")]
    LabRole {
        /// What psql said.
        why: String,
    },
}
