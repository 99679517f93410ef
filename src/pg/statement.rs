//! What the session's transaction consists of.

use std::ffi::CStr;

use pgrx::{PgList, pg_sys};

use crate::pg::catalog;

/// Whether nothing of the caller's ran in the transaction before what runs now: it is a job of our worker, or the call of a procedure
/// of this extension that a client has sent alone, with arguments that nothing had to be evaluated for.
pub fn is_alone() -> bool {
    // SAFETY: reads the session's state. The portal that runs is valid while it does, and so are the statement in it and the
    // arguments of that; what a node is its tag says.
    unsafe {
        if let Some(worker) = pg_sys::MyBgworkerEntry.as_ref() {
            return CStr::from_ptr(worker.bgw_library_name.as_ptr()) == c"operations_ext";
        }
        if pg_sys::MyBackendType != pg_sys::BackendType::B_BACKEND || pg_sys::IsInTransactionBlock(true) {
            return false;
        }
        let Some(portal) = pg_sys::ActivePortal.as_ref() else { return false };
        let statements = PgList::<pg_sys::PlannedStmt>::from_pg(portal.stmts);
        let [Some(statement), None] = [statements.get_ptr(0), statements.get_ptr(1)] else { return false };
        let utility = (*statement).utilityStmt;
        if utility.is_null() || (*utility).type_ != pg_sys::NodeTag::T_CallStmt {
            return false;
        }
        let Some(function) = (*utility.cast::<pg_sys::CallStmt>()).funcexpr.as_ref() else { return false };
        let is_given = |argument: *mut pg_sys::Node| {
            matches!((*argument).type_, pg_sys::NodeTag::T_Const | pg_sys::NodeTag::T_Param)
        };
        catalog::is_our_function(function.funcid)
            && PgList::<pg_sys::Node>::from_pg(function.args).iter_ptr().all(is_given)
    }
}
