//! Statistics for the planner.

use std::ffi::{CString, c_int};
use std::ptr;
use std::time::Duration;

use pgrx::{notice, pg_sys};

use crate::pg::catalog::{self, LockMode, RelationOid};
use crate::pg::lock;
use crate::pg::session::Settings;

/// ANALYZE of one table. Of a partitioned one, only of what is known of it as a whole: the command ANALYZE would go on to
/// all its partitions. Does nothing if the current role may not.
///
/// It needs a lock that VACUUM, CREATE INDEX CONCURRENTLY and their like hold, of whom some wait for this transaction. It is waited
/// for no longer than told: then the statistics stay as they are, which costs less than the load.
///
/// A table to which few rows came is sampled with a lower `default_statistics_target`, so that this takes a small part of
/// the time of what went before; autovacuum, which counts these rows as changed, does it again with the target that is set.
pub fn analyze(table: RelationOid, rows: u64, within: Duration) {
    const DEFAULT: c_int = -1;
    if !lock::take_within(table, LockMode::ShareUpdateExclusive, within) {
        let name = catalog::relation_name(table.oid());
        notice!("{name}: others keep it from being analysed: its statistics are as they were");
        return;
    }
    // Its owner's functions are called as the owner: what they call by its name alone is not to be the session's choice. So does
    // the command since PostgreSQL 17.
    let _path = Settings::safe_search_path();
    let _settings = lower_target(rows);
    // SAFETY: what ANALYZE does inside a transaction block. The parameters are valid for the call; without a RangeVar and a
    // list of columns it is the whole table.
    unsafe {
        let mut parameters = pg_sys::VacuumParams {
            options: pg_sys::VACOPT_ANALYZE,
            freeze_min_age: DEFAULT,
            freeze_table_age: DEFAULT,
            multixact_freeze_min_age: DEFAULT,
            multixact_freeze_table_age: DEFAULT,
            log_min_duration: DEFAULT,
            ..Default::default()
        };
        let strategy = pg_sys::GetAccessStrategy(pg_sys::BufferAccessStrategyType::BAS_VACUUM);
        pg_sys::analyze_rel(table.oid(), ptr::null_mut(), &raw mut parameters, ptr::null_mut(), true, strategy);
        pg_sys::CommandCounterIncrement();
    }
}

/// The sample has 300 rows for each of the target: this makes it about a hundredth of the rows that came.
fn lower_target(rows: u64) -> Option<Settings> {
    const ROWS_PER_TARGET: u64 = 30_000;
    const SMALLEST: u64 = 10;
    // SAFETY: a plain read of a variable that only this thread writes.
    let configured = u64::try_from(unsafe { pg_sys::default_statistics_target }).unwrap_or(SMALLEST);
    let target = (rows / ROWS_PER_TARGET).max(SMALLEST);
    let target = CString::new(target.to_string()).ok().filter(|_| target < configured)?;
    Some(Settings::set(&[(c"default_statistics_target", &target)]))
}
