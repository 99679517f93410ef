//! Locks that are held.

use crate::pg::catalog::{LockMode, RelationOid};

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

    /// Takes the lock if nobody is in the way; so nobody waits behind us either.
    pub fn try_take(relation: RelationOid) -> Option<Self> {
        relation.try_lock(LockMode::AccessExclusive).then_some(Self(relation))
    }

    /// What is locked.
    pub fn relation(self) -> RelationOid {
        self.0
    }
}
