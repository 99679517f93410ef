//! The call of a function of this extension.

use std::marker::PhantomData;
use std::ptr::NonNull;

use pgrx::callconv::{Arg, ArgAbi};
use pgrx::pg_sys;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};

/// What PostgreSQL passes to a function that it calls, for as long as the call lasts. A function gets it by asking for an
/// argument of this type, which SQL does not see.
#[derive(Clone, Copy, Debug)]
pub struct Call<'call> {
    info: NonNull<pg_sys::FunctionCallInfoBaseData>,
    _call: PhantomData<&'call ()>,
}

impl Call<'_> {
    /// The function in `pg_proc`.
    pub fn function(self) -> pg_sys::Oid {
        // SAFETY: PostgreSQL sets flinfo for every function that is called through SQL.
        unsafe { (*self.info.as_ref().flinfo).fn_oid }
    }

    /// As PostgreSQL's functions want it: valid for as long as this is.
    pub fn info(self) -> pg_sys::FunctionCallInfo {
        self.info.as_ptr()
    }
}

// SAFETY: as for the pointer, which pgrx takes from the call that it wraps and which lives as long as that; no argument of the
// SQL function is used up.
unsafe impl<'call> ArgAbi<'call> for Call<'call> {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'call>) -> Self {
        // SAFETY: by the contract of this function.
        let info = unsafe { <pg_sys::FunctionCallInfo as ArgAbi<'call>>::unbox_arg_unchecked(arg) };
        // SAFETY: pgrx was called by PostgreSQL with it, never with NULL.
        Self { info: unsafe { NonNull::new_unchecked(info) }, _call: PhantomData }
    }

    fn is_virtual_arg() -> bool {
        true
    }
}

// SAFETY: it stands for no type of SQL, and is left out of the arguments.
unsafe impl SqlTranslatable for Call<'_> {
    const TYPE_IDENT: &'static str = "operations_ext::pg::call::Call";
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::Skip);
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Err(ReturnsError::Datum);
}
