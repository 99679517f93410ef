//! The exchange of the files of two relations.

use std::ffi::{CStr, c_int};
use std::mem;

use pgrx::{PgTupleDesc, pg_sys};

use crate::pg::lock::Exclusive;
use crate::pg::{major, unbound};

/// A table, or index, that is to get another file, and one that has that file.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    permanent: Exclusive,
    transient: Exclusive,
}

impl Exchange {
    /// `permanent` stays; `transient` was made by this transaction, which drops it afterwards. `None` if the one is not like the
    /// other, so that it could not read what that has in its file.
    pub fn of(permanent: Exclusive, transient: Exclusive) -> Option<Self> {
        // SAFETY: the relations exist, as they are locked, and are open while they are looked at.
        let alike = unsafe {
            let relation = pg_sys::relation_open(permanent.relation().oid(), pg_sys::NoLock as c_int);
            let other = pg_sys::relation_open(transient.relation().oid(), pg_sys::NoLock as c_int);
            let alike = are_alike(relation, other) && keeps_all_in_line(relation) && keeps_all_in_line(other);
            pg_sys::relation_close(relation, pg_sys::NoLock as c_int);
            pg_sys::relation_close(other, pg_sys::NoLock as c_int);
            alike
        };
        alike.then_some(Self { permanent, transient })
    }

    /// Gives each of the two the file of the other, with what is known of its size.
    ///
    /// It is `swap_relation_files` of cluster.c, as far as that applies: `of` has seen that neither is mapped, that they differ in
    /// nothing else that it exchanges, and that their TOAST tables are empty. Those stay where they are.
    pub fn run(self) {
        const COMMAND: &CStr = c"CALL operations_test_data";
        // SAFETY: the tuples are copies from the cache, of pg_class, which is open while they are changed and written back.
        // The relations exist, as they are locked.
        unsafe {
            let [permanent, transient] = [self.permanent, self.transient].map(|locked| locked.relation().oid());
            let relation = pg_sys::relation_open(permanent, pg_sys::NoLock as c_int);
            let transient_relation = pg_sys::relation_open(transient, pg_sys::NoLock as c_int);
            pg_sys::CheckTableNotInUse(relation, COMMAND.as_ptr());
            // Predicate locks name TIDs, which differ in the new file.
            unbound::transfer_predicate_locks(relation);

            let pg_class = pg_sys::table_open(pg_sys::RelationRelationId, pg_sys::RowExclusiveLock as c_int);
            let row = |relation: pg_sys::Oid| {
                let cache = pg_sys::SysCacheIdentifier::RELOID as c_int;
                let none = pg_sys::Datum::from(0);
                let tuple = pg_sys::SearchSysCacheCopy(cache, relation.into(), none, none, none);
                (tuple, pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>())
            };
            let ((tuple, class), (transient_tuple, transient_class)) = (row(permanent), row(transient));
            mem::swap(&mut (*class).relfilenode, &mut (*transient_class).relfilenode);

            // The relation cache is told that the permanent one has a file of this (sub)transaction, so that TRUNCATE knows
            // whether it may empty that in place, and whoever writes whether to log it; and that the other one has a file that
            // may be older. `assume_new_file` also notes that the end of the (sub)transaction has marks to remove
            // there: on the wrong one of the two they would outlive it.
            major::copy_file_marks(relation, transient_relation);
            major::assume_new_file(relation);

            if (*class).relkind as u8 != pg_sys::RELKIND_INDEX {
                (*class).relfrozenxid = (*transient_class).relfrozenxid;
                (*class).relminmxid = (*transient_class).relminmxid;
            }
            mem::swap(&mut (*class).relpages, &mut (*transient_class).relpages);
            mem::swap(&mut (*class).reltuples, &mut (*transient_class).reltuples);
            mem::swap(&mut (*class).relallvisible, &mut (*transient_class).relallvisible);
            major::swap_all_frozen(&mut *class, &mut *transient_class);
            pg_sys::CatalogTupleUpdate(pg_class, &raw mut (*tuple).t_self, tuple);
            pg_sys::CatalogTupleUpdate(pg_class, &raw mut (*transient_tuple).t_self, transient_tuple);

            for changed in [permanent, transient] {
                if (&raw const pg_sys::object_access_hook).read().is_some() {
                    pg_sys::RunObjectPostAlterHook(pg_sys::RelationRelationId, changed, 0, pg_sys::InvalidOid, true);
                }
            }
            pg_sys::table_close(pg_class, pg_sys::RowExclusiveLock as c_int);
            pg_sys::relation_close(relation, pg_sys::NoLock as c_int);
            pg_sys::relation_close(transient_relation, pg_sys::NoLock as c_int);
            major::close_files([permanent, transient]);
            pg_sys::CommandCounterIncrement();
        }
    }
}

/// Whether what is in the file of the one means the same in that of the other.
///
/// # Safety
///
/// Both must be open.
unsafe fn are_alike(one: pg_sys::Relation, other: pg_sys::Relation) -> bool {
    // SAFETY: by the contract. What is looked at of a description is a copy.
    unsafe {
        let (class, other_class) = (&*(*one).rd_rel, &*(*other).rd_rel);
        let columns = |relation: pg_sys::Relation| {
            PgTupleDesc::from_pg_copy((*relation).rd_att)
                .iter()
                .map(|column| (column.atttypid, column.attlen, column.attalign, column.attbyval, column.attisdropped))
                .collect::<Vec<_>>()
        };
        // A relation that is mapped, as some catalogs are, has no number of its file in pg_class.
        [class, other_class].iter().all(|class| class.relfilenode != pg_sys::InvalidOid)
            && class.relkind == other_class.relkind
            && class.relam == other_class.relam
            && class.relpersistence == other_class.relpersistence
            && class.reltablespace == other_class.reltablespace
            && columns(one) == columns(other)
    }
}

/// Whether no value of the relation is in its TOAST table.
///
/// # Safety
///
/// The relation must be open, and locked exclusively.
unsafe fn keeps_all_in_line(relation: pg_sys::Relation) -> bool {
    // SAFETY: by the contract. The TOAST table exists as long as its table does, and is locked while it is open.
    unsafe {
        let toast = (*(*relation).rd_rel).reltoastrelid;
        if toast == pg_sys::InvalidOid {
            return true;
        }
        let toast = pg_sys::relation_open(toast, pg_sys::AccessShareLock as c_int);
        let pages = pg_sys::RelationGetNumberOfBlocksInFork(toast, pg_sys::ForkNumber::MAIN_FORKNUM);
        pg_sys::relation_close(toast, pg_sys::AccessShareLock as c_int);
        pages == 0
    }
}
