//! The row model of `operations_ext`: what an operation looks like, which operations a seed yields, and how they are
//! written for `COPY`. It knows neither pgrx nor a server, so all of it is tested with plain `cargo test`.
#![forbid(unsafe_code)]

pub mod accounts;
pub mod amount;
pub mod calendar;
pub mod copy_binary;
mod decimal;
pub mod generator;
pub mod jsonb;
pub mod message;
pub mod numeric;
pub mod operation;
pub mod operation_type;
pub mod test_data;
