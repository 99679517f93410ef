//! What writes rows, pages, indexes and files of `operations` past SQL, behind types that are safe to use.
#![expect(unsafe_code, reason = "it calls PostgreSQL's functions, and is called by them")]

pub mod bulk_insert;
pub mod exchange;
pub mod heap_file;
mod heap_page;
pub mod index;
pub mod new_pages;
pub mod stored_row;
