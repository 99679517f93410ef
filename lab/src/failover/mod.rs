//! The replica takes over, and the old primary comes back as a replica. The old primary is stopped before, and never opened
//! for writes again.

mod containers;
mod fence;
mod isolated;
mod kept_rows;
mod rejoin;
mod rewind;
mod several;
mod sql;
mod takeover;

pub(crate) use kept_rows::KeptRows;
pub use kept_rows::where_kept;
pub use rejoin::rejoin;
pub(crate) use rejoin::{rejoin_data, replace_data};
pub(crate) use rewind::Rewind;
pub(crate) use sql::literal;
pub use takeover::failover;
