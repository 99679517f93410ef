//! The files of relations. PostgreSQL 16 calls relfilenumber, or relfilelocator with where it is, what 15 calls relfilenode.

use std::ffi::{CStr, c_char};

use pgrx::pg_sys;
#[cfg(not(feature = "pg15"))]
pub use pgrx::pg_sys::RelFileLocator;
#[cfg(feature = "pg15")]
pub use pgrx::pg_sys::RelFileNode as RelFileLocator;

/// As the files of relations are named that do not belong to one session: InvalidBackendId, or INVALID_PROC_NUMBER.
const NO_BACKEND: std::ffi::c_int = -1;

/// What names the files of a relation.
pub fn locator_of(tablespace: pg_sys::Oid, database: pg_sys::Oid, number: pg_sys::Oid) -> RelFileLocator {
    #[cfg(not(feature = "pg15"))]
    let locator = RelFileLocator { spcOid: tablespace, dbOid: database, relNumber: number };
    #[cfg(feature = "pg15")]
    let locator = RelFileLocator { spcNode: tablespace, dbNode: database, relNode: number };
    locator
}

/// Tablespace, database and number.
pub fn numbers_of(file: &RelFileLocator) -> [pg_sys::Oid; 3] {
    #[cfg(not(feature = "pg15"))]
    let numbers = [file.spcOid, file.dbOid, file.relNumber];
    #[cfg(feature = "pg15")]
    let numbers = [file.spcNode, file.dbNode, file.relNode];
    numbers
}

/// What names the files of a relation, in the relation cache.
///
/// # Safety
///
/// The relation must be open.
pub unsafe fn locator(relation: pg_sys::Relation) -> *mut RelFileLocator {
    // SAFETY: by the contract.
    unsafe {
        #[cfg(not(feature = "pg15"))]
        let locator = &raw mut (*relation).rd_locator;
        #[cfg(feature = "pg15")]
        let locator = &raw mut (*relation).rd_node;
        locator
    }
}

/// The path of the first file of a fork of a logged relation, from the data directory.
pub fn path(file: &RelFileLocator, fork: pg_sys::ForkNumber::Type) -> String {
    let [tablespace, database, number] = numbers_of(file);
    // SAFETY: the path is a string that ends with a zero byte; before PostgreSQL 18, its caller's to free.
    unsafe {
        let path = pg_sys::GetRelationPath(database, tablespace, number, NO_BACKEND, fork);
        #[cfg(feature = "pg18")]
        return CStr::from_ptr(path.str_.as_ptr()).to_string_lossy().into_owned();
        #[cfg(not(feature = "pg18"))]
        {
            let text = CStr::from_ptr(path).to_string_lossy().into_owned();
            pg_sys::pfree(path.cast());
            text
        }
    }
}

/// The subtransaction that gave the relation the first new file of this transaction; 0 stands for none.
///
/// # Safety
///
/// The relation must be open.
pub unsafe fn first_file_subid(relation: pg_sys::Relation) -> pg_sys::SubTransactionId {
    // SAFETY: by the contract.
    unsafe {
        #[cfg(not(feature = "pg15"))]
        let subid = (*relation).rd_firstRelfilelocatorSubid;
        #[cfg(feature = "pg15")]
        let subid = (*relation).rd_firstRelfilenodeSubid;
        subid
    }
}

/// Marks that the one has what was the other's file: in which subtransactions that was made.
///
/// # Safety
///
/// The relations must be open.
pub unsafe fn copy_file_marks(from: pg_sys::Relation, to: pg_sys::Relation) {
    // SAFETY: by the contract.
    unsafe {
        (*to).rd_createSubid = (*from).rd_createSubid;
        #[cfg(not(feature = "pg15"))]
        {
            (*to).rd_newRelfilelocatorSubid = (*from).rd_newRelfilelocatorSubid;
            (*to).rd_firstRelfilelocatorSubid = (*from).rd_firstRelfilelocatorSubid;
        }
        #[cfg(feature = "pg15")]
        {
            (*to).rd_newRelfilenodeSubid = (*from).rd_newRelfilenodeSubid;
            (*to).rd_firstRelfilenodeSubid = (*from).rd_firstRelfilenodeSubid;
        }
    }
}

/// Marks that the relation has a file of the current subtransaction, and has the end of that remove the mark.
///
/// # Safety
///
/// The relation must be open.
pub unsafe fn assume_new_file(relation: pg_sys::Relation) {
    // SAFETY: by the contract.
    unsafe {
        #[cfg(not(feature = "pg15"))]
        pg_sys::RelationAssumeNewRelfilelocator(relation);
        #[cfg(feature = "pg15")]
        pg_sys::RelationAssumeNewRelfilenode(relation);
    }
}

/// Gives a relation a new, empty file.
///
/// # Safety
///
/// The relation must be open, locked exclusively, and not in use.
pub unsafe fn set_new_file(relation: pg_sys::Relation, persistence: c_char) {
    // SAFETY: by the contract.
    unsafe {
        #[cfg(not(feature = "pg15"))]
        pg_sys::RelationSetNewRelfilenumber(relation, persistence);
        #[cfg(feature = "pg15")]
        pg_sys::RelationSetNewRelfilenode(relation, persistence);
    }
}

/// Has the session forget the open files of relations whose numbers were exchanged. Up to PostgreSQL 16, the one that is
/// invalidated last would hold on to a file that is closed. Since 17 nothing is to be done.
#[cfg_attr(not(any(feature = "pg15", feature = "pg16")), expect(unused_variables, reason = "nothing is to be done"))]
pub fn close_files(relations: [pg_sys::Oid; 2]) {
    #[cfg(any(feature = "pg15", feature = "pg16"))]
    for relation in relations {
        // SAFETY: takes any OID.
        unsafe { pg_sys::RelationCloseSmgrByOid(relation) };
    }
}

/// Has what stands for a relation hold no files open. Since PostgreSQL 17 CreateFakeRelcacheEntry makes it with a reference that is
/// not counted, which whoever closes them would count down.
///
/// # Safety
///
/// The relation must be what CreateFakeRelcacheEntry made.
#[cfg_attr(any(feature = "pg15", feature = "pg16"), expect(unused_variables, reason = "it has none"))]
pub unsafe fn forget_files(relation: pg_sys::Relation) {
    // SAFETY: by the contract.
    #[cfg(not(any(feature = "pg15", feature = "pg16")))]
    unsafe {
        (&raw mut (*relation).rd_smgr).write(std::ptr::null_mut());
    }
}

/// Exchanges how many pages of the two are known to hold nothing but frozen rows, which PostgreSQL 18 keeps in pg_class.
#[cfg_attr(not(feature = "pg18"), expect(unused_variables, reason = "there is no such column"))]
pub fn swap_all_frozen(class: &mut pg_sys::FormData_pg_class, other: &mut pg_sys::FormData_pg_class) {
    #[cfg(feature = "pg18")]
    std::mem::swap(&mut class.relallfrozen, &mut other.relallfrozen);
}

/// Adds empty pages to the end of a relation, as many as there is room for buffers, or fewer. Answers the number of the first and
/// how many there are; their buffers are pinned, and not locked: others may find the pages, and use them.
///
/// PostgreSQL 15 adds one page at a time: what ReadBuffer does for P_NEW, under the lock that hio.c takes for it.
///
/// # Safety
///
/// The relation must be open and locked for writing, there must be room for a buffer at least, and the strategy be valid or NULL.
pub unsafe fn extend(
    relation: pg_sys::Relation,
    strategy: pg_sys::BufferAccessStrategy,
    buffers: &mut [pg_sys::Buffer],
) -> (pg_sys::BlockNumber, usize) {
    let fork = pg_sys::ForkNumber::MAIN_FORKNUM;
    // SAFETY: by the contract. There is room for as many buffers as are asked for. An error gives lock and pins back through the abort of
    // the transaction.
    unsafe {
        #[cfg(not(feature = "pg15"))]
        {
            let manager = pg_sys::BufferManagerRelation { rel: relation, ..Default::default() };
            let mut count = 0;
            let (wanted, buffers) = (buffers.len() as u32, buffers.as_mut_ptr());
            let first = pg_sys::ExtendBufferedRelBy(manager, fork, strategy, 0, wanted, buffers, &raw mut count);
            (first, count as usize)
        }
        #[cfg(feature = "pg15")]
        {
            let lock = pg_sys::ExclusiveLock as pg_sys::LOCKMODE;
            let mode = pg_sys::ReadBufferMode::RBM_NORMAL;
            pg_sys::LockRelationForExtension(relation, lock);
            for buffer in &mut *buffers {
                *buffer = pg_sys::ReadBufferExtended(relation, fork, pg_sys::InvalidBlockNumber, mode, strategy);
            }
            pg_sys::UnlockRelationForExtension(relation, lock);
            let first = buffers.first().map_or(0, |buffer| pg_sys::BufferGetBlockNumber(*buffer));
            (first, buffers.len())
        }
    }
}
