//! All that faces PostgreSQL's C interface, behind types that are safe to use.
#![expect(
    unsafe_code,
    reason = "it calls PostgreSQL's functions, and is called by them; elsewhere unsafe code is denied"
)]

pub mod at_commit;
pub mod background;
pub mod call;
pub mod catalog;
pub mod citus;
pub mod copy;
pub mod descriptor;
pub mod durable;
pub mod hidden_rows;
pub mod index_entries;
pub mod lock;
pub mod major;
pub mod parallel;
pub mod partition_bounds;
pub mod relation_files;
pub mod result_set;
pub mod sequence;
pub mod session;
pub mod statement;
pub mod statistics;
pub mod trigger_row;
pub mod unbound;
pub mod view_rule;
pub mod wal;
