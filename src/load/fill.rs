//! Writes the rows of months and builds their indexes, in one process or in several that share the months.

use std::ffi::CStr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use operations_model::calendar::Month;
use operations_model::operation::Operation;
use operations_model::test_data::TestData;
use pgrx::{check_for_interrupts, pg_guard, pg_sys};

use crate::load::progress::{Phase, Progress, RowCounter};
use crate::load::storage::bulk_insert::BulkInsert;
use crate::load::storage::heap_file::{HeapFile, PageCache, Tids};
use crate::load::storage::index::{self, EmptyIndex};
use crate::load::storage::new_pages::NewPages;
use crate::load::storage::stored_row::Target;
use crate::pg::parallel::{self, SharedState};

/// More months than this, each of them a partition and some locks, are too many for one load.
pub const MAX_MONTHS: usize = 240;

/// Indexes that a month may have built.
pub const MAX_INDEXES: usize = 2;

/// Rows between two looks at whether the load was cancelled.
const ROWS_PER_CHECK: u64 = 1024;

/// What is to be written for a month.
#[derive(Clone, Copy, Debug)]
pub struct MonthPlan {
    /// The month.
    pub month: Month,
    /// Where its rows go.
    pub target: Target,
    /// How they get there.
    pub mode: FillMode,
    /// The indexes to be built of them.
    pub indexes: [Option<EmptyIndex>; MAX_INDEXES],
}

/// How rows are put into a table.
#[derive(Clone, Copy, Debug)]
pub enum FillMode {
    /// It is new, and gets a file full of rows.
    NewFile(PageCache),
    /// Through the shared buffers; the rest as [`BulkInsert::open`] has it.
    InPlace { indexes: bool, ring: bool },
}

impl FillMode {
    /// How the NOTICE names it.
    pub fn label(self) -> &'static str {
        match self {
            Self::NewFile(_) => "into a new table",
            Self::InPlace { indexes: false, .. } => "in place, indexes rebuilt",
            Self::InPlace { indexes: true, .. } => "in place",
        }
    }
}

/// A load as all of its processes share it, in shared memory.
pub struct SharedFill {
    data: TestData,
    /// The id of the first row of the set.
    first_id: i64,
    counter: RowCounter,
    plans: [Option<MonthPlan>; MAX_MONTHS],
    /// The index of the first plan that no process has taken.
    next_plan: AtomicUsize,
    done: [Done; MAX_MONTHS],
}

/// What a process reports while it fills.
enum FillEvent {
    Phase(Phase, Month),
    /// Some more rows are written.
    Rows,
}

/// Whether a month is done and not reported yet, and how long it took.
struct Done {
    is_done: AtomicBool,
    microseconds: AtomicU64,
}

impl SharedFill {
    /// Work for a load whose first row gets that id. Months beyond [`MAX_MONTHS`] are left out.
    pub fn new(data: &TestData, first_id: i64, counter: RowCounter, plans: &[MonthPlan]) -> Self {
        let mut slots = [None; MAX_MONTHS];
        for (slot, plan) in slots.iter_mut().zip(plans) {
            *slot = Some(*plan);
        }
        let done = std::array::from_fn(|_| Done { is_done: AtomicBool::new(false), microseconds: AtomicU64::new(0) });
        Self { data: *data, first_id, counter, plans: slots, next_plan: AtomicUsize::new(0), done }
    }

    /// Fills all months in so many processes. Reports each month, by its index, when it is done and how long it took.
    pub fn run(self, processes: usize, progress: &Progress, mut report: impl FnMut(usize, Duration)) {
        let mut report_done = |fill: &Self| {
            for (index, done) in fill.done.iter().enumerate() {
                if done.is_done.swap(false, Ordering::Acquire) {
                    report(index, Duration::from_micros(done.microseconds.load(Ordering::Relaxed)));
                }
            }
        };
        let mut lead = |fill: &Self| {
            fill.fill_what_is_left(&mut |event| match event {
                FillEvent::Phase(phase, month) => {
                    report_done(fill);
                    progress.enter(phase, Some(month), processes);
                }
                FillEvent::Rows => fill.counter.report(),
            });
            report_done(fill);
            progress.enter(Phase::Waiting, None, processes);
        };
        // Called again when all have ended, it finds no month left, and what the others have done.
        parallel::run(processes - 1, self, &mut lead);
    }

    /// Fills months that no process has taken, until there are none left.
    fn fill_what_is_left(&self, watch: &mut dyn FnMut(FillEvent)) {
        loop {
            let index = self.next_plan.fetch_add(1, Ordering::Relaxed);
            let (Some(Some(plan)), Some(done)) = (self.plans.get(index), self.done.get(index)) else { return };
            let began = Instant::now();
            watch(FillEvent::Phase(Phase::Inserting, plan.month));
            let tids = self.fill(plan, watch);
            watch(FillEvent::Phase(Phase::Indexing, plan.month));
            for index in plan.indexes.iter().flatten() {
                let mut rows = tids.as_ref().map(|tids| self.known_rows(plan.month, tids));
                let rows = rows.as_mut().map(|rows| rows as &mut dyn Iterator<Item = index::Row>);
                index.build(rows);
            }
            done.microseconds.store(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
            done.is_done.store(true, Ordering::Release);
        }
    }

    /// Writes the rows; returns where they are, if they are all that the table has.
    fn fill(&self, plan: &MonthPlan, watch: &mut dyn FnMut(FillEvent)) -> Option<Tids> {
        match plan.mode {
            FillMode::NewFile(page_cache) => {
                let mut file = HeapFile::open(plan.target, page_cache);
                self.each_row(plan.month, watch, |id, operation| file.insert(id, operation));
                Some(file.close())
            }
            FillMode::InPlace { indexes, ring } => {
                if parallel::is_worker() {
                    let mut table = NewPages::open(plan.target, indexes, ring);
                    self.each_row(plan.month, watch, |id, operation| table.insert(id, operation));
                    table.close();
                } else {
                    let mut table = BulkInsert::open(plan.target, indexes, ring);
                    self.each_row(plan.month, watch, |id, operation| table.insert(id, operation));
                    table.close();
                }
                None
            }
        }
    }

    fn each_row(&self, month: Month, watch: &mut dyn FnMut(FillEvent), mut insert: impl FnMut(i64, &Operation)) {
        let rows = self.data.rows_of(month);
        let mut uncounted = 0;
        for (id, operation) in self.ids(rows.clone()).zip(self.data.range(rows.start, rows.end)) {
            insert(id, &operation);
            uncounted += 1;
            if uncounted == ROWS_PER_CHECK {
                check_for_interrupts!();
                self.counter.add(uncounted);
                uncounted = 0;
                watch(FillEvent::Rows);
            }
        }
        self.counter.add(uncounted);
    }

    /// What an index has to know of the rows of a month, which are in these tids.
    fn known_rows(&self, month: Month, tids: &Tids) -> impl Iterator<Item = index::Row> {
        let rows = self.data.rows_of(month);
        let dates = self.data.dates(rows.clone());
        self.ids(rows).zip(dates).zip(tids.iter()).map(|((id, date), tid)| index::Row {
            tid,
            id,
            date: date.to_postgres(),
        })
    }

    /// The ids of those rows of the set. They were reserved: there are as many as rows.
    fn ids(&self, rows: Range<u64>) -> impl Iterator<Item = i64> + use<> {
        let first_id = self.first_id;
        rows.map(move |row| first_id.wrapping_add_unsigned(row))
    }
}

#[expect(unsafe_code, reason = "it vouches for what the other processes are given")]
// SAFETY: all that it holds are numbers and atomics. The function below is exported under that name, and takes it as this type.
unsafe impl SharedState for SharedFill {
    const WORKER: &'static CStr = c"operations_ext_load_worker";
}

/// Where a parallel worker starts.
#[expect(unsafe_code, reason = "PostgreSQL finds the function by its name, and passes it pointers")]
#[pg_guard]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn operations_ext_load_worker(
    _segment: *mut pg_sys::dsm_segment,
    toc: *mut pg_sys::shm_toc,
) {
    // SAFETY: PostgreSQL calls this with the worker's table of contents, in which `SharedFill::run` put what is shared.
    let fill = unsafe { parallel::shared_state::<SharedFill>(toc) };
    fill.fill_what_is_left(&mut |_| ());
}
