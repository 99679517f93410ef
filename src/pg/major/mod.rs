//! What differs between the major versions of PostgreSQL: a function or a name for each difference, and nothing else.
//!
//! No other file may ask for which major it is compiled. What is here means the same on every major.
//! Where a major brings something under a new name, the name here is the newest.

mod files;
mod process;
mod rows;
mod rules;

pub use files::{
    RelFileLocator, assume_new_file, close_files, copy_file_marks, extend, first_file_subid, forget_files, locator,
    locator_of, numbers_of, path, set_new_file, swap_all_frozen,
};
pub use process::{
    backend_status, exit, extension_schema, gives_up_old_snapshots, identity_sequence, may_create_in, set_handler,
};
pub use rows::{Entries, first_attribute, insert_entries, require_insert, update};
pub use rules::as_view_rule;
