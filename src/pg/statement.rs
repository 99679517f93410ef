//! What the session's transaction consists of.

use std::ffi::CStr;

use pgrx::{PgList, pg_sys};

use crate::pg::catalog;

/// Whether nothing of the caller's ran in the transaction before what runs now: it is a job of our worker, or the call of a procedure
/// of this extension that a client has sent alone, with arguments that nothing had to be evaluated for.
pub fn is_alone() -> bool {
    // SAFETY: the arguments of a call that was analysed are nodes, and valid while it runs.
    unsafe {
        let is_given = |argument| is_value(argument) || is_integer_as_bigint(argument);
        is_job()
            || only_call()
                .is_some_and(|function| PgList::<pg_sys::Node>::from_pg(function.args).iter_ptr().all(is_given))
    }
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

/// Whether nothing has to be evaluated for the expression.
///
/// # Safety
///
/// It must be a node.
unsafe fn is_value(node: *mut pg_sys::Node) -> bool {
    // SAFETY: by the contract; each node begins with its tag.
    unsafe { matches!((*node).type_, pg_sys::NodeTag::T_Const | pg_sys::NodeTag::T_Param) }
}

/// Whether it is an integer where a bigint is asked for: PostgreSQL calls a function of its own, which has no side effect.
///
/// # Safety
///
/// It must be a node of a statement that was analysed.
unsafe fn is_integer_as_bigint(node: *mut pg_sys::Node) -> bool {
    // SAFETY: by the contract; what a node is its tag says, and the arguments of a call are nodes.
    unsafe {
        (*node).type_ == pg_sys::NodeTag::T_FuncExpr && {
            let call = node.cast::<pg_sys::FuncExpr>();
            (*call).funcid == pg_sys::Oid::from(pg_sys::F_INT8_INT4)
                && PgList::<pg_sys::Node>::from_pg((*call).args).iter_ptr().all(|argument| is_value(argument))
        }
    }
}
