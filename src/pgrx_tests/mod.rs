//! Tests that run inside a server (`cargo pgrx test`), for what cannot be seen from outside.

mod catalog;
mod partition_bounds;
mod rows;
mod session;
mod stored;
