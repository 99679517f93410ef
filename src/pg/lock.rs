//! Locks that are held.

use std::ffi::CString;
use std::panic::AssertUnwindSafe;
use std::ptr;
use std::time::Duration;

use pgrx::{PgSqlErrorCode, PgTryBuilder, pg_sys};

use crate::pg::catalog::{LockMode, RelationOid};
use crate::pg::session::{self, Settings};

/// A relation that this transaction has locked against everybody else (ACCESS EXCLUSIVE).
///
/// The lock is held until the (sub)transaction ends, and so for longer than the call of a procedure that took it.
#[derive(Clone, Copy, Debug)]
pub struct Exclusive(RelationOid);

impl Exclusive {
    /// Waits for the lock.
    pub fn take(relation: RelationOid) -> Self {
        relation.lock(LockMode::AccessExclusive);
        Self(relation)
    }

    /// Takes the locks on all of them if nobody is in the way, or none; so nobody waits behind us either.
    ///
    /// A replica is told of each such lock, and gives it back when the (sub)transaction ends that took it. So the locks are
    /// looked at first, and taken in a subtransaction, which is rolled back if somebody was faster.
    pub fn try_take_all(relations: &[RelationOid]) -> Option<Vec<Self>> {
        if relations.iter().any(|relation| is_locked_by_others(*relation)) {
            return None;
        }
        let attempt = Subtransaction::begin();
        let all_taken = relations.iter().all(|relation| relation.try_lock(LockMode::AccessExclusive));
        attempt.end(all_taken);
        all_taken.then(|| relations.iter().copied().map(Self).collect())
    }

    /// What is locked.
    pub fn relation(self) -> RelationOid {
        self.0
    }
}

/// Waits for a lock, kept until the transaction ends, for so long at most; autovacuum makes way meanwhile. `false` if it was not
/// to be had in that time, or if who holds it waits for us.
pub fn take_within(relation: RelationOid, mode: LockMode, within: Duration) -> bool {
    let timeout = CString::new(within.as_millis().to_string()).unwrap_or_default();
    let attempt = Subtransaction::begin();
    let settings = Settings::set(&[(c"lock_timeout", &timeout)]);
    let taken = PgTryBuilder::new(AssertUnwindSafe(|| {
        relation.lock(mode);
        true
    }))
    .catch_when(PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE, |_| false)
    .catch_when(PgSqlErrorCode::ERRCODE_T_R_DEADLOCK_DETECTED, |_| false)
    .execute();
    drop(settings);
    attempt.end(taken);
    taken
}

/// A relation whose rows nobody but this transaction changes (EXCLUSIVE); others may read it.
///
/// The lock is held as long as that of [`Exclusive`].
#[derive(Clone, Copy, Debug)]
pub struct Writable(RelationOid);

impl Writable {
    /// Waits for the lock.
    pub fn take(relation: RelationOid) -> Self {
        relation.lock(LockMode::Exclusive);
        Self(relation)
    }

    /// What is locked.
    pub fn relation(self) -> RelationOid {
        self.0
    }
}

/// Whether another session holds a lock on the relation that is in the way of ours.
fn is_locked_by_others(relation: RelationOid) -> bool {
    let tag = pg_sys::LOCKTAG {
        locktag_field1: session::database().to_u32(),
        locktag_field2: relation.oid().to_u32(),
        locktag_field3: 0,
        locktag_field4: 0,
        locktag_type: pg_sys::LockTagType::LOCKTAG_RELATION as u8,
        locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
    };
    let mut count = 0;
    // SAFETY: the tag is that of a relation of this database, and lives through the call. The answer is allocated for its caller.
    unsafe {
        let holders = pg_sys::GetLockConflicts(&raw const tag, LockMode::AccessExclusive.level(), &raw mut count);
        pg_sys::pfree(holders.cast());
    }
    count > 0
}

/// A subtransaction of our own, as PL/pgSQL has one for a block that catches errors.
struct Subtransaction {
    memory: pg_sys::MemoryContext,
    resources: pg_sys::ResourceOwner,
}

impl Subtransaction {
    fn begin() -> Self {
        // SAFETY: `end` ends it, or the abort of the transaction. It has no name.
        unsafe {
            let (memory, resources) = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
            pg_sys::BeginInternalSubTransaction(ptr::null());
            pg_sys::CurrentMemoryContext = memory;
            Self { memory, resources }
        }
    }

    fn end(self, keep: bool) {
        // SAFETY: ends what `begin` began, in which nothing else was begun, and gives back what was current before.
        unsafe {
            if keep {
                pg_sys::ReleaseCurrentSubTransaction();
            } else {
                pg_sys::RollbackAndReleaseCurrentSubTransaction();
            }
            pg_sys::CurrentMemoryContext = self.memory;
            pg_sys::CurrentResourceOwner = self.resources;
        }
    }
}
