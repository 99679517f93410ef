//! What counts the changes of a table's partitions, by the catalogs as they are now, whatever the snapshot: PostgreSQL finds
//! rows and fires triggers by them.
#![expect(unsafe_code, reason = "it reads the descriptors of relations")]

use std::ffi::{CStr, c_char};

use pgrx::pg_sys;

use crate::citus;
use crate::error::Error;
use crate::pg::catalog::{self, RelationOid};
use crate::pg::partition_bounds::{Bound, Partitions};
use crate::rollup::trigger_condition::{self, Condition};
use crate::schema::Schema;

/// The columns that count, in the order of their names.
pub const COLUMN_NAMES: [&CStr; 4] = [c"amount", c"client_id", c"operation_type", c"status"];

/// The numbers of the columns that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    pub amount: pg_sys::AttrNumber,
    pub client_id: pg_sys::AttrNumber,
    pub operation_type: pg_sys::AttrNumber,
    pub status: pg_sys::AttrNumber,
}

impl Columns {
    /// The columns of a relation, all of the types that can be counted, or the name of one that is not.
    ///
    /// `operation_type`: the type that the extension brings.
    pub fn of(relation: pg_sys::Oid, operation_type: pg_sys::Oid) -> Result<Self, &'static CStr> {
        let types = [pg_sys::NUMERICOID, pg_sys::INT4OID, operation_type, pg_sys::INT2OID];
        let mut numbers = [0; COLUMN_NAMES.len()];
        for ((name, of_type), number) in COLUMN_NAMES.into_iter().zip(types).zip(&mut numbers) {
            let column = catalog::column(relation, name).filter(|column| column.of_type == of_type);
            *number = column.ok_or(name)?.number;
        }
        let [amount, client_id, operation_type, status] = numbers;
        Ok(Self { amount, client_id, operation_type, status })
    }

    /// Their numbers, in the order of the names.
    pub fn numbers(self) -> [pg_sys::AttrNumber; COLUMN_NAMES.len()] {
        [self.amount, self.client_id, self.operation_type, self.status]
    }
}

/// The numbers of the columns of these names, whatever their types; `None` if one is missing.
pub fn numbers_of_columns(relation: pg_sys::Oid) -> Option<Vec<pg_sys::AttrNumber>> {
    COLUMN_NAMES.iter().map(|name| catalog::column(relation, name).map(|column| column.number)).collect()
}

/// A partition that holds rows.
#[derive(Clone, Copy, Debug)]
pub struct Leaf {
    pub oid: pg_sys::Oid,
    /// Its file, a relfilenumber.
    pub file: pg_sys::Oid,
    /// Its columns that count, if all are there.
    pub columns: Option<Columns>,
    /// Whether its triggers count all changes of its rows.
    pub has_triggers: bool,
    /// Whether its TRUNCATE asks which node it is on, if it is a table of Citus.
    pub is_guarded: bool,
    /// Whether its rows can be summed up once, and followed from then on.
    pub is_counted: bool,
    /// The bounds of its rows by the key of the table. None, if it has none, or one that is no date.
    pub bounds: (Bound, Bound),
}

/// What the leaves are looked at for.
#[derive(Clone, Copy, Debug)]
pub struct CountingTriggers {
    /// The function of the triggers.
    pub function: pg_sys::Oid,
    /// The type of `operation_type`.
    pub operation_type: pg_sys::Oid,
    /// When they fire.
    pub fires: Fires,
}

/// When the triggers fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fires {
    /// Whatever the session's role in replication.
    Always,
    /// Not for what logical replication brings: on a shard, which Citus moves by that, with what was counted of it.
    AtOrigin,
}

impl Fires {
    fn enabled(self) -> c_char {
        match self {
            Self::Always => b'A' as c_char,
            Self::AtOrigin => b'O' as c_char,
        }
    }
}

impl CountingTriggers {
    /// The function of the triggers, and the type that the extension brings.
    pub fn of(schema: &Schema) -> Result<Self, Error> {
        let column = catalog::column(schema.delta()?.oid(), c"operation_type");
        let function = schema.function(c"operations_count_change");
        let fires = if citus::is_sharded(schema) { Fires::AtOrigin } else { Fires::Always };
        Ok(Self { function, operation_type: column.map_or(pg_sys::InvalidOid, |column| column.of_type), fires })
    }

    /// The leaves of a partitioned table, which this locks as a query of them would.
    pub fn leaves(self, table: RelationOid) -> Vec<Leaf> {
        let ranges = Partitions::of(table).map_or_else(Vec::new, |partitions| partitions.ranges);
        let owner = table.owner();
        let mut found = Vec::new();
        for (child, is_leaf) in children(table.oid()) {
            let range = ranges.iter().find(|range| range.oid == child);
            let bounds = range.map_or((Bound::Min, Bound::Max), |range| (range.from, range.to));
            let mut below = vec![(child, is_leaf)];
            while let Some((relation, is_leaf)) = below.pop() {
                if is_leaf {
                    found.extend(self.leaf(relation, owner, bounds));
                } else {
                    below.extend(children(relation));
                }
            }
        }
        found
    }

    /// Whether the table has the triggers that a partition gets from it.
    pub fn has_triggers(self, table: RelationOid) -> bool {
        let status = Columns::of(table.oid(), self.operation_type).map(|columns| columns.status);
        // SAFETY: AccessShareLock is the weakest lock under which a relation may be opened; it is closed after it was read.
        status.is_ok_and(|status| unsafe {
            let relation = pg_sys::try_relation_open(table.oid(), pg_sys::AccessShareLock as i32);
            if relation.is_null() {
                return false;
            }
            let answer = self.triggers_count(relation, status);
            pg_sys::relation_close(relation, pg_sys::NoLock as i32);
            answer
        })
    }

    fn leaf(self, oid: pg_sys::Oid, owner: Option<pg_sys::Oid>, bounds: (Bound, Bound)) -> Option<Leaf> {
        const TABLE: c_char = b'r' as c_char;
        const LOGGED: c_char = b'p' as c_char;
        let columns = Columns::of(oid, self.operation_type).ok();
        // SAFETY: AccessShareLock is the weakest lock under which a relation may be opened; try_relation_open answers NULL
        // for one that has gone. rd_rel is its row of pg_class. What is read is copied before the relation is closed.
        unsafe {
            let relation = pg_sys::try_relation_open(oid, pg_sys::AccessShareLock as i32);
            if relation.is_null() {
                return None;
            }
            let class = &*(*relation).rd_rel;
            let has_triggers = columns.is_some_and(|columns| self.triggers_count(relation, columns.status));
            let is_guarded = self.fires == Fires::Always || self.ours(&*relation).any(is_guard);
            // A crash empties what is not logged. Rows are summed up as their owner, so that all of them must be the
            // table's; and those that the owner sees must be all that there are. What the session itself has changed
            // while its triggers are yet to fire is not counted.
            let is_counted = has_triggers
                && is_guarded
                && class.relispartition
                && class.relkind == TABLE
                && class.relpersistence == LOGGED
                && Some(class.relowner) == owner
                && !(class.relrowsecurity && class.relforcerowsecurity)
                && !pg_sys::AfterTriggerPendingOnRel(oid);
            let file = class.relfilenode;
            pg_sys::relation_close(relation, pg_sys::NoLock as i32);
            Some(Leaf { oid, file, columns, has_triggers, is_guarded, is_counted, bounds })
        }
    }

    /// Whether the triggers of the function are one each for INSERT, UPDATE and DELETE, fire at the end of the statement for
    /// each row that is or was done, and as often as they should.
    ///
    /// # Safety
    ///
    /// `relation` must be open.
    pub unsafe fn triggers_count(self, relation: pg_sys::Relation, status: pg_sys::AttrNumber) -> bool {
        let expected = [
            (pg_sys::TRIGGER_TYPE_INSERT, Condition::New),
            (pg_sys::TRIGGER_TYPE_DELETE, Condition::Old),
            (pg_sys::TRIGGER_TYPE_UPDATE, Condition::Either),
        ];
        // SAFETY: by the contract.
        unsafe {
            // What is asked before TRUNCATE counts nothing. Of a shard that was moved it is as it was on the partition at that time.
            let ours = || self.ours(&*relation).filter(|trigger| !is_of_truncate(trigger));
            ours().count() == expected.len()
                && expected.into_iter().all(|(event, condition)| {
                    ours().any(|trigger| {
                        has_form(trigger, event, self.fires) && trigger_condition::is(trigger.tgqual, condition, status)
                    })
                })
        }
    }

    /// The triggers of the function.
    ///
    /// # Safety
    ///
    /// `relation` must be open, and no lock may be taken and no catalog be read while the answer is used: PostgreSQL could be told of
    /// another trigger by that, and make the description anew.
    unsafe fn ours(self, relation: &pg_sys::RelationData) -> impl Iterator<Item = &pg_sys::Trigger> {
        // SAFETY: by the contract; trigdesc is NULL or describes numtriggers triggers, one after the other.
        let all = unsafe {
            relation.trigdesc.as_ref().map_or(&[][..], |all| {
                std::slice::from_raw_parts(all.triggers, usize::try_from(all.numtriggers).unwrap_or(0))
            })
        };
        all.iter().filter(move |trigger| trigger.tgfoid == self.function)
    }
}

/// Whether a trigger is asked before each TRUNCATE.
fn is_guard(trigger: &pg_sys::Trigger) -> bool {
    let of_type = pg_sys::TRIGGER_TYPE_TRUNCATE | pg_sys::TRIGGER_TYPE_BEFORE;
    u32::try_from(trigger.tgtype) == Ok(of_type)
        && trigger.tgenabled == Fires::AtOrigin.enabled()
        && trigger.tgqual.is_null()
}

fn is_of_truncate(trigger: &pg_sys::Trigger) -> bool {
    u32::try_from(trigger.tgtype).is_ok_and(|of_type| of_type & pg_sys::TRIGGER_TYPE_TRUNCATE != 0)
}

/// Whether a trigger fires then, AFTER, for each row of this event, at once, whatever columns an UPDATE sets.
fn has_form(trigger: &pg_sys::Trigger, event: u32, fires: Fires) -> bool {
    u32::try_from(trigger.tgtype).is_ok_and(|of_type| of_type == event | pg_sys::TRIGGER_TYPE_ROW)
        && trigger.tgenabled == fires.enabled()
        && !trigger.tgdeferrable
        && trigger.tgnattr == 0
        && trigger.tgnargs == 0
        && trigger.tgoldtable.is_null()
        && trigger.tgnewtable.is_null()
}

/// The partitions of a partitioned table, without those that are being detached, each with whether it holds rows itself.
fn children(table: pg_sys::Oid) -> Vec<(pg_sys::Oid, bool)> {
    // SAFETY: AccessShareLock is the weakest lock under which a relation may be opened; the descriptor has nparts entries
    // and lives as long as the relation is open. A relation that is not partitioned is not asked for it.
    unsafe {
        let relation = pg_sys::try_relation_open(table, pg_sys::AccessShareLock as i32);
        if relation.is_null() {
            return Vec::new();
        }
        let mut found = Vec::new();
        if (*(*relation).rd_rel).relkind as u8 == pg_sys::RELKIND_PARTITIONED_TABLE {
            let all = &*pg_sys::RelationGetPartitionDesc(relation, true);
            for index in 0..usize::try_from(all.nparts).unwrap_or(0) {
                found.push((*all.oids.add(index), *all.is_leaf.add(index)));
            }
        }
        pg_sys::relation_close(relation, pg_sys::NoLock as i32);
        found
    }
}
