//! The replica takes over, and the old primary comes back as a replica. The old primary is stopped before, and never opened
//! for writes again.

mod alone;
mod fence;
mod kept;
mod rejoin;
mod rewind;
mod sql;
mod takeover;

pub use rejoin::rejoin;
pub(crate) use rejoin::{rejoin_data, replace_data};
pub use takeover::failover;
