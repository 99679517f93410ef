//! What a view reads, by its rule in the relation cache.

use std::ffi::CString;
use std::ptr;

use pgrx::pg_sys;

use crate::pg::catalog::RelationOid;
use crate::pg::{major, unbound};

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
        let found = queries_of(relation).find_map(|query| table_of(query));
        pg_sys::relation_close(relation, pg_sys::NoLock as i32);
        found.and_then(RelationOid::from_oid)
    }
}

/// Whether a view, or materialized view, is what the first statement of `file` creates, and reads as its owner.
///
/// What the statement names must be there.
pub fn is_made_by(view: RelationOid, file: &str) -> bool {
    let Ok(file) = CString::new(file) else { return false };
    // SAFETY: as above. A statement that was parsed is of the node type that it says. It is analysed as PostgreSQL does to make
    // the view; `equal` compares trees of any shape, and leaves out where in the text of the statement something stood.
    unsafe {
        let statement = items(pg_sys::pg_parse_query(file.as_ptr())).next();
        let Some(statement) = statement.map(|raw| (*raw.cast::<pg_sys::RawStmt>()).stmt) else { return false };
        let query = match (*statement).type_ {
            pg_sys::NodeTag::T_ViewStmt => (*statement.cast::<pg_sys::ViewStmt>()).query,
            pg_sys::NodeTag::T_CreateTableAsStmt => (*statement.cast::<pg_sys::CreateTableAsStmt>()).query,
            _ => return false,
        };
        let raw = pg_sys::palloc0(size_of::<pg_sys::RawStmt>()).cast::<pg_sys::RawStmt>();
        (*raw).type_ = pg_sys::NodeTag::T_RawStmt;
        (*raw).stmt = query;
        let expected = pg_sys::parse_analyze_fixedparams(raw, file.as_ptr(), ptr::null(), 0, ptr::null_mut());
        let relation = pg_sys::try_relation_open(view.oid(), pg_sys::AccessShareLock as i32);
        if relation.is_null() {
            return false;
        }
        unbound::set_reader(expected, (*(*relation).rd_rel).relowner);
        // As it would be stored: not all that analysis leaves in a query is.
        let expected: *mut std::ffi::c_void = pg_sys::stringToNode(pg_sys::nodeToString(expected.cast()));
        let expected = expected.cast::<pg_sys::Query>();
        let mut queries = queries_of(relation);
        let is_same = queries.next().is_some_and(|query| {
            // `equal` does not leave this one out.
            (*expected).stmt_len = (*query).stmt_len;
            major::as_view_rule(expected, query, view.oid());
            pg_sys::equal(query.cast(), expected.cast())
        });
        let is_alone = queries.next().is_none();
        pg_sys::relation_close(relation, pg_sys::NoLock as i32);
        is_same && is_alone
    }
}

/// The queries of a view's rules.
///
/// # Safety
///
/// `relation` must be open, for as long as the queries are used.
unsafe fn queries_of(relation: pg_sys::Relation) -> impl Iterator<Item = *const pg_sys::Query> {
    // SAFETY: by the contract. rd_rules is NULL or has numLocks rules, whose actions are lists of queries.
    unsafe {
        let rules = (*relation).rd_rules;
        let count = rules.as_ref().map_or(0, |rules| usize::try_from(rules.numLocks).unwrap_or(0));
        (0..count)
            .map(move |index| &**(*rules).rules.add(index))
            .filter(|rule| rule.event == pg_sys::CmdType::CMD_SELECT)
            .flat_map(|rule| items(rule.actions))
            .map(|action| action.cast_const().cast::<pg_sys::Query>())
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
