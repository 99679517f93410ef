//! The rules of views.

use pgrx::pg_sys;

/// Gives a query that was analysed the form that the rule of a view has it in. Up to PostgreSQL 15 the range table of a rule begins with
/// two entries for the view itself, OLD and NEW, which the query does not use: here they are those of `rule`, if it is of that view.
///
/// # Safety
///
/// `query` must be a query no part of which has two parents, and `rule` one of a rule.
#[cfg_attr(not(feature = "pg15"), expect(unused_variables, reason = "it has that form"))]
pub unsafe fn as_view_rule(query: *mut pg_sys::Query, rule: *const pg_sys::Query, view: pg_sys::Oid) {
    // SAFETY: by the contract. A range table is NULL or a list of range table entries.
    #[cfg(feature = "pg15")]
    unsafe {
        const OWN_ENTRIES: i32 = 2;
        let entries = (*rule).rtable;
        let Some(2..) = entries.as_ref().map(|entries| entries.length) else { return };
        let [old, new] = [0, 1].map(|index| (*(*entries).elements.add(index)).ptr_value);
        let is_own = |entry: *mut std::ffi::c_void| {
            let entry = &*entry.cast::<pg_sys::RangeTblEntry>();
            entry.rtekind == pg_sys::RTEKind::RTE_RELATION && entry.relid == view
        };
        if is_own(old) && is_own(new) {
            (*query).rtable = pg_sys::lcons(old, pg_sys::lcons(new, (*query).rtable));
            pg_sys::OffsetVarNodes(query.cast(), OWN_ENTRIES, 0);
        }
    }
}
