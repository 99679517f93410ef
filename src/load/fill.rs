//! Writing the rows of months and building their indexes, in one process or in several that share the months out.

use std::ffi::CStr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use operations_model::calendar::Month;
use operations_model::operation::Operation;
use operations_model::test_data::TestData;
use pgrx::{check_for_interrupts, pg_guard, pg_sys};

use crate::load::storage::bulk_insert::BulkInsert;
use crate::load::storage::heap_file::{HeapFile, PageCache, Places};
use crate::load::storage::index::{self, EmptyIndex};
use crate::load::progress::{Counter, Phase, Progress};
use crate::load::storage::new_pages::NewPages;
use crate::pg::parallel::{self, SharedTask};
use crate::load::storage::stored_row::Target;

/// More months than this, each of them a partition and some locks, are too many for one load.
pub const MOST_MONTHS: usize = 240;

/// Indexes that a month may have built.
pub const MOST_INDEXES: usize = 2;

/// Rows between two looks at whether the load was cancelled.
const ROWS_PER_CHECK: u64 = 1024;

/// What is to be done for a month.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// The month.
    pub month: Month,
    /// Where its rows go.
    pub target: Target,
    /// How they get there.
    pub how: How,
    /// The indexes to be built of them.
    pub indexes: [Option<EmptyIndex>; MOST_INDEXES],
}

/// How rows are put into a table.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// It is new, and gets a file full of rows.
    NewFile(PageCache),
    /// Through the shared buffers; the rest as [`BulkInsert::open`] has it.
    InPlace { indexes: bool, ring: bool },
}

impl How {
    /// As the caller is told.
    pub fn told(self) -> &'static str {
        match self {
            Self::NewFile(_) => "into a new table",
            Self::InPlace { indexes: false, .. } => "in place, indexes rebuilt",
            Self::InPlace { indexes: true, .. } => "in place",
        }
    }
}

/// All that several processes have to know to share the work.
pub struct Task {
    data: TestData,
    /// The id of the first row of the set.
    first_id: i64,
    counter: Counter,
    work: [Option<Work>; MOST_MONTHS],
    /// How much of the work is taken by one of them.
    taken: AtomicUsize,
    done: [Done; MOST_MONTHS],
}

/// What a process goes through.
enum Step {
    Phase(Phase, Month),
    /// Some more rows are written.
    Rows,
}

/// Whether something is done and not reported yet, and how fast it was.
struct Done {
    is_done: AtomicBool,
    microseconds: AtomicU64,
}

impl Task {
    /// Work for a load whose first row gets that id. Months beyond [`MOST_MONTHS`] are left out.
    pub fn new(data: &TestData, first_id: i64, counter: Counter, work: &[Work]) -> Self {
        let mut slots = [None; MOST_MONTHS];
        for (slot, work) in slots.iter_mut().zip(work) {
            *slot = Some(*work);
        }
        let done = std::array::from_fn(|_| Done { is_done: AtomicBool::new(false), microseconds: AtomicU64::new(0) });
        Self { data: *data, first_id, counter, work: slots, taken: AtomicUsize::new(0), done }
    }

    /// Does the work in so many processes. Tells of each month, by its place in the work, when it is done and how long it
    /// took.
    pub fn run(self, processes: usize, progress: &Progress, mut report: impl FnMut(usize, Duration)) {
        let mut report_done = |task: &Self| {
            for (index, done) in task.done.iter().enumerate() {
                if done.is_done.swap(false, Ordering::Acquire) {
                    report(index, Duration::from_micros(done.microseconds.load(Ordering::Relaxed)));
                }
            }
        };
        let mut lead = |task: &Self| {
            task.share(&mut |step| match step {
                Step::Phase(phase, month) => {
                    report_done(task);
                    progress.enter(phase, Some(month), processes);
                }
                Step::Rows => task.counter.report(),
            });
            report_done(task);
            progress.enter(Phase::Waiting, None, processes);
        };
        // Called again when all have ended, it finds no work, and what the others have done.
        parallel::run(processes - 1, self, &mut lead);
    }

    /// Takes work until there is none left.
    fn share(&self, watch: &mut dyn FnMut(Step)) {
        loop {
            let index = self.taken.fetch_add(1, Ordering::Relaxed);
            let (Some(Some(work)), Some(done)) = (self.work.get(index), self.done.get(index)) else { return };
            let began = Instant::now();
            watch(Step::Phase(Phase::Inserting, work.month));
            let places = self.fill(work, watch);
            watch(Step::Phase(Phase::Indexing, work.month));
            for index in work.indexes.iter().flatten() {
                let mut rows = places.as_ref().map(|places| self.known_rows(work.month, places));
                let rows = rows.as_mut().map(|rows| rows as &mut dyn Iterator<Item = index::Row>);
                index.build(rows);
            }
            done.microseconds.store(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
            done.is_done.store(true, Ordering::Release);
        }
    }

    /// Writes the rows; returns where they are, if they are all that the table has.
    fn fill(&self, work: &Work, watch: &mut dyn FnMut(Step)) -> Option<Places> {
        match work.how {
            How::NewFile(page_cache) => {
                let mut file = HeapFile::open(work.target, page_cache);
                self.each_row(work.month, watch, |id, operation| file.insert(id, operation));
                Some(file.close())
            }
            How::InPlace { indexes, ring } => {
                if parallel::is_worker() {
                    let mut table = NewPages::open(work.target, indexes, ring);
                    self.each_row(work.month, watch, |id, operation| table.insert(id, operation));
                    table.close();
                } else {
                    let mut table = BulkInsert::open(work.target, indexes, ring);
                    self.each_row(work.month, watch, |id, operation| table.insert(id, operation));
                    table.close();
                }
                None
            }
        }
    }

    fn each_row(&self, month: Month, watch: &mut dyn FnMut(Step), mut insert: impl FnMut(i64, &Operation)) {
        let rows = self.data.rows_of(month);
        let mut uncounted = 0;
        for (id, operation) in self.ids(rows.clone()).zip(self.data.range(rows.start, rows.end)) {
            insert(id, &operation);
            uncounted += 1;
            if uncounted == ROWS_PER_CHECK {
                check_for_interrupts!();
                self.counter.add(uncounted);
                uncounted = 0;
                watch(Step::Rows);
            }
        }
        self.counter.add(uncounted);
    }

    /// What an index has to know of the rows of a month, which are in these places.
    fn known_rows(&self, month: Month, places: &Places) -> impl Iterator<Item = index::Row> {
        let rows = self.data.rows_of(month);
        let dates = self.data.dates(rows.clone());
        self.ids(rows).zip(dates).zip(places.iter()).map(|((id, date), place)| index::Row {
            place,
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
unsafe impl SharedTask for Task {
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
    // SAFETY: PostgreSQL calls this with the worker's table of contents, in which `Task::run` put what is shared.
    let task = unsafe { parallel::task::<Task>(toc) };
    task.share(&mut |_| ());
}
