//! The partitions of a table that is partitioned by range of one date column, as the relation cache knows them.

use pgrx::pg_sys;

use crate::pg::catalog::RelationOid;

/// The bound of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// MINVALUE
    Min,
    /// A date: days since 2000-01-01.
    Day(i32),
    /// MAXVALUE
    Max,
}

/// A partition and the dates that it holds: from `from` up to, not including, `to`.
#[derive(Clone, Copy, Debug)]
pub struct Partition {
    /// Its OID in `pg_class`.
    pub oid: pg_sys::Oid,
    /// The first date.
    pub from: Bound,
    /// The first date after.
    pub to: Bound,
}

/// The partitions of a table, in ascending order, and whether it has a DEFAULT partition.
#[derive(Clone, Debug)]
pub struct Partitions {
    /// All but the DEFAULT partition.
    pub ranges: Vec<Partition>,
    /// Whether a DEFAULT partition takes what no other does.
    pub has_default: bool,
}

impl Partitions {
    /// The partitions that `table` has now; `None` if it is not partitioned by range of one date column.
    ///
    /// Holds until another session attaches or detaches one, so lock the table before, in a mode that forbids that,
    /// if it matters.
    pub fn of(table: RelationOid) -> Option<Self> {
        if !is_partitioned_by_range_of_date(table.oid()) {
            return None;
        }
        // SAFETY: AccessShareLock is the weakest lock under which a relation may be opened; the descriptor lives as
        // long as the relation is open, and all that is used of it is copied out before it is closed.
        unsafe {
            let relation = pg_sys::table_open(table.oid(), pg_sys::AccessShareLock as i32);
            let partitions = Self::copied(pg_sys::RelationGetPartitionDesc(relation, true));
            pg_sys::table_close(relation, pg_sys::NoLock as i32);
            Some(partitions)
        }
    }

    /// # Safety
    ///
    /// `descriptor` must be that of a relation that is open and partitioned by range of one column of type date.
    unsafe fn copied(descriptor: pg_sys::PartitionDesc) -> Self {
        // SAFETY: by the contract. For range partitioning `boundinfo` has ndatums bounds, each with a kind and, if
        // that says VALUE, a datum, and ndatums + 1 indexes; index i is that of the partition that ends at bound i,
        // or -1 where there is none. With no partition at all boundinfo is NULL.
        unsafe {
            let bounds = (*descriptor).boundinfo;
            if bounds.is_null() {
                return Self { ranges: Vec::new(), has_default: false };
            }
            let bound = |i: usize| match *(*(*bounds).kind.add(i)) {
                pg_sys::PartitionRangeDatumKind::PARTITION_RANGE_DATUM_MINVALUE => Bound::Min,
                pg_sys::PartitionRangeDatumKind::PARTITION_RANGE_DATUM_MAXVALUE => Bound::Max,
                _ => Bound::Day((*(*(*bounds).datums.add(i))).value() as i32),
            };
            let ranges = (1..usize::try_from((*bounds).ndatums).unwrap_or(0))
                .filter_map(|i| {
                    let index = usize::try_from(*(*bounds).indexes.add(i)).ok()?;
                    Some(Partition { oid: *(*descriptor).oids.add(index), from: bound(i - 1), to: bound(i) })
                })
                .collect();
            Self { ranges, has_default: (*bounds).default_index >= 0 }
        }
    }

    /// The partition, other than the DEFAULT one, that holds this day.
    pub fn holding(&self, day: i32) -> Option<&Partition> {
        let after = self.ranges.partition_point(|partition| partition.from <= Bound::Day(day));
        self.ranges[..after].last().filter(|partition| Bound::Day(day) < partition.to)
    }

    /// Any partition, other than the DEFAULT one, that holds a day from `from` up to, not including, `to`.
    pub fn overlapping(&self, from: i32, to: i32) -> Option<&Partition> {
        self.ranges.iter().find(|partition| partition.from < Bound::Day(to) && Bound::Day(from) < partition.to)
    }
}

/// Columns of `pg_partitioned_table`, by number.
const PARTSTRAT: pg_sys::AttrNumber = 2;
const PARTATTRS: pg_sys::AttrNumber = 5;

fn is_partitioned_by_range_of_date(relation: pg_sys::Oid) -> bool {
    const RANGE: u8 = b'r';
    // SAFETY: the syscache returns NULL or a tuple of pg_partitioned_table that stays valid until it is released. Neither
    // column can be null; the first is a "char", the second an int2vector, which is a pass-by-reference array of int2
    // with as many entries as there are key columns, 0 for one that is an expression.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::PARTRELID as i32;
        let tuple = pg_sys::SearchSysCache1(cache, relation.into());
        if tuple.is_null() {
            return false;
        }
        let mut is_null = false;
        let strategy = pg_sys::SysCacheGetAttr(cache, tuple, PARTSTRAT, &raw mut is_null).value() as u8;
        let columns = pg_sys::SysCacheGetAttr(cache, tuple, PARTATTRS, &raw mut is_null);
        let columns = columns.cast_mut_ptr::<pg_sys::int2vector>();
        let column = ((*columns).dim1 == 1).then(|| *(*columns).values.as_ptr());
        let is_date =
            column.is_some_and(|column| column > 0 && pg_sys::get_atttype(relation, column) == pg_sys::DATEOID);
        pg_sys::ReleaseSysCache(tuple);
        strategy == RANGE && is_date
    }
}
