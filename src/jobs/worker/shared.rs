//! What the worker's processes tell each other in shared memory.
#![expect(unsafe_code, reason = "memory that processes share goes by a name that nobody else may use")]
#![allow(unexpected_cfgs, reason = "pg_shmem_init! asks for features of pgrx that this crate has not")]

use std::sync::atomic::{AtomicU64, Ordering};

use pgrx::{PgAtomic, pg_guard, pg_shmem_init, pg_sys};

// SAFETY: no other shared memory has this name.
static FOUND_DATABASE: PgAtomic<AtomicU64> = unsafe { PgAtomic::new(c"operations_ext_found_database") };

/// Reserves the memory. To be called while the server loads `shared_preload_libraries`; without it the functions below panic.
pub fn reserve() {
    pg_shmem_init!(FOUND_DATABASE);
}

/// The number of the database that was found; 0 for none.
pub fn found_database() -> u64 {
    FOUND_DATABASE.get().load(Ordering::Acquire)
}

/// Tells all processes of it.
pub fn set_found_database(number: u64) {
    FOUND_DATABASE.get().store(number, Ordering::Release);
}
