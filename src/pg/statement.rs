//! What the session's transaction consists of.

use std::ffi::CStr;

use pgrx::{PgList, pg_sys};

use crate::pg::catalog;

/// Whether nothing of the caller's ran in the transaction before what runs now: it is a job of our worker, or the call of a procedure
/// of this extension that a client has sent alone, as a simple query, with constants as arguments.
pub fn is_alone() -> bool {
    is_job() || only_call().is_some_and(|function| is_simple_query() && has_constants(function))
}

/// The same, whatever the arguments were.
pub fn is_only_call() -> bool {
    is_job() || only_call().is_some()
}

fn is_job() -> bool {
    // SAFETY: reads the session's state, and a name in it that ends in NUL.
    unsafe {
        let worker = pg_sys::MyBgworkerEntry.as_ref();
        worker.is_some_and(|worker| CStr::from_ptr(worker.bgw_library_name.as_ptr()) == c"operations_ext")
    }
}

/// The call of a procedure of this extension, if a client has sent it alone and it runs now.
fn only_call<'a>() -> Option<&'a pg_sys::FuncExpr> {
    // SAFETY: reads the session's state. The portal that runs is valid while it does, and so is the statement in it; what a node is its
    // tag says.
    unsafe {
        if pg_sys::MyBackendType != pg_sys::BackendType::B_BACKEND || pg_sys::IsInTransactionBlock(true) {
            return None;
        }
        let statements = PgList::<pg_sys::PlannedStmt>::from_pg(pg_sys::ActivePortal.as_ref()?.stmts);
        let [Some(statement), None] = [statements.get_ptr(0), statements.get_ptr(1)] else { return None };
        let utility = (*statement).utilityStmt;
        if utility.is_null() || (*utility).type_ != pg_sys::NodeTag::T_CallStmt {
            return None;
        }
        let function = (*utility.cast::<pg_sys::CallStmt>()).funcexpr.as_ref()?;
        catalog::is_our_function(function.funcid).then_some(function)
    }
}

/// Whether the transaction began with the message of the simple protocol that runs now. What Parse and Bind of the extended protocol
/// run, functions in a statement that is planned and checks of the domains of parameters, leaves no other trace: the transaction has
/// begun before.
fn is_simple_query() -> bool {
    // SAFETY: reads the session's state. A portal with a plan of the cache was bound by the extended protocol.
    unsafe {
        pg_sys::ActivePortal.as_ref().is_some_and(|portal| portal.cplan.is_null())
            && pg_sys::GetCurrentTransactionStartTimestamp() == pg_sys::GetCurrentStatementStartTimestamp()
    }
}

/// Whether nothing has to be evaluated for the arguments. Of an integer where a bigint is asked for PostgreSQL makes one by a function of its own.
fn has_constants(function: &pg_sys::FuncExpr) -> bool {
    // SAFETY: the arguments of a call that was analysed are nodes, and valid while it runs; what a node is its tag says.
    unsafe {
        let is_constant = |node: *mut pg_sys::Node| (*node).type_ == pg_sys::NodeTag::T_Const;
        let is_given = |node: *mut pg_sys::Node| {
            is_constant(node)
                || ((*node).type_ == pg_sys::NodeTag::T_FuncExpr && {
                    let call = node.cast::<pg_sys::FuncExpr>();
                    (*call).funcid == pg_sys::Oid::from(pg_sys::F_INT8_INT4)
                        && PgList::<pg_sys::Node>::from_pg((*call).args).iter_ptr().all(is_constant)
                })
        };
        PgList::<pg_sys::Node>::from_pg(function.args).iter_ptr().all(is_given)
    }
}
