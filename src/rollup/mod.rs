//! The rollups behind `client_type_sum_live` and `client_type_sum_mv`: see docs/aggregate.md.
//!
//! In every snapshot the done operations of a tracked partition are its rollup and its changes that were not folded yet,
//! for each transaction that changes a row appends the change. Whoever writes the rollups holds the lock on the view.

mod copy_total;
pub mod counting;
mod fold;
mod functions;
mod kept_rows;
mod matview;
mod refresh;
mod sum_key;
mod table_rows;
mod trigger;
mod trigger_condition;

pgrx::extension_sql_file!("sql/tables.sql", name = "rollup_tables", requires = ["jobs"]);
pgrx::extension_sql_file!("sql/views.sql", name = "rollup_views", finalize);

pub use refresh::*;
