//! The SQL surface: a module for each group of procedures. Each declares its procedures with their rights and comments
//! and checks what it is given; PUBLIC may execute none of them.

mod arguments;
mod change_status;
mod insert_one;
mod job_history;
mod load_progress;
mod partitions;
mod rollup;
mod schedule;
mod setup;
mod test_data;
