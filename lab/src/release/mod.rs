//! Versions of the extension: which were released, which scripts lead from one to the next, and how a new one is made of the
//! checkout. docs/releasing.md says how to use it.

mod changelog;
mod prepare;
mod released;
mod scripts;
mod version;

pub use changelog::of_release as changelog_of_release;
pub use prepare::{CHANGED, Plan, begin_next, plan, prepare};
pub use released::{LIST, check};
pub use scripts::{Script, scripts};
pub use version::Version;
