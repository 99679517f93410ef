//! All that faces PostgreSQL's C interface, behind types that are safe to use.
#![expect(
    unsafe_code,
    reason = "it calls PostgreSQL's functions, and is called by them; elsewhere unsafe code is denied"
)]

pub mod at_commit;
pub mod background;
pub mod bulk_insert;
pub mod call;
pub mod catalog;
pub mod copy;
pub mod copy_total;
pub mod counting;
mod descriptor;
pub mod durable;
pub mod exchange;
pub mod fold;
pub mod heap_file;
mod heap_page;
pub mod index;
mod index_entries;
mod kept_rows;
pub mod load_progress;
pub mod lock;
pub mod matview;
pub mod new_pages;
pub mod parallel;
pub mod partitions;
pub mod relation_files;
pub mod result_set;
pub mod row_change;
pub mod sequence;
pub mod session;
pub mod shared;
pub mod statistics;
pub mod stored;
pub mod stored_row;
mod sum_key;
mod table_rows;
mod unbound;
pub mod view_rule;
pub mod wal;
pub mod when;
