//! The library behind the program `operations-lab`: which servers there are, how they are asked, and what is wrong with them.
//!
//! ```no_run
//! # fn main() -> Result<(), operations_lab::Error> {
//! use operations_lab::doctor::{Options, examine};
//! use operations_lab::target::{Role, Target};
//! let servers = vec![
//!     Target::from_url(Role::Primary, "postgresql://postgres@127.0.0.1:5432/operations_db")?,
//!     Target::from_url(Role::Replica, "postgresql://postgres@127.0.0.1:5433/operations_db")?,
//! ];
//! println!("{:?}", examine(&servers, &Options::default()).verdict);
//! # Ok(())
//! # }
//! ```

pub mod connect;
pub mod demo;
pub mod doctor;
mod error;
pub mod lsn;
mod passfile;
pub mod target;

pub use error::Error;
