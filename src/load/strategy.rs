//! The fast ways: rows as PostgreSQL keeps them, with ids that were reserved in one block.

use std::ffi::CStr;
use std::time::Duration;

use operations_model::calendar::Month;
use operations_model::operation_type::OperationType;
use operations_model::test_data::TestData;
use pgrx::pg_sys;

use super::fill::{self, How, Task, Work};
use super::staging::{self, Stage};
use super::progress::report;
use super::{processes, standard};
use crate::error::Error;
use crate::jobs;
use crate::partitions;
use crate::load::storage::bulk_insert;
use crate::pg::catalog::{self, LockMode, RelationOid};
use crate::load::storage::heap_file::PageCache;
use crate::load::progress::{Phase, Progress};
use crate::pg::lock::Exclusive;
use crate::pg::session::{self, Settings};
use crate::load::storage::stored_row::Target;
use crate::load::storage::index;
use crate::orphans;
use crate::pg::{relation_files, sequence, statistics};
use crate::rights::{self, AsOwner};
use crate::schema::Schema;

/// Fewer rows than this are not worth making the indexes of a partition anew.
const FEW: u64 = 10_000;

/// A partition with less than this part of the rows that come is small beside them.
const SMALL_PART: u64 = 8;

/// A month that gets more rows than this is sampled as if it got so many: autovacuum soon does it again, as it does not for the
/// table as a whole.
const SAMPLED: u64 = 1_000_000;

/// How long to wait for the lock that ANALYZE of a month takes: autovacuum soon does it, too; and for that on the table, where it
/// does not.
const ANALYZE_WITHIN: Duration = Duration::from_secs(3);
const ANALYZE_ALL_WITHIN: Duration = Duration::from_secs(10);

/// How long to wait until nobody else uses a partition that is to be locked for its indexes' sake.
const LOCK_WITHIN: Duration = Duration::from_millis(100);

/// How a month gets its rows.
#[derive(Clone, Copy)]
enum Way {
    /// Into a table of its own that becomes the month's partition, or, where that exists, its content.
    Stage { exists: bool },
    /// In place, indexes afterwards.
    Rebuild(RelationOid),
    /// In place, indexes row by row.
    RowByRow(RelationOid),
}

/// A load.
pub struct Bulk<'a> {
    schema: &'a Schema,
    operations: RelationOid,
    data: &'a TestData,
    processes: usize,
    progress: &'a Progress,
    first_id: i64,
    labels: [pg_sys::Oid; 2],
}

impl<'a> Bulk<'a> {
    /// Reserves the ids. An error is what about the table is not as it should be.
    pub fn begin(
        schema: &'a Schema,
        operations: RelationOid,
        data: &'a TestData,
        processes: usize,
        progress: &'a Progress,
    ) -> Result<Self, String> {
        let column = |name: &CStr| {
            catalog::column(operations.oid(), name)
                .ok_or_else(|| format!("operations has no column {}", name.to_string_lossy()))
        };
        let of_type = column(c"operation_type")?.of_type;
        let label = |of: OperationType| {
            catalog::enum_label(of_type, of.c_label())
                .ok_or_else(|| format!("operation_type_enum has no label {}", of.c_label().to_string_lossy()))
        };
        let labels = [label(OperationType::Offline)?, label(OperationType::Online)?];
        let id = column(c"id")?;
        let sequence = sequence::of_identity_column(operations, id.number)
            .ok_or_else(|| String::from("the column id of operations is no identity"))?;
        let first_id = sequence::reserve(sequence, data.rows())
            .ok_or_else(|| String::from("the sequence of the column id has not as many numbers left"))?;
        Ok(Self { schema, operations, data, processes, progress, first_id, labels })
    }

    /// Loads all months; or does nothing and returns what about the table is not as it should be, if somebody has altered
    /// a partition since that was asked first.
    pub fn load(&self, months: &[Month]) -> Result<Option<String>, Error> {
        // A logical decoder would see the rows of a table that is no partition yet; and what a serializable transaction
        // writes past an index its rivals do not notice.
        let serializable = session::is_serializable();
        let may_stage = !serializable && !session::wal_is_logical();
        if !may_stage {
            staging::create_missing(self.schema, self.operations, months)?;
        }
        // To rebuild indexes locks a month against change_status() until the load ends.
        let may_rebuild = !serializable && {
            let _settings = Settings::safe_search_path();
            !jobs::workload_is_scheduled(self.schema)?
        };
        let today = partitions::today()?;
        let present = partitions::partitions_of(self.schema, self.operations)?;
        let mut ways = Vec::new();
        let mut in_place = Vec::new();
        for month in months {
            let partition = standard::partition_of(&present, *month).unwrap_or(None).and_then(RelationOid::from_oid);
            let way = match partition {
                None => Way::Stage { exists: false },
                // The live workload writes to it: it is not to be locked.
                Some(partition) if *month == today => Way::RowByRow(partition),
                Some(partition) => self.way_with(partition, self.rows(*month), may_stage, may_rebuild),
            };
            if let Way::Rebuild(partition) | Way::RowByRow(partition) = way {
                partition.lock(LockMode::RowExclusive);
                in_place.push(partition.oid());
            }
            ways.push((*month, way));
        }
        let deviation = standard::relation_deviation(self.schema, &in_place)?;
        if deviation.is_some() {
            return Ok(deviation);
        }
        // What is locked is locked until the end: the later, the shorter.
        let (rebuilds, others): (Vec<_>, Vec<_>) =
            ways.into_iter().partition(|(_, way)| matches!(way, Way::Rebuild(_)));
        let stages = self.run(others)?;
        self.progress.enter(Phase::Attaching, None, 1);
        if !(stages.is_empty() && rebuilds.is_empty()) {
            self.operations.lock(LockMode::ShareUpdateExclusive);
        }
        self.run(rebuilds)?;
        self.progress.enter(Phase::Attaching, None, 1);
        staging::publish(self.schema, self.operations, stages)?;
        self.progress.enter(Phase::Analyzing, None, 1);
        let _owner = self.as_owner()?;
        statistics::analyze(self.operations, self.data.rows(), ANALYZE_ALL_WITHIN);
        Ok(None)
    }

    /// How a month that has a partition gets so many rows.
    fn way_with(&self, partition: RelationOid, rows: u64, may_stage: bool, may_rebuild: bool) -> Way {
        if rows < FEW {
            return Way::RowByRow(partition);
        }
        let pages = relation_files::pages(partition);
        // Which snapshots an index is for says a row of the catalogs, which a load does not change.
        let may_rebuild = may_rebuild && !session::gives_up_old_snapshots();
        let is_small = pages * SMALL_PART <= bulk_insert::pages_of(rows);
        if pages == 0 && may_stage {
            Way::Stage { exists: true }
        } else if is_small && may_rebuild && !relation_files::is_in_use_here(partition) {
            Way::Rebuild(partition)
        } else {
            Way::RowByRow(partition)
        }
    }

    /// Makes ready what months are filled in: tables for those that are not filled in place, indexes without entries.
    fn prepare(&self, ways: Vec<(Month, Way)>) -> Result<(Vec<Stage>, Vec<Work>), Error> {
        let (mut stages, mut work, mut to_empty) = (Vec::new(), Vec::new(), Vec::new());
        let makes_tables = ways.iter().any(|(_, way)| matches!(way, Way::Stage { .. }));
        let owner = if makes_tables { self.as_owner()? } else { None };
        let fits_the_kernel = bulk_insert::pages_of(self.data.rows()) <= relation_files::cacheable_pages();
        for (month, way) in ways {
            let (table, is_new, locked) = match way {
                Way::Stage { exists } => {
                    let stage = Stage::create(self.schema, month, self.rows(month), exists)?;
                    let table = stage.table();
                    stages.push(stage);
                    (table, true, Some(Exclusive::take(table)))
                }
                Way::Rebuild(partition) => {
                    let locked = staging::lock_all(&[partition], LOCK_WITHIN).and_then(|locked| locked.first().copied());
                    (partition, false, locked)
                }
                Way::RowByRow(partition) => (partition, false, None),
            };
            let is_large = !bulk_insert::fits_in_memory(bulk_insert::pages_of(self.rows(month)));
            let how = if is_new {
                How::NewFile(match (fits_the_kernel, is_large) {
                    (false, _) => PageCache::DropBehind,
                    (true, true) => PageCache::WriteBack,
                    (true, false) => PageCache::Leave,
                })
            } else {
                How::InPlace { indexes: locked.is_none(), ring: is_large }
            };
            let target = Target { table: table.oid(), labels: self.labels, command: 0 };
            work.push(Work { month, target, how, indexes: [None; fill::MOST_INDEXES] });
            to_empty.push(locked);
        }
        drop(owner);
        let mut files = orphans::files_of(stages.iter().map(Stage::table).collect())?;
        let mut emptied = Vec::new();
        for (work, locked) in work.iter_mut().zip(to_empty) {
            let Some(locked) = locked else { continue };
            let indexes = staging::indexes(locked.relation())?;
            for (slot, index) in work.indexes.iter_mut().zip(&indexes) {
                *slot = index::empty(locked, *index);
            }
            emptied.extend(indexes);
        }
        files.extend(orphans::files_of(emptied)?);
        orphans::note(&files)?;
        Ok((stages, work))
    }

    /// Fills months, each in one process, and returns those that were not filled in place.
    fn run(&self, ways: Vec<(Month, Way)>) -> Result<Vec<Stage>, Error> {
        let (stages, mut work) = self.prepare(ways)?;
        let command = bulk_insert::current_command();
        work.iter_mut().for_each(|work| work.target.command = command);
        let rows = work.iter().map(|work| self.rows(work.month)).sum();
        // What workers write in place is logged page by page, which a logical decoder cannot read, and counts in no conflict
        // of a serializable transaction.
        let may_share = !(session::is_serializable() || session::wal_is_logical());
        let processes = if may_share { processes::useful(self.processes.min(work.len()), rows) } else { 1 };
        // Page by page, compressing what is built at once takes longer than building it, and saves a tenth of the load's WAL.
        let settings = Settings::set_as_superuser(&[(c"wal_compression", c"off")]);
        let task = Task::new(self.data, self.first_id, self.progress.counter(), &work);
        task.run(processes, self.progress, |index, took| {
            if let Some(Work { month, how, .. }) = work.get(index) {
                report(*month, self.rows(*month), how.told(), took);
            }
        });
        drop(settings);
        session::next_command();
        let _owner = self.as_owner()?;
        for Work { month, target, .. } in work {
            self.progress.enter(Phase::Analyzing, Some(month), 1);
            if let Some(table) = RelationOid::from_oid(target.table) {
                statistics::analyze(table, self.rows(month).min(SAMPLED), ANALYZE_WITHIN);
            }
        }
        Ok(stages)
    }

    fn rows(&self, month: Month) -> u64 {
        let rows = self.data.rows_of(month);
        rows.end - rows.start
    }

    /// What is done to the table itself is done with its owner's rights, as everywhere.
    fn as_owner(&self) -> Result<Option<AsOwner>, Error> {
        rights::act_as_owner(self.operations)
    }
}
