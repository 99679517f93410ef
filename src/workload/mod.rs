//! The workload that never stops: a new operation, and a batch of status changes.

mod change_status;
mod insert_one;
mod stored;

pub use change_status::PLANNER;
