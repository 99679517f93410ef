//! Work shared with PostgreSQL's parallel workers: processes that join the transaction of this one.

use std::ffi::{CStr, c_int};

use pgrx::pg_sys;

use crate::pg::major;

/// Where the state is in the shared memory.
const STATE: u64 = 1;

/// What several processes work at.
///
/// # Safety
///
/// It is moved to memory that all share, which is at another address in each of them: it must hold no pointers. [`Self::WORKER`]
/// must be the name of a function of this library, exported for C, that PostgreSQL can call as `parallel_worker_main_type`, and
/// that takes the state, of this type, by [`shared_state`].
pub unsafe trait SharedState: Sync {
    /// The function that a worker runs.
    const WORKER: &'static CStr;
}

/// Runs `leader` here while the state's worker runs in as many other processes as the server has to spare, up to `workers`; and
/// `leader` once more when all have ended. An error in one of them is raised here.
pub fn run<T: SharedState>(workers: usize, state: T, leader: &mut dyn FnMut(&T)) {
    if workers == 0 {
        return leader(&state);
    }
    let workers = c_int::try_from(workers).unwrap_or(c_int::MAX);
    // SAFETY: the steps that README.parallel of PostgreSQL prescribes, in its order. The transaction gets its xid before, as
    // nobody may ask for one meanwhile. An error ends the workers and releases
    // the memory through the abort of the transaction. The place of the state is aligned, as shm_toc_allocate aligns for
    // every type, and lives until the context is destroyed.
    unsafe {
        pg_sys::GetCurrentTransactionId();
        pg_sys::EnterParallelMode();
        let context = pg_sys::CreateParallelContext(c"operations_ext".as_ptr(), T::WORKER.as_ptr(), workers);
        // What the macros shm_toc_estimate_chunk and shm_toc_estimate_keys do.
        let estimator = &raw mut (*context).estimator;
        (*estimator).space_for_chunks += size_of::<T>().next_multiple_of(CACHE_LINE);
        (*estimator).number_of_keys += 1;
        pg_sys::InitializeParallelDSM(context);
        let shared = pg_sys::shm_toc_allocate((*context).toc, size_of::<T>()).cast::<T>();
        shared.write(state);
        pg_sys::shm_toc_insert((*context).toc, STATE, shared.cast());
        pg_sys::LaunchParallelWorkers(context);
        leader(&*shared);
        pg_sys::WaitForParallelWorkersToFinish(context);
        leader(&*shared);
        pg_sys::DestroyParallelContext(context);
        pg_sys::ExitParallelMode();
    }
}

/// At least what `BUFFERALIGN` rounds up to.
const CACHE_LINE: usize = 128;

/// The state that [`run`] was given, in a worker.
///
/// # Safety
///
/// `toc` must be what PostgreSQL passed to the worker, and `T` the type of the state.
pub unsafe fn shared_state<'a, T: SharedState>(toc: *mut pg_sys::shm_toc) -> &'a T {
    // SAFETY: by the contract; the memory is mapped for as long as the worker lives.
    unsafe { &*pg_sys::shm_toc_lookup(toc, STATE, false).cast::<T>() }
}

/// Whether this process joined the transaction of another one.
pub fn is_worker() -> bool {
    // SAFETY: a plain read of a variable that is set before the worker's function is called.
    unsafe { pg_sys::ParallelWorkerNumber >= 0 }
}

/// How many client backends and background workers are running something, this one included.
pub fn busy_processes() -> usize {
    // SAFETY: the entries are copied for this transaction when they are first asked for.
    let count = unsafe { pg_sys::pgstat_fetch_stat_numbackends() };
    (1..=count)
        .filter_map(major::backend_status)
        .map(|entry| entry.backendStatus)
        // A walsender is always running, and hardly ever busy.
        .filter(|status| {
            [pg_sys::BackendType::B_BACKEND, pg_sys::BackendType::B_BG_WORKER].contains(&status.st_backendType)
        })
        .filter(|status| status.st_state == pg_sys::BackendState::STATE_RUNNING)
        .count()
}

/// How many parallel workers a command of maintenance may have in this session.
pub fn most_for_maintenance() -> usize {
    // SAFETY: a plain read of a variable that only this thread writes.
    usize::try_from(unsafe { pg_sys::max_parallel_maintenance_workers }).unwrap_or(0)
}
