//! The conditions (WHEN) of the triggers that count changes, as PostgreSQL keeps them: parsed, with columns by number.
#![expect(unsafe_code, reason = "it compares trees of PostgreSQL's parser")]

use std::ffi::{c_char, c_int, c_void};

use pgrx::pg_sys;

/// The status of operations that are done.
pub const DONE: i16 = 1;

/// The numbers that a trigger's condition knows the rows by.
const OLD: c_int = 1;
const NEW: c_int = 2;

/// `smallint = integer` of pg_catalog.
const INT2_EQUALS_INT4: pg_sys::Oid = pg_sys::Oid::from_u32(532);

/// The rows of which one must be done for a trigger to fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `new.status = 1`
    New,
    /// `old.status = 1`
    Old,
    /// `old.status = 1 or new.status = 1`
    Either,
}

/// Whether the condition says just that of the column `status`.
///
/// # Safety
///
/// `condition` must be NULL or the condition of a trigger as the relation cache has it.
pub unsafe fn is(condition: *const c_char, expected: Condition, status: pg_sys::AttrNumber) -> bool {
    if condition.is_null() {
        return false;
    }
    // SAFETY: by the contract, the text is that of a node tree. What is made lives in the memory context of the moment;
    // `equal` compares trees of any shape, and leaves out where in the text of the statement something stood.
    unsafe {
        let expected = match expected {
            Condition::New => is_done(NEW, status),
            Condition::Old => is_done(OLD, status),
            Condition::Either => {
                let both = [is_done(OLD, status), is_done(NEW, status)];
                let list = both.into_iter().fold(std::ptr::null_mut(), |list, one| pg_sys::lappend(list, one.cast()));
                pg_sys::makeBoolExpr(pg_sys::BoolExprType::OR_EXPR, list, -1).cast()
            }
        };
        let found: *mut c_void = pg_sys::stringToNode(condition);
        pg_sys::equal(found, expected.cast())
    }
}

/// `row.status = 1`
///
/// # Safety
///
/// A memory context must be there, as in every function that PostgreSQL calls.
unsafe fn is_done(row: c_int, status: pg_sys::AttrNumber) -> *mut pg_sys::Expr {
    const NO_TYPMOD: i32 = -1;
    const INT4_SIZE: c_int = 4;
    let none = pg_sys::InvalidOid;
    // SAFETY: nodes of valid types, made by PostgreSQL's own functions.
    unsafe {
        let column = pg_sys::makeVar(row, status, pg_sys::INT2OID, NO_TYPMOD, none, 0);
        let done = pg_sys::Datum::from(i32::from(DONE));
        let done = pg_sys::makeConst(pg_sys::INT4OID, NO_TYPMOD, none, INT4_SIZE, done, false, true);
        let (column, done) = (column.cast(), done.cast());
        pg_sys::make_opclause(INT2_EQUALS_INT4, pg_sys::BOOLOID, false, column, done, none, none)
    }
}
