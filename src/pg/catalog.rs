//! Look-ups in the system catalogs through PostgreSQL's caches, and locks on what they find.

use std::ffi::{CStr, c_char};

use pgrx::{IntoDatum, pg_sys};

use crate::pg::{major, unbound};

/// A relation that existed when it was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelationOid(pg_sys::Oid);

/// The table-level locks in use here; see "Explicit Locking" in PostgreSQL's manual.
#[derive(Clone, Copy, Debug)]
pub enum LockMode {
    /// Taken by INSERT, UPDATE and DELETE.
    RowExclusive,
    /// Taken by ATTACH PARTITION; conflicts with itself, not with readers and writers.
    ShareUpdateExclusive,
    /// Taken by REFRESH .. CONCURRENTLY; conflicts with all but plain readers.
    Exclusive,
    /// Taken by TRUNCATE; conflicts with everybody.
    AccessExclusive,
}

impl LockMode {
    /// As PostgreSQL's lock manager numbers it.
    pub fn level(self) -> pg_sys::LOCKMODE {
        let level = match self {
            Self::RowExclusive => pg_sys::RowExclusiveLock,
            Self::ShareUpdateExclusive => pg_sys::ShareUpdateExclusiveLock,
            Self::Exclusive => pg_sys::ExclusiveLock,
            Self::AccessExclusive => pg_sys::AccessExclusiveLock,
        };
        level as pg_sys::LOCKMODE
    }
}

impl RelationOid {
    /// The relation that a catalog names; `None` for 0, which stands for none.
    pub fn from_oid(oid: pg_sys::Oid) -> Option<Self> {
        (oid != pg_sys::InvalidOid).then_some(Self(oid))
    }

    /// The OID in `pg_class`.
    pub fn oid(self) -> pg_sys::Oid {
        self.0
    }

    /// Takes a lock that is kept until the transaction ends.
    pub fn lock(self, mode: LockMode) {
        // SAFETY: LockRelationOid takes any OID; it raises an error through pgrx's guard when it cannot have the lock.
        unsafe { pg_sys::LockRelationOid(self.0, mode.level()) }
    }

    /// Takes a lock, kept until the transaction ends, if nobody is in the way; so nobody waits behind us either.
    pub fn try_lock(self, mode: LockMode) -> bool {
        // SAFETY: takes any OID.
        unsafe { pg_sys::ConditionalLockRelationOid(self.0, mode.level()) }
    }

    /// Who owns the relation.
    pub fn owner(self) -> Option<pg_sys::Oid> {
        self.class(|class| class.relowner)
    }

    /// Whether the role may read the relation.
    pub fn may_be_read_by(self, role: pg_sys::Oid) -> bool {
        let select = pg_sys::AclMode::from(pg_sys::ACL_SELECT);
        // SAFETY: takes any OIDs, and answers no for a relation that has gone.
        unsafe {
            let mut missing = false;
            pg_sys::pg_class_aclcheck_ext(self.0, role, select, &raw mut missing) == pg_sys::AclResult::ACLCHECK_OK
        }
    }

    /// Raises PostgreSQL's own error if the current role may not read the relation.
    pub fn require_select(self) {
        // SAFETY: takes any OIDs; the name is NULL or a palloc'd string, which outlives the call.
        unsafe {
            let select = pg_sys::AclMode::from(pg_sys::ACL_SELECT);
            let answer = pg_sys::pg_class_aclcheck(self.0, pg_sys::GetUserId(), select);
            if answer != pg_sys::AclResult::ACLCHECK_OK {
                pg_sys::aclcheck_error(answer, pg_sys::ObjectType::OBJECT_TABLE, pg_sys::get_rel_name(self.0));
            }
        }
    }

    /// Whether policies decide which rows of the relation the role sees.
    pub fn has_policies_for(self, role: pg_sys::Oid) -> bool {
        // SAFETY: takes any OIDs, and answers RLS_NONE for one that is no relation; with noError it raises none.
        unsafe { pg_sys::check_enable_rls(self.0, role, true) == pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32 }
    }

    /// Whether it is a partitioned table.
    pub fn is_partitioned(self) -> bool {
        self.class(|class| class.relkind as u8 == pg_sys::RELKIND_PARTITIONED_TABLE).unwrap_or(false)
    }

    /// Whether a materialized view holds what its query gave at some time.
    pub fn is_populated(self) -> bool {
        self.class(|class| class.relispopulated).unwrap_or(false)
    }

    /// Reads the relation's row of `pg_class`; `None` if it has gone.
    fn class<R>(self, read: impl FnOnce(&pg_sys::FormData_pg_class) -> R) -> Option<R> {
        // SAFETY: the syscache returns NULL or a pg_class tuple that stays valid until it is released below, after
        // `read`, which cannot keep the reference.
        unsafe {
            let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::RELOID as i32, self.0.into());
            if tuple.is_null() {
                return None;
            }
            let value = read(&*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>());
            pg_sys::ReleaseSysCache(tuple);
            Some(value)
        }
    }
}

/// The relation of that name in that schema.
pub fn relation(schema: pg_sys::Oid, name: &CStr) -> Option<RelationOid> {
    // SAFETY: the name ends in NUL; the function only reads it.
    let oid = unsafe { pg_sys::get_relname_relid(name.as_ptr(), schema) };
    (oid != pg_sys::InvalidOid).then_some(RelationOid(oid))
}

/// The name of a relation; empty if it has gone.
pub fn relation_name(oid: pg_sys::Oid) -> String {
    // SAFETY: returns NULL or a palloc'd copy of the name.
    unsafe { copied(pg_sys::get_rel_name(oid)) }
}

/// The name of a relation with its schema, quoted.
pub fn qualified_name(oid: pg_sys::Oid) -> String {
    pgrx::spi::quote_qualified_identifier(schema_name(relation_schema(oid)), relation_name(oid))
}

/// The query of a view or materialized view. Names are qualified where the search_path does not lead to what they mean.
pub fn view_definition(view: RelationOid) -> Result<String, pgrx::spi::Error> {
    let query = format!("select pg_catalog.pg_get_viewdef({}::pg_catalog.oid)", view.oid().to_u32());
    let definition =
        pgrx::Spi::connect(|client| client.select(query.as_str(), Some(1), &[])?.first().get::<String>(1))?;
    Ok(definition.unwrap_or_default().trim_end_matches(';').to_owned())
}

/// The schema of a relation.
pub fn relation_schema(oid: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: takes any OID, and answers InvalidOid for one that is no relation.
    unsafe { pg_sys::get_rel_namespace(oid) }
}

/// The function of that name without arguments.
pub fn function(schema: pg_sys::Oid, name: &CStr) -> Option<pg_sys::Oid> {
    // SAFETY: the cache is asked by a C string, an oidvector of no entries, which is valid meanwhile, and an OID, as it is
    // keyed; it answers InvalidOid for what does not exist.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::PROCNAMEARGSNSP as i32;
        let none = pg_sys::buildoidvector(std::ptr::null(), 0);
        const OID: pg_sys::AttrNumber = 1;
        let oid = pg_sys::GetSysCacheOid(cache, OID, name.as_ptr().into(), none.into(), schema.into(), 0.into());
        (oid != pg_sys::InvalidOid).then_some(oid)
    }
}

/// The schema of a function.
pub fn function_schema(function: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: takes any OID, and answers InvalidOid for one that is no function.
    unsafe { pg_sys::get_func_namespace(function) }
}

/// The name of a schema; empty if it has gone.
pub fn schema_name(schema: pg_sys::Oid) -> String {
    // SAFETY: returns NULL or a palloc'd copy of the name.
    unsafe { copied(pg_sys::get_namespace_name(schema)) }
}

/// The role of that name.
pub fn role(name: &CStr) -> Option<pg_sys::Oid> {
    // SAFETY: the name ends in NUL; with missing_ok it answers InvalidOid instead of raising an error.
    let oid = unsafe { pg_sys::get_role_oid(name.as_ptr(), true) };
    (oid != pg_sys::InvalidOid).then_some(oid)
}

/// The name of a role; empty if it has gone.
pub fn role_name(role: pg_sys::Oid) -> String {
    // SAFETY: with noerr it answers NULL for an OID that is no role, and else a palloc'd copy of the name.
    unsafe { copied(pg_sys::GetUserNameFromId(role, true)) }
}

/// The table at the top, if the relation is a partition.
pub fn partition_root(relation: pg_sys::Oid) -> Option<pg_sys::Oid> {
    // SAFETY: the first takes any OID, and answers false for one that is no relation; the second is a function of SQL
    // with an argument of type oid and a result of type regclass.
    unsafe {
        if !is_partition(relation) {
            return None;
        }
        pgrx::direct_function_call(pg_sys::pg_partition_root, &[relation.into_datum()])
    }
}

/// The table and all of its partitions, at every level. No lock is taken.
pub fn with_partitions(table: RelationOid) -> Vec<RelationOid> {
    // SAFETY: the list is of OIDs, and is freed once it was copied.
    unsafe {
        let list = unbound::with_inheritors(table.oid());
        let count = list.as_ref().map_or(0, |list| usize::try_from(list.length).unwrap_or(0));
        let relations =
            (0..count).filter_map(|index| RelationOid::from_oid((*(*list).elements.add(index)).oid_value)).collect();
        pg_sys::list_free(list);
        relations
    }
}

/// Whether a role may do all that another may, being a member of it or a superuser.
pub fn has_rights_of(member: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    // SAFETY: takes any OIDs.
    unsafe { pg_sys::has_privs_of_role(member, role) }
}

/// Whether the role is a superuser.
pub fn is_superuser(role: pg_sys::Oid) -> bool {
    // SAFETY: takes any OID, and answers no for one that is no role.
    unsafe { pg_sys::superuser_arg(role) }
}

/// Whether the relation is a partition.
pub fn is_partition(relation: pg_sys::Oid) -> bool {
    // SAFETY: takes any OID, and answers false for one that is no relation.
    unsafe { pg_sys::get_rel_relispartition(relation) }
}

/// A column of a relation.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its number, from 1.
    pub number: pg_sys::AttrNumber,
    /// The OID of its type.
    pub of_type: pg_sys::Oid,
}

/// The column of that name.
pub fn column(relation: pg_sys::Oid, name: &CStr) -> Option<Column> {
    // SAFETY: the name ends in NUL; the functions take any OID, and answer 0 for what does not exist.
    unsafe {
        let number = pg_sys::get_attnum(relation, name.as_ptr());
        (number > 0).then(|| Column { number, of_type: pg_sys::get_atttype(relation, number) })
    }
}

/// The value of that label in an enum.
pub fn enum_label(of_type: pg_sys::Oid, label: &CStr) -> Option<pg_sys::Oid> {
    // SAFETY: the cache is asked by an OID and a C string, as it is keyed, and returns NULL or a tuple of pg_enum that
    // stays valid until it is released, after its OID was copied.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::ENUMTYPOIDNAME as i32;
        let tuple = pg_sys::SearchSysCache2(cache, of_type.into(), label.as_ptr().into());
        if tuple.is_null() {
            return None;
        }
        let oid = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_enum>()).oid;
        pg_sys::ReleaseSysCache(tuple);
        Some(oid)
    }
}

/// Whether the relation got its present file in this transaction. Then TRUNCATE may empty that file in place.
pub fn has_new_file(relation: pg_sys::Oid) -> bool {
    const INVALID_SUBTRANSACTION: pg_sys::SubTransactionId = 0;
    // SAFETY: AccessShareLock is the weakest lock under which a relation may be opened; try_relation_open answers NULL
    // for one that has gone, and what is read is copied before it is closed.
    unsafe {
        let relation = pg_sys::try_relation_open(relation, pg_sys::AccessShareLock as i32);
        if relation.is_null() {
            return true;
        }
        let new = (*relation).rd_createSubid != INVALID_SUBTRANSACTION
            || major::first_file_subid(relation) != INVALID_SUBTRANSACTION;
        pg_sys::relation_close(relation, pg_sys::NoLock as i32);
        new
    }
}

/// The schema of the extension, if it is installed in this database.
pub fn extension_schema() -> Option<pg_sys::Oid> {
    let extension = extension();
    if extension == pg_sys::InvalidOid {
        return None;
    }
    let schema = major::extension_schema(extension);
    (schema != pg_sys::InvalidOid).then_some(schema)
}

fn extension() -> pg_sys::Oid {
    // SAFETY: the name ends in NUL; with missing_ok it answers InvalidOid instead of raising an error.
    unsafe { pg_sys::get_extension_oid(c"operations_ext".as_ptr(), true) }
}

/// Whether the extension owns the function.
pub fn is_our_function(function: pg_sys::Oid) -> bool {
    let extension = extension();
    // SAFETY: reads pg_depend, for any OIDs.
    extension != pg_sys::InvalidOid
        && unsafe { pg_sys::getExtensionOfObject(pg_sys::ProcedureRelationId, function) } == extension
}

/// Takes a lock on the extension itself, kept until the transaction ends, so that set-ups run one after the other.
pub fn lock_extension() {
    const FIRST_SUBOBJECT: u16 = 0;
    let mode = LockMode::ShareUpdateExclusive.level();
    // SAFETY: LockDatabaseObject takes any OID.
    unsafe { pg_sys::LockDatabaseObject(pg_sys::ExtensionRelationId, extension(), FIRST_SUBOBJECT, mode) }
}

/// Copies and frees a palloc'd string.
///
/// # Safety
///
/// `string` must be NULL or a palloc'd string that ends in NUL and that nobody else uses.
pub(super) unsafe fn copied(string: *mut c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: by the contract of this function.
    unsafe {
        let copy = CStr::from_ptr(string).to_string_lossy().into_owned();
        pg_sys::pfree(string.cast());
        copy
    }
}
