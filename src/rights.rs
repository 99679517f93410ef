//! Acting for the owner of a table, where nobody with fewer rights has a part in it.
//!
//! Whoever plans a statement over a partition evaluates what is constant in its checks, index expressions and statistics, and
//! ATTACH evaluates the checks of a DEFAULT partition. All of that the partition's owner supplies.

use pgrx::pg_sys;

use crate::citus;
use crate::error::Error;
use crate::pg::catalog::{self, RelationOid};
use crate::pg::session::{self, ActingAs, Settings};

/// The rights of a table's owner, held until the value is dropped or the (sub)transaction is aborted.
#[derive(Debug)]
#[must_use]
pub struct AsOwner {
    // In the order in which they are given back.
    _role: ActingAs,
    _settings: Option<Settings>,
}

/// Takes on the rights of the table's owner.
///
/// # Errors
///
/// [`Error::ForeignPartition`], as [`require_trusted`]; [`Error::NotAlone`] on a table of Citus.
pub fn act_as_owner(table: RelationOid) -> Result<Option<AsOwner>, Error> {
    let Some(owner) = table.owner() else { return Ok(None) };
    require_trusted(table, owner)?;
    citus::sharded::require_may_act_as_owner_of(table, owner)?;
    if session::current_user() == owner {
        return Ok(Some(AsOwner { _role: ActingAs::role(owner), _settings: None }));
    }
    // The tablespace that the session prefers is the caller's choice: the owner's right to it is not.
    let settings = (!session::may_use_default_tablespace()).then(|| Settings::set(&[(c"default_tablespace", c"")]));
    // Nor is the session the owner's: what is evaluated of the table's may leave nothing there to run with the caller's rights.
    Ok(Some(AsOwner { _role: ActingAs::restricted(owner), _settings: settings }))
}

/// Asks that whoever owns the table, or a partition of it, has the rights of the role that somebody else is about to take on. A
/// caller who has that role gains nothing by it.
///
/// # Errors
///
/// [`Error::ForeignPartition`] if an owner has not.
pub fn require_trusted(table: RelationOid, role: pg_sys::Oid) -> Result<(), Error> {
    if session::current_user() == role {
        return Ok(());
    }
    require_owners_with_rights_of(table, role)
}

/// Asks that the owner of a relation has the rights of a role, whoever calls: the functions of a view are called as its reader.
///
/// # Errors
///
/// [`Error::ForeignPartition`] if the owner has not.
pub fn require_owner_with_rights_of(relation: RelationOid, role: pg_sys::Oid) -> Result<(), Error> {
    match relation.owner() {
        Some(owner) if !catalog::has_rights_of(owner, role) => Err(Error::ForeignPartition {
            relation: catalog::relation_name(relation.oid()),
            owner: catalog::role_name(owner),
            role: catalog::role_name(role),
        }),
        _ => Ok(()),
    }
}

/// As [`require_trusted`], whoever calls.
///
/// # Errors
///
/// [`Error::ForeignPartition`]
pub fn require_owners_with_rights_of(table: RelationOid, role: pg_sys::Oid) -> Result<(), Error> {
    catalog::with_partitions(table).into_iter().try_for_each(|relation| require_owner_with_rights_of(relation, role))
}
