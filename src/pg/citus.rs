//! What Citus keeps in the catalogs about the tables that it has made its own, and about this server.
//!
//! Only tables that belong to the extension citus are read, and by their OIDs: none but a superuser can put one of the same name
//! into pg_catalog, and none but CREATE EXTENSION makes it a part of that extension. The rows are those of now, whatever the
//! snapshot, as are the rows that Citus itself goes by.

use std::ffi::{CStr, c_int};

use pgrx::pg_sys;

use crate::pg::catalog::{self, RelationOid};

/// What a table is to Citus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Its rows are in shards, by the value of a column.
    DistributedBy(String),
    /// Its rows are in one shard, on one of the servers.
    OneShard,
    /// Each server has all of its rows.
    Reference,
    /// Its rows are in one shard on the coordinator.
    Managed,
}

/// The catalogs of Citus, in a database that has it.
#[derive(Clone, Copy, Debug)]
pub struct Catalogs {
    tables: RelationOid,
    extension: pg_sys::Oid,
}

impl Catalogs {
    /// Without Citus it takes one look into the cache of `pg_class`, which keeps also that there is none.
    pub fn find() -> Option<Self> {
        let tables = in_pg_catalog(c"pg_dist_partition")?;
        // SAFETY: the name ends in NUL; with missing_ok it answers InvalidOid instead of raising an error.
        let extension = unsafe { pg_sys::get_extension_oid(c"citus".as_ptr(), true) };
        (extension != pg_sys::InvalidOid && is_part_of(tables, extension)).then_some(Self { tables, extension })
    }

    /// What the table is to Citus; `None` if Citus leaves it to PostgreSQL.
    pub fn kind_of(self, table: RelationOid) -> Option<Kind> {
        const TABLE: pg_sys::AttrNumber = 1;
        // pg_dist_partition_logical_relid_index has no other column. Without it, all rows are read.
        let index = in_pg_catalog(c"pg_dist_partition_logical_relid_index").map(RelationOid::oid);
        let index = index.filter(|index| is_index_of(*index, self.tables));
        // SAFETY: the first column is of type regclass, whose values are OIDs and whose index compares them so.
        unsafe {
            let mut key = pg_sys::ScanKeyData::default();
            let equal = pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber;
            pg_sys::ScanKeyInit(&raw mut key, TABLE, equal, pg_sys::F_OIDEQ.into(), table.oid().into());
            first_row(self.tables, index, &mut [key], |row| kind(table, row))
        }
    }

    /// The number of the group of servers that this one is of, if that is not the coordinator's.
    pub fn worker_group(self) -> Option<i32> {
        let groups = in_pg_catalog(c"pg_dist_local_group").filter(|table| is_part_of(*table, self.extension))?;
        // SAFETY: it is read without a key.
        let group = unsafe { first_row(groups, None, &mut [], |row| row.column(c"groupid")) }?;
        // An integer.
        Some(group?.value() as i32).filter(|group| *group != 0)
    }
}

/// What a row of `pg_dist_partition` says.
fn kind(table: RelationOid, row: &CatalogRow) -> Kind {
    const BY_NO_COLUMN: u8 = b'n';
    const TO_ALL_SERVERS: u8 = b't';
    let number = |name: &CStr| row.column(name).map_or(0, pg_sys::Datum::value);
    if number(c"partmethod") as u8 != BY_NO_COLUMN {
        return Kind::DistributedBy(row.column(c"partkey").map_or_else(String::new, |key| column_name(table, key)));
    }
    match (number(c"repmodel") as u8, number(c"colocationid") as u32) {
        (TO_ALL_SERVERS, _) => Kind::Reference,
        (_, 0) => Kind::Managed,
        _ => Kind::OneShard,
    }
}

/// The name of the column that a distribution key is.
fn column_name(table: RelationOid, key: pg_sys::Datum) -> String {
    // SAFETY: Citus keeps there, as text, a Var as nodeToString writes it; the name is NULL or a palloc'd string.
    unsafe {
        let text = pg_sys::text_to_cstring(pg_sys::pg_detoast_datum(key.cast_mut_ptr()).cast());
        let node = pg_sys::stringToNode(text).cast::<pg_sys::Var>();
        if node.is_null() || (*node).xpr.type_ != pg_sys::NodeTag::T_Var {
            return String::new();
        }
        catalog::copied(pg_sys::get_attname(table.oid(), (*node).varattno, true))
    }
}

/// The relation of that name in the schema pg_catalog.
fn in_pg_catalog(name: &CStr) -> Option<RelationOid> {
    catalog::relation(pg_sys::Oid::from(pg_sys::PG_CATALOG_NAMESPACE), name)
}

fn is_part_of(relation: RelationOid, extension: pg_sys::Oid) -> bool {
    // SAFETY: takes any OIDs, and answers InvalidOid for what is part of no extension.
    unsafe { pg_sys::getExtensionOfObject(pg_sys::RelationRelationId, relation.oid()) == extension }
}

fn is_index_of(index: pg_sys::Oid, table: RelationOid) -> bool {
    // SAFETY: takes any OID; with missing_ok it answers InvalidOid for what is no index.
    unsafe { pg_sys::IndexGetRelation(index, true) == table.oid() }
}

/// A row of a table of Citus. Which number a column has differs between its versions.
struct CatalogRow {
    tuple: pg_sys::HeapTuple,
    relation: pg_sys::Relation,
}

impl CatalogRow {
    /// The value of a column, unless it is null or missing.
    fn column(&self, name: &CStr) -> Option<pg_sys::Datum> {
        // SAFETY: a row is only made of what is valid while it is lent; the number is that of a column of the relation.
        unsafe {
            let number = catalog::column((*self.relation).rd_id, name)?.number;
            let mut is_null = false;
            let descriptor = (*self.relation).rd_att;
            let value = pg_sys::heap_getattr(self.tuple, c_int::from(number), descriptor, &mut is_null);
            (!is_null).then_some(value)
        }
    }
}

/// Lends the first row of a table by the catalogs as they are now.
///
/// # Safety
///
/// `index` must be one of the table, and have the columns of `keys`; these must be of their types.
unsafe fn first_row<R>(
    table: RelationOid,
    index: Option<pg_sys::Oid>,
    keys: &mut [pg_sys::ScanKeyData],
    read: impl FnOnce(&CatalogRow) -> R,
) -> Option<R> {
    // SAFETY: by the contract. AccessShareLock is the weakest lock under which a relation may be opened; without a snapshot the
    // scan takes that of the catalogs. The row is valid until the scan ends.
    unsafe {
        let relation = pg_sys::try_relation_open(table.oid(), pg_sys::AccessShareLock as c_int);
        if relation.is_null() {
            return None;
        }
        let (count, keys) = (keys.len() as c_int, keys.as_mut_ptr());
        let scan = pg_sys::systable_beginscan(
            relation,
            index.unwrap_or(pg_sys::InvalidOid),
            index.is_some(),
            std::ptr::null_mut(),
            count,
            keys,
        );
        let tuple = pg_sys::systable_getnext(scan);
        let answer = (!tuple.is_null()).then(|| read(&CatalogRow { tuple, relation }));
        pg_sys::systable_endscan(scan);
        pg_sys::relation_close(relation, pg_sys::AccessShareLock as c_int);
        answer
    }
}
