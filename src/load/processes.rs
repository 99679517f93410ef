//! How many processes a load runs in, and each of its months.

use std::thread;

use crate::guc;
use crate::pg::parallel;

/// As many as were asked for; else one for each core that is idle and each month, within what the server allows for
/// maintenance.
pub fn count(asked_for: Option<usize>, months: usize) -> usize {
    asked_for.unwrap_or_else(|| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        // This process is one of those that run.
        let idle = cores.saturating_sub(parallel::busy_processes().max(1)) + 1;
        idle.min(months).min(parallel::most_for_maintenance() + 1).max(1)
    })
}

/// At most one process for each so many rows as are worth its start, and at least one.
pub fn useful(processes: usize, rows: u64) -> usize {
    let useful = usize::try_from(rows / guc::load_rows_per_process()).unwrap_or(usize::MAX);
    processes.min(useful).max(1)
}
