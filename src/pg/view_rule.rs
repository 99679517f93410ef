//! What a view reads, by its rule in the relation cache.

use pgrx::pg_sys;

use crate::pg::catalog::RelationOid;

/// The partitioned table that a view reads, in itself or in a query below it; none, if it reads none.
pub fn partitioned_table_of(view: RelationOid) -> Option<RelationOid> {
    // SAFETY: AccessShareLock is the weakest lock under which a relation may be opened; try_relation_open answers NULL for
    // one that has gone. rd_rules is NULL or has numLocks rules, whose actions are lists of queries; all of it stays while
    // the relation is open.
    unsafe {
        let relation = pg_sys::try_relation_open(view.oid(), pg_sys::AccessShareLock as i32);
        if relation.is_null() {
            return None;
        }
        let mut found = None;
        if let Some(rules) = (*relation).rd_rules.as_ref() {
            for index in 0..usize::try_from(rules.numLocks).unwrap_or(0) {
                let rule = &**rules.rules.add(index);
                if rule.event == pg_sys::CmdType::CMD_SELECT {
                    found = found.or(items(rule.actions).find_map(|action| table_of(action.cast())));
                }
            }
        }
        pg_sys::relation_close(relation, pg_sys::NoLock as i32);
        found.and_then(RelationOid::from_oid)
    }
}

/// # Safety
///
/// `query` must be a query as a rule has it.
unsafe fn table_of(query: *const pg_sys::Query) -> Option<pg_sys::Oid> {
    // SAFETY: by the contract. The range table is a list of range table entries, the list of WITH one of its entries, whose
    // query is one, too, once it was parsed.
    unsafe {
        let direct = items((*query).rtable).find_map(|entry| {
            let entry = &*entry.cast::<pg_sys::RangeTblEntry>();
            match entry.rtekind {
                pg_sys::RTEKind::RTE_RELATION if entry.relkind as u8 == pg_sys::RELKIND_PARTITIONED_TABLE => {
                    Some(entry.relid)
                }
                pg_sys::RTEKind::RTE_SUBQUERY if !entry.subquery.is_null() => table_of(entry.subquery),
                _ => None,
            }
        });
        direct.or_else(|| {
            items((*query).cteList).find_map(|with| {
                let query = (*with.cast::<pg_sys::CommonTableExpr>()).ctequery;
                if query.is_null() || (*query).type_ != pg_sys::NodeTag::T_Query {
                    None
                } else {
                    table_of(query.cast())
                }
            })
        })
    }
}

/// # Safety
///
/// `list` must be NULL or a list of pointers, and stay as it is meanwhile.
unsafe fn items(list: *const pg_sys::List) -> impl Iterator<Item = *mut std::ffi::c_void> {
    // SAFETY: by the contract; a list has `length` elements one after the other.
    let length = unsafe { list.as_ref() }.map_or(0, |list| usize::try_from(list.length).unwrap_or(0));
    // SAFETY: as above.
    (0..length).map(move |index| unsafe { (*(*list).elements.add(index)).ptr_value })
}
