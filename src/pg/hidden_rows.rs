//! The rows in a table's file on this server where queries of the table are answered from elsewhere.

use std::ffi::{c_char, c_int};

use pgrx::{check_for_interrupts, pg_sys};

use crate::pg::catalog::RelationOid;

/// The rows in the file of a table.
#[derive(Clone, Copy, Debug)]
pub struct HiddenRows(RelationOid);

impl HiddenRows {
    /// Those of a table, which may be one without a file.
    pub fn of(table: RelationOid) -> Self {
        Self(table)
    }

    /// Whether there is one.
    pub fn exist(self) -> bool {
        let mut any = false;
        self.for_each(|_| {
            any = true;
            false
        });
        any
    }

    /// Visits them, as they are now, until `visit` answers no. What it is lent holds a row, until it returns.
    pub(super) fn for_each(self, mut visit: impl FnMut(*mut pg_sys::TupleTableSlot) -> bool) {
        const TABLE: c_char = b'r' as c_char;
        // SAFETY: the relation is open, and has rows of its own, while it is scanned, by a snapshot that is registered meanwhile.
        // An error in between ends the scan with the transaction.
        unsafe {
            let relation = pg_sys::try_relation_open(self.0.oid(), pg_sys::AccessShareLock as c_int);
            if relation.is_null() {
                return;
            }
            if (*(*relation).rd_rel).relkind == TABLE {
                let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
                let slot = pg_sys::table_slot_create(relation, std::ptr::null_mut());
                let scan = pg_sys::table_beginscan(relation, snapshot, 0, std::ptr::null_mut());
                while pg_sys::table_scan_getnextslot(scan, pg_sys::ScanDirection::ForwardScanDirection, slot) {
                    check_for_interrupts!();
                    if !visit(slot) {
                        break;
                    }
                }
                pg_sys::table_endscan(scan);
                pg_sys::ExecDropSingleTupleTableSlot(slot);
                pg_sys::UnregisterSnapshot(snapshot);
            }
            pg_sys::relation_close(relation, pg_sys::NoLock as c_int);
        }
    }
}
