//! All that faces PostgreSQL's C interface. Unsafe code lives here, behind types that are safe to use.

pub mod background;
pub mod call;
pub mod catalog;
pub mod copy;
pub mod partitions;
pub mod result_set;
pub mod row_change;
pub mod session;
