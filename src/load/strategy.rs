//! Which strategy each month is loaded by, and loading all of them: rows in the form that PostgreSQL stores, with ids reserved in one block.

use std::ffi::CStr;
use std::time::Duration;

use operations_model::calendar::Month;
use operations_model::operation_type::OperationType;
use operations_model::test_data::TestData;
use pgrx::pg_sys;

use super::fill::{self, FillMode, MonthPlan, SharedFill};
use super::progress::report;
use super::staging::{self, StagingTable};
use super::{processes, standard};
use crate::error::Error;
use crate::jobs;
use crate::load::progress::{Phase, Progress};
use crate::load::storage::bulk_insert;
use crate::load::storage::heap_file::PageCache;
use crate::load::storage::index;
use crate::load::storage::stored_row::Target;
use crate::orphans;
use crate::partitions;
use crate::pg::catalog::{self, LockMode, RelationOid};
use crate::pg::lock::Exclusive;
use crate::pg::partition_bounds;
use crate::pg::session::{self, Settings};
use crate::pg::{relation_files, sequence, statistics};
use crate::rights::{self, AsOwner};
use crate::schema::Schema;

/// With fewer rows than this the indexes of a partition are kept, not rebuilt.
const FEW: u64 = 10_000;

/// A partition whose pages are at most this part of those to come is small: its indexes are rebuilt.
const SMALL_PART: u64 = 8;

/// ANALYZE samples a month at most as for this many rows: autovacuum soon analyses the month again, but never the table as a whole.
const SAMPLED: u64 = 1_000_000;

/// How long to wait for the lock that ANALYZE of a month takes: autovacuum soon does it, too; and for that on the table, where it
/// does not.
const ANALYZE_WITHIN: Duration = Duration::from_secs(3);
const ANALYZE_ALL_WITHIN: Duration = Duration::from_secs(10);

/// How long to wait until nobody else uses a partition that is to be locked for its indexes' sake.
const LOCK_WITHIN: Duration = Duration::from_millis(100);

/// How a month is loaded.
#[derive(Clone, Copy)]
enum Strategy {
    /// Into a staging table, which is attached as the partition, or, where there is an empty partition, gives it its file.
    StagingTable { exists: bool },
    /// Into the partition, whose indexes are emptied before and built afterwards.
    RebuildIndexes(RelationOid),
    /// Into the partition, with entries in its indexes row by row.
    KeepIndexes(RelationOid),
}

/// A load by these strategies.
pub struct BulkLoad<'a> {
    schema: &'a Schema,
    operations: RelationOid,
    data: &'a TestData,
    processes: usize,
    progress: &'a Progress,
    first_id: i64,
    labels: [pg_sys::Oid; 2],
}

impl<'a> BulkLoad<'a> {
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
        let mut strategies = Vec::new();
        let mut in_place = Vec::new();
        for month in months {
            let partition = standard::partition_of(&present, *month).unwrap_or(None).and_then(RelationOid::from_oid);
            let strategy = match partition {
                None => Strategy::StagingTable { exists: false },
                // The live workload writes to it: it is not to be locked.
                Some(partition) if *month == today => Strategy::KeepIndexes(partition),
                Some(partition) => self.strategy_for(partition, self.rows(*month), may_stage, may_rebuild),
            };
            if let Strategy::RebuildIndexes(partition) | Strategy::KeepIndexes(partition) = strategy {
                partition.lock(LockMode::RowExclusive);
                in_place.push(partition.oid());
            }
            strategies.push((*month, strategy));
        }
        let deviation = standard::relation_deviation(self.schema, &in_place)?;
        if deviation.is_some() {
            return Ok(deviation);
        }
        // What is locked is locked until the end: the later, the shorter.
        let (rebuilds, others): (Vec<_>, Vec<_>) =
            strategies.into_iter().partition(|(_, strategy)| matches!(strategy, Strategy::RebuildIndexes(_)));
        let stages = self.run(others)?;
        self.progress.enter(Phase::Attaching, None, 1);
        if !(stages.is_empty() && rebuilds.is_empty()) {
            partition_bounds::lock(self.operations);
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
    fn strategy_for(&self, partition: RelationOid, rows: u64, may_stage: bool, may_rebuild: bool) -> Strategy {
        if rows < FEW {
            return Strategy::KeepIndexes(partition);
        }
        let pages = relation_files::pages(partition);
        // Which snapshots an index is for says a row of the catalogs, which a load does not change.
        let may_rebuild = may_rebuild && !session::gives_up_old_snapshots();
        let is_small = pages * SMALL_PART <= bulk_insert::pages_of(rows);
        if pages == 0 && may_stage {
            Strategy::StagingTable { exists: true }
        } else if is_small && may_rebuild && !relation_files::is_in_use_here(partition) {
            Strategy::RebuildIndexes(partition)
        } else {
            Strategy::KeepIndexes(partition)
        }
    }

    /// Makes ready what months are filled in: tables for those that are not filled in place, indexes without entries.
    fn prepare(&self, strategies: Vec<(Month, Strategy)>) -> Result<(Vec<StagingTable>, Vec<MonthPlan>), Error> {
        let (mut stages, mut plans, mut to_empty) = (Vec::new(), Vec::new(), Vec::new());
        let makes_tables = strategies.iter().any(|(_, strategy)| matches!(strategy, Strategy::StagingTable { .. }));
        let owner = if makes_tables { self.as_owner()? } else { None };
        let fits_the_kernel = bulk_insert::pages_of(self.data.rows()) <= relation_files::cacheable_pages();
        for (month, strategy) in strategies {
            let (table, is_new, locked) = match strategy {
                Strategy::StagingTable { exists } => {
                    let stage = StagingTable::create(self.schema, month, self.rows(month), exists)?;
                    let table = stage.table();
                    stages.push(stage);
                    (table, true, Some(Exclusive::take(table)))
                }
                Strategy::RebuildIndexes(partition) => {
                    let locked =
                        staging::lock_all(&[partition], LOCK_WITHIN).and_then(|locked| locked.first().copied());
                    (partition, false, locked)
                }
                Strategy::KeepIndexes(partition) => (partition, false, None),
            };
            let is_large = !bulk_insert::fits_in_memory(bulk_insert::pages_of(self.rows(month)));
            let mode = if is_new {
                FillMode::NewFile(match (fits_the_kernel, is_large) {
                    (false, _) => PageCache::DropBehind,
                    (true, true) => PageCache::WriteBack,
                    (true, false) => PageCache::Leave,
                })
            } else {
                FillMode::InPlace { indexes: locked.is_none(), ring: is_large }
            };
            let target = Target { table: table.oid(), labels: self.labels, command: 0 };
            plans.push(MonthPlan { month, target, mode, indexes: [None; fill::MAX_INDEXES] });
            to_empty.push(locked);
        }
        drop(owner);
        let mut files = orphans::files_of(stages.iter().map(StagingTable::table).collect())?;
        let mut emptied = Vec::new();
        for (plan, locked) in plans.iter_mut().zip(to_empty) {
            let Some(locked) = locked else { continue };
            let indexes = staging::indexes(locked.relation())?;
            for (slot, index) in plan.indexes.iter_mut().zip(&indexes) {
                *slot = index::empty(locked, *index);
            }
            emptied.extend(indexes);
        }
        files.extend(orphans::files_of(emptied)?);
        orphans::note(&files)?;
        Ok((stages, plans))
    }

    /// Fills months, each in one process, and returns those that were not filled in place.
    fn run(&self, strategies: Vec<(Month, Strategy)>) -> Result<Vec<StagingTable>, Error> {
        let (stages, mut plans) = self.prepare(strategies)?;
        let command = bulk_insert::current_command();
        plans.iter_mut().for_each(|plan| plan.target.command = command);
        let rows = plans.iter().map(|plan| self.rows(plan.month)).sum();
        // What workers write in place is logged page by page, which a logical decoder cannot read, and counts in no conflict
        // of a serializable transaction.
        let may_share = !(session::is_serializable() || session::wal_is_logical());
        let processes = if may_share { processes::useful(self.processes.min(plans.len()), rows) } else { 1 };
        // Page by page, compressing what is built at once takes longer than building it, and saves a tenth of the load's WAL.
        let settings = Settings::set_as_superuser(&[(c"wal_compression", c"off")]);
        let task = SharedFill::new(self.data, self.first_id, self.progress.counter(), &plans);
        task.run(processes, self.progress, |index, took| {
            if let Some(MonthPlan { month, mode, .. }) = plans.get(index) {
                report(*month, self.rows(*month), mode.label(), took);
            }
        });
        drop(settings);
        session::next_command();
        let _owner = self.as_owner()?;
        for MonthPlan { month, target, .. } in plans {
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
