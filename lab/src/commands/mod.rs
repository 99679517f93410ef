//! The commands: what they take from the command line, and how they end.

pub mod demo;
pub mod dev;
pub mod doctor;
pub mod drill;
pub mod failover;
pub mod load;
pub mod named;
pub mod node;
pub mod package;
pub mod receipt;
pub mod serve;
pub mod test_servers;
pub mod usage;

/// Something that was to be done could not be done; a line that begins with `error:` says why, and what to do.
pub const FAILED: u8 = 1;

/// What shells expect of a wrong command line; 2, which clap would give, is a verdict of the doctor.
pub const USAGE: u8 = 64;

/// What `status` and `doctor` give where there is no demo to be looked at.
pub const NO_DEMO: u8 = 3;

/// As shells say of a program that SIGINT has ended.
pub const INTERRUPTED: u8 = 130;

/// For the help of the program.
pub const EXIT_CODES: &str = "Exit codes:
  0   done
  1   failed; a line that begins with \"error:\" says why and what to do
  64  the command line is wrong
  130 interrupted
`status`, `doctor`, `receipt` and `load` have more: see their --help.";
