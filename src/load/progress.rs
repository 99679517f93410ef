//! How far each load is, in memory that all processes of the server share: pg_stat_progress_copy has no room for it, and
//! nothing in it while indexes are built.
#![expect(unsafe_code, reason = "it is in memory that all processes of the server share")]

use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use operations_model::calendar::{Day, Month};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::{FromDatum, notice, pg_guard, pg_sys};

use crate::pg::session;

/// More loads at once than this go unseen.
const SLOTS: usize = 64;

/// Where a load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Phase {
    /// Finding out what the table is like and what comes into which month.
    Planning,
    /// COPY takes the rows.
    Copying,
    /// Rows are written.
    Inserting,
    /// Indexes are made of the rows.
    Indexing,
    /// The called process has done its part, others have not.
    Waiting,
    /// Statistics are collected.
    Analyzing,
    /// Months that are done become partitions.
    Attaching,
}

const PHASES: [(Phase, &str); 7] = [
    (Phase::Planning, "planning"),
    (Phase::Copying, "copying rows"),
    (Phase::Inserting, "inserting rows"),
    (Phase::Indexing, "building indexes"),
    (Phase::Waiting, "waiting for workers"),
    (Phase::Analyzing, "collecting statistics"),
    (Phase::Attaching, "attaching partitions"),
];

/// A load. All zero while there is none; `process` is written last and taken away first.
#[repr(C)]
struct Slot {
    process: AtomicI32,
    database: AtomicU32,
    phase: AtomicI32,
    month: AtomicI32,
    processes: AtomicI32,
    started_at: AtomicI64,
    rows_done: AtomicU64,
    rows_total: AtomicU64,
}

/// In `Slot::month`, where others are the month's first day.
const NO_MONTH: i32 = i32::MIN;

fn slots() -> &'static [Slot; SLOTS] {
    static ADDRESS: AtomicPtr<[Slot; SLOTS]> = AtomicPtr::new(ptr::null_mut());
    /// The lock that guards this kind of allocation, in lwlocknames.h.
    const ADDIN_SHMEM_INIT_LOCK: usize = 21;
    let known = ADDRESS.load(Ordering::Relaxed);
    if !known.is_null() {
        // SAFETY: set below, in this process, to memory that lives as long as the server.
        return unsafe { &*known };
    }
    // SAFETY: ShmemInitStruct gives the same memory to whoever asks by that name, and says whether it was there. The first
    // one clears it, while the lock keeps others from seeing it before. Zeros are valid for atomics. An error releases
    // the lock.
    unsafe {
        let lock = &raw mut (*pg_sys::MainLWLockArray.add(ADDIN_SHMEM_INIT_LOCK)).lock;
        let mut found = false;
        pg_sys::LWLockAcquire(lock, pg_sys::LWLockMode::LW_EXCLUSIVE);
        let memory = pg_sys::ShmemInitStruct(
            c"operations_ext load progress".as_ptr(),
            size_of::<[Slot; SLOTS]>(),
            &raw mut found,
        );
        if !found {
            ptr::write_bytes(memory.cast::<u8>(), 0, size_of::<[Slot; SLOTS]>());
        }
        pg_sys::LWLockRelease(lock);
        ADDRESS.store(memory.cast(), Ordering::Relaxed);
        &*memory.cast()
    }
}

/// The progress of a load in this process, shown until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Progress {
    slot: Option<usize>,
    table: pg_sys::Oid,
}

impl Progress {
    /// Shows a load of so many rows into the table.
    pub fn begin(table: pg_sys::Oid, rows_total: u64) -> Self {
        free_at_exit();
        // SAFETY: plain reads of variables that only this thread writes, and of the transaction's state.
        let (process, database, now) =
            unsafe { (pg_sys::MyProcPid, pg_sys::MyDatabaseId, pg_sys::GetCurrentTimestamp()) };
        let slot = slots().iter().position(|slot| {
            // Taken by a negative number first, so that nobody reads what was there before.
            slot.process.compare_exchange(0, -process, Ordering::Acquire, Ordering::Relaxed).is_ok()
        });
        if let Some(slot) = slot.and_then(|slot| slots().get(slot)) {
            slot.database.store(database.to_u32(), Ordering::Relaxed);
            slot.phase.store(Phase::Planning as i32, Ordering::Relaxed);
            slot.month.store(NO_MONTH, Ordering::Relaxed);
            slot.processes.store(1, Ordering::Relaxed);
            slot.started_at.store(now, Ordering::Relaxed);
            slot.rows_done.store(0, Ordering::Relaxed);
            slot.rows_total.store(rows_total, Ordering::Relaxed);
            slot.process.store(process, Ordering::Release);
        }
        Self { slot, table }
    }

    /// From now on the load is in this phase of that month, or of all, in so many processes.
    pub fn enter(&self, phase: Phase, month: Option<Month>, processes: usize) {
        if let Some(slot) = self.slot.and_then(|slot| slots().get(slot)) {
            slot.month.store(month.map_or(NO_MONTH, |month| month.first_day().to_postgres()), Ordering::Relaxed);
            slot.processes.store(i32::try_from(processes).unwrap_or(i32::MAX), Ordering::Relaxed);
            slot.phase.store(phase as i32, Ordering::Relaxed);
        }
        if phase == Phase::Inserting {
            self.show_as_copy();
        }
    }

    /// What other processes count rows by.
    pub fn counter(&self) -> RowCounter {
        RowCounter { slot: self.slot }
    }

    /// pg_stat_progress_copy shows the load as a COPY while rows are written. Building indexes ended that.
    fn show_as_copy(&self) {
        // SAFETY: sets what other sessions see of this process.
        unsafe {
            pg_sys::pgstat_progress_start_command(pg_sys::ProgressCommandType::PROGRESS_COMMAND_COPY, self.table);
            let parameter = |number: u32, value: u32| {
                pg_sys::pgstat_progress_update_param(number as c_int, value.into());
            };
            parameter(pg_sys::PROGRESS_COPY_COMMAND, pg_sys::PROGRESS_COPY_COMMAND_FROM);
            parameter(pg_sys::PROGRESS_COPY_TYPE, pg_sys::PROGRESS_COPY_TYPE_CALLBACK);
        }
        self.counter().report();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.and_then(|slot| slots().get(slot)) {
            slot.process.store(0, Ordering::Release);
        }
        if !std::thread::panicking() {
            // SAFETY: may be called whether or not a command is shown. The abort of a transaction does it, too.
            unsafe { pg_sys::pgstat_progress_end_command() }
        }
    }
}

/// Counts the rows of a load, in whatever process.
#[derive(Clone, Copy, Debug)]
pub struct RowCounter {
    slot: Option<usize>,
}

impl RowCounter {
    /// So many more rows are written.
    pub fn add(self, rows: u64) {
        if let Some(slot) = self.slot.and_then(|slot| slots().get(slot)) {
            slot.rows_done.fetch_add(rows, Ordering::Relaxed);
        }
    }

    /// Shows in pg_stat_progress_copy what all processes have written. For the process that loads.
    pub fn report(self) {
        if let Some(slot) = self.slot.and_then(|slot| slots().get(slot)) {
            let rows = i64::try_from(slot.rows_done.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
            // SAFETY: sets what other sessions see of this process.
            unsafe { pg_sys::pgstat_progress_update_param(pg_sys::PROGRESS_COPY_TUPLES_PROCESSED as c_int, rows) }
        }
    }
}

/// A load as others see it.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// The process that was called.
    pub process: i32,
    /// What it is doing.
    pub phase: &'static str,
    /// The month it is doing that to; `None`: to all.
    pub month: Option<Month>,
    /// How many processes do it.
    pub processes: i32,
    /// When it began.
    pub started_at: TimestampWithTimeZone,
    /// Rows written.
    pub rows_done: u64,
    /// Rows asked for.
    pub rows_total: u64,
}

/// The loads in the database that the session is connected to.
pub fn loads() -> Vec<Load> {
    let database = session::database().to_u32();
    slots()
        .iter()
        .filter_map(|slot| {
            let process = slot.process.load(Ordering::Acquire);
            let phase = slot.phase.load(Ordering::Relaxed);
            let load = Load {
                process,
                phase: PHASES.iter().find(|(known, _)| *known as i32 == phase)?.1,
                month: Day::from_postgres(slot.month.load(Ordering::Relaxed)).map(Day::month),
                processes: slot.processes.load(Ordering::Relaxed),
                started_at: timestamp(slot.started_at.load(Ordering::Relaxed))?,
                rows_done: slot.rows_done.load(Ordering::Relaxed),
                rows_total: slot.rows_total.load(Ordering::Relaxed),
            };
            (process > 0 && slot.database.load(Ordering::Relaxed) == database).then_some(load)
        })
        .collect()
}

fn timestamp(microseconds: i64) -> Option<TimestampWithTimeZone> {
    // SAFETY: a timestamptz is passed by value, as such a number.
    unsafe { TimestampWithTimeZone::from_datum(microseconds.into(), false) }
}

/// A process that is terminated runs no Drop.
fn free_at_exit() {
    static REGISTERED: AtomicI32 = AtomicI32::new(0);
    // SAFETY: the callback is valid for as long as the process lives, and takes any argument.
    unsafe {
        let process = pg_sys::MyProcPid;
        if REGISTERED.swap(process, Ordering::Relaxed) != process {
            pg_sys::before_shmem_exit(Some(free_slots), pg_sys::Datum::from(0));
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn free_slots(_code: c_int, _argument: pg_sys::Datum) {
    // SAFETY: a plain read of a variable that only this thread writes.
    let process = unsafe { pg_sys::MyProcPid };
    for slot in slots() {
        for taken in [process, -process] {
            let _ = slot.process.compare_exchange(taken, 0, Ordering::Release, Ordering::Relaxed);
        }
    }
}

/// Tells the caller that a month is done.
pub fn report(month: Month, rows: u64, how: &str, took: Duration) {
    let rate = (rows as f64 / took.as_secs_f64().max(1e-6)).round();
    notice!("{month}: {rows} rows {how}, {rate} rows/s");
}
