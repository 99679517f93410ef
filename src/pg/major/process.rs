//! Processes and their signals, settings, and what is looked up in the catalogs.

use std::ffi::c_int;

use pgrx::pg_sys;

/// Has a signal call that function.
///
/// # Safety
///
/// The function must be safe to run in a signal handler.
pub unsafe fn set_handler(signal: u32, handler: unsafe extern "C-unwind" fn(c_int)) {
    // SAFETY: by the contract.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        pg_sys::pqsignal(signal as c_int, Some(handler));
        // There pqsignal is a macro, and what it stands for is named so in the server.
        #[cfg(feature = "pg18")]
        pg_sys::pqsignal_be(signal as c_int, Some(handler));
    }
}

/// Ends the process.
pub fn exit(code: c_int) -> ! {
    // SAFETY: runs PostgreSQL's exit handlers.
    unsafe { pg_sys::proc_exit(code) };
    // It does not return, but its binding for PostgreSQL 18 does not say so.
    #[cfg(feature = "pg18")]
    std::process::abort()
}

/// The process with that index in what statistics tell of processes, from 1.
pub fn backend_status(index: c_int) -> Option<pg_sys::LocalPgBackendStatus> {
    // SAFETY: the entries are copied for this transaction when they are first asked for; the answer is one of them, or NULL, and is
    // copied; what its pointers lead to may go.
    unsafe {
        #[cfg(not(feature = "pg15"))]
        let status = pg_sys::pgstat_get_local_beentry_by_index(index);
        #[cfg(feature = "pg15")]
        let status = pg_sys::pgstat_fetch_stat_local_beentry(index);
        status.as_ref().copied()
    }
}

/// Whether rows may be gone that an old snapshot is to see (`old_snapshot_threshold`, which PostgreSQL 17 has no more). An index
/// that is built then is not for such a snapshot.
pub fn gives_up_old_snapshots() -> bool {
    // SAFETY: a plain read of a variable that is set before the process starts.
    #[cfg(any(feature = "pg15", feature = "pg16"))]
    let gives_up = unsafe { pg_sys::old_snapshot_threshold >= 0 };
    #[cfg(not(any(feature = "pg15", feature = "pg16")))]
    let gives_up = false;
    gives_up
}

/// Whether the role may make tables in the tablespace, an OID of `pg_tablespace`.
pub fn may_create_in(tablespace: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    let create = pg_sys::AclMode::from(pg_sys::ACL_CREATE);
    // SAFETY: takes OIDs of a tablespace and of a role, and raises an error for what is none.
    let answer = unsafe {
        #[cfg(not(feature = "pg15"))]
        let answer = pg_sys::object_aclcheck(pg_sys::TableSpaceRelationId, tablespace, role, create);
        #[cfg(feature = "pg15")]
        let answer = pg_sys::pg_tablespace_aclcheck(tablespace, role, create);
        answer
    };
    answer == pg_sys::AclResult::ACLCHECK_OK
}

/// The sequence of an identity column; InvalidOid if it has none.
///
/// # Safety
///
/// `table` must be a relation.
pub unsafe fn identity_sequence(table: pg_sys::Oid, column: pg_sys::AttrNumber) -> pg_sys::Oid {
    const MISSING_OK: bool = true;
    // SAFETY: by the contract; the relation is open while it is asked.
    unsafe {
        #[cfg(any(feature = "pg15", feature = "pg16"))]
        let sequence = pg_sys::getIdentitySequence(table, column, MISSING_OK);
        #[cfg(not(any(feature = "pg15", feature = "pg16")))]
        let sequence = {
            let relation = pg_sys::relation_open(table, pg_sys::AccessShareLock as c_int);
            let sequence = pg_sys::getIdentitySequence(relation, column, MISSING_OK);
            pg_sys::relation_close(relation, pg_sys::NoLock as c_int);
            sequence
        };
        sequence
    }
}

/// The schema of an extension; InvalidOid if there is no such extension.
///
/// PostgreSQL 15 has the function, but does not export it: its row of `pg_extension` is read here.
pub fn extension_schema(extension: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: takes any OID.
    #[cfg(not(feature = "pg15"))]
    let schema = unsafe { pg_sys::get_extension_schema(extension) };
    // SAFETY: the key is of the first column of pg_extension, an OID, and of its index; NULL stands for a snapshot of the catalogs as
    // they are now. A row begins with what FormData_pg_extension describes, and stays until the scan ends.
    #[cfg(feature = "pg15")]
    let schema = unsafe {
        const OID: pg_sys::AttrNumber = 1;
        let (equal, strategy) = (pg_sys::F_OIDEQ.into(), pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber);
        let mut key = pg_sys::ScanKeyData::default();
        pg_sys::ScanKeyInit(&raw mut key, OID, strategy, equal, extension.into());
        let (index, now) = (pg_sys::Oid::from(pg_sys::ExtensionOidIndexId), std::ptr::null_mut());
        let pg_extension = pg_sys::table_open(pg_sys::ExtensionRelationId, pg_sys::AccessShareLock as c_int);
        let scan = pg_sys::systable_beginscan(pg_extension, index, true, now, 1, &raw mut key);
        let row = pg_sys::systable_getnext(scan);
        let schema = if row.is_null() {
            pg_sys::InvalidOid
        } else {
            (*pg_sys::GETSTRUCT(row).cast::<pg_sys::FormData_pg_extension>()).extnamespace
        };
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(pg_extension, pg_sys::AccessShareLock as c_int);
        schema
    };
    schema
}
