//! Values as PostgreSQL keeps them in memory, for parameters of queries.
#![expect(unsafe_code, reason = "it makes values of the types of SQL byte by byte")]

use std::ptr;

use operations_model::amount::Amount;
use operations_model::message::Message;
use operations_model::numeric::Numeric;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;

/// The amount as numeric.
pub fn amount(amount: Amount) -> DatumWithOid<'static> {
    let mut stored = Vec::new();
    Numeric::from_cents(amount.cents()).write_stored(&mut stored);
    parameter(&stored, pg_sys::NUMERICOID)
}

/// The message as jsonb.
pub fn message(message: &Message) -> DatumWithOid<'static> {
    let mut stored = Vec::new();
    message.write_jsonb(&mut stored);
    parameter(&stored, pg_sys::JSONBOID)
}

/// A copy, aligned for every type, that lives as long as the current memory context: to the end of the procedure's call.
fn parameter(stored: &[u8], of_type: pg_sys::Oid) -> DatumWithOid<'static> {
    // SAFETY: the memory is new and has room for that many bytes, which are a value of that type, as the tests of the
    // model's encoders prove.
    unsafe {
        let copy = pg_sys::palloc(stored.len()).cast::<u8>();
        ptr::copy_nonoverlapping(stored.as_ptr(), copy, stored.len());
        DatumWithOid::new(pg_sys::Datum::from(copy), of_type)
    }
}
