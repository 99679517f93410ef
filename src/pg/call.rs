//! The call of a procedure.

use pgrx::pg_sys;

/// Tells which procedure PostgreSQL is calling.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    function: pg_sys::Oid,
}

impl Call {
    /// From what PostgreSQL passes to the procedure.
    pub fn new(fcinfo: pg_sys::FunctionCallInfo) -> Self {
        // SAFETY: PostgreSQL passes a valid FunctionCallInfo, with flinfo set, to every function it calls through SQL,
        // and pgrx hands it on only during that call.
        let function = unsafe { (*(*fcinfo).flinfo).fn_oid };
        Self { function }
    }

    /// The procedure in `pg_proc`.
    pub fn function(self) -> pg_sys::Oid {
        self.function
    }
}
