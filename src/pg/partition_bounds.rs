//! The partitions of a table that is partitioned by range of one date column, as the relation cache knows them.

use pgrx::pg_sys;

use crate::pg::catalog::{LockMode, RelationOid};

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

impl Bound {
    /// As the type date has it, with infinities for none.
    pub fn to_date(self) -> pgrx::datum::Date {
        pgrx::datum::Date::saturating_from_raw(self.to_postgres())
    }

    /// As [`Self::to_date`], in the number that PostgreSQL has for it.
    pub fn to_postgres(self) -> i32 {
        match self {
            Self::Min => i32::MIN,
            Self::Day(day) => day,
            Self::Max => i32::MAX,
        }
    }
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

/// The partitions of a table.
#[derive(Clone, Debug)]
pub struct Partitions {
    /// All but the DEFAULT partition, in ascending order.
    pub ranges: Vec<Partition>,
}

impl Partitions {
    /// The partitions that `table` has now; `None` if it is not partitioned by range of one date column.
    ///
    /// Holds until another session attaches or detaches one; where that matters, [`lock`] comes before.
    pub fn of(table: RelationOid) -> Option<Self> {
        with_bounds(table, |bounds| Self {
            ranges: bounds
                .map_or_else(Vec::new, |bounds| (1..bounds.count()).filter_map(|i| bounds.partition(i)).collect()),
        })
    }

    /// Whether a row dated that day would find a partition, and be it the DEFAULT one; `None` if the table is not
    /// partitioned by range of one date column. Looks at few of the partitions, however many there are.
    pub fn has_place_for(table: RelationOid, day: i32) -> Option<bool> {
        with_bounds(table, |bounds| {
            bounds.is_some_and(|bounds| {
                let (mut low, mut high) = (0, bounds.count());
                while low < high {
                    let middle = usize::midpoint(low, high);
                    if bounds.bound(middle) <= Bound::Day(day) { low = middle + 1 } else { high = middle }
                }
                // The partition of the first bound above the day, if there is one, begins at the bound before.
                bounds.has_default() || (low < bounds.count() && bounds.partition(low).is_some())
            })
        })
    }

    /// Any partition, other than the DEFAULT one, that holds a day from `from` up to, not including, `to`.
    pub fn overlapping(&self, from: i32, to: i32) -> Option<&Partition> {
        self.ranges.iter().find(|partition| partition.from < Bound::Day(to) && Bound::Day(from) < partition.to)
    }
}

/// Has nobody else attach or detach a partition of the table before the transaction ends, and has its partitions be read anew.
///
/// Other than the lock says, the relation cache may lack a partition that was attached before: PostgreSQL reads the catalogs for
/// it, heeds meanwhile what others tell of their changes, and then stores what it had read (RelationBuildPartitionDesc of partdesc.c).
/// ATTACH would look there, and accept a second partition for the same dates.
pub fn lock(table: RelationOid) {
    table.lock(LockMode::ShareUpdateExclusive);
    // SAFETY: takes any OID, and does what it does when another session says that the relation has changed.
    unsafe { pg_sys::RelationCacheInvalidateEntry(table.oid()) }
}

/// The bounds of a table's partitions, in the relation cache.
#[derive(Clone, Copy)]
struct Bounds<'a> {
    info: &'a pg_sys::PartitionBoundInfoData,
    partitions: *const pg_sys::Oid,
}

impl Bounds<'_> {
    /// How many there are. Each ends a partition, or a gap.
    fn count(self) -> usize {
        usize::try_from(self.info.ndatums).unwrap_or(0)
    }

    fn has_default(self) -> bool {
        self.info.default_index >= 0
    }

    /// The bound with that index, which must be less than `count`.
    fn bound(self, index: usize) -> Bound {
        debug_assert!(index < self.count());
        // SAFETY: each of the ndatums bounds has a kind and, if that says VALUE, a datum, which is a date.
        unsafe {
            match *(*self.info.kind.add(index)) {
                pg_sys::PartitionRangeDatumKind::PARTITION_RANGE_DATUM_MINVALUE => Bound::Min,
                pg_sys::PartitionRangeDatumKind::PARTITION_RANGE_DATUM_MAXVALUE => Bound::Max,
                _ => Bound::Day((*(*self.info.datums.add(index))).value() as i32),
            }
        }
    }

    /// The partition that the bound with that index ends, which must be less than `count`.
    fn partition(self, index: usize) -> Option<Partition> {
        debug_assert!(index < self.count());
        // SAFETY: there are ndatums + 1 indexes; that at i is of the partition that ends at bound i, or -1 where there is
        // none, as for the first bound.
        unsafe {
            let place = usize::try_from(*self.info.indexes.add(index)).ok()?;
            let from = self.bound(index.checked_sub(1)?);
            Some(Partition { oid: *self.partitions.add(place), from, to: self.bound(index) })
        }
    }
}

/// Lends the bounds of the partitions of a table, `None` if it has no partition. Answers `None` if it is not partitioned by
/// range of one date column.
fn with_bounds<R>(table: RelationOid, read: impl FnOnce(Option<Bounds<'_>>) -> R) -> Option<R> {
    if !is_partitioned_by_range_of_date(table.oid()) {
        return None;
    }
    // SAFETY: AccessShareLock is the weakest lock under which a relation may be opened; the descriptor lives as long as the
    // relation is open, and `read` cannot keep what it is lent. With no partition at all boundinfo is NULL.
    unsafe {
        let relation = pg_sys::table_open(table.oid(), pg_sys::AccessShareLock as i32);
        let descriptor = pg_sys::RelationGetPartitionDesc(relation, true);
        let info = (*descriptor).boundinfo.as_ref();
        let answer = read(info.map(|info| Bounds { info, partitions: (*descriptor).oids }));
        pg_sys::table_close(relation, pg_sys::NoLock as i32);
        Some(answer)
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
