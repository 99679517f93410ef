//! The row that a trigger BEFORE UPDATE is called for, and gives back.

use std::ffi::{CStr, c_int};

use pgrx::callconv::{BoxRet, FcInfo};
use pgrx::datum::Datum;
use pgrx::pg_sys;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};

use crate::pg::call::Call;
use crate::pg::catalog::RelationOid;

/// A row as an UPDATE is about to leave it.
#[derive(Debug)]
pub struct TriggerRow {
    tuple: pg_sys::HeapTuple,
    relation: pg_sys::Relation,
}

impl TriggerRow {
    /// The row, if the call is that of a trigger that fires BEFORE UPDATE for each row.
    pub fn of(call: Call<'_>) -> Option<Self> {
        // SAFETY: a function that is called as a trigger has TriggerData as its context, which is valid during the call. The new row is
        // in tg_newtuple.
        unsafe {
            let data = (*call.info()).context.cast::<pg_sys::TriggerData>();
            if data.is_null() || (*data).type_ != pg_sys::NodeTag::T_TriggerData {
                return None;
            }
            let event = (*data).tg_event;
            let is_before_update = event & pg_sys::TRIGGER_EVENT_ROW != 0
                && event & pg_sys::TRIGGER_EVENT_TIMINGMASK == pg_sys::TRIGGER_EVENT_BEFORE
                && event & pg_sys::TRIGGER_EVENT_OPMASK == pg_sys::TRIGGER_EVENT_UPDATE;
            is_before_update.then(|| Self { tuple: (*data).tg_newtuple, relation: (*data).tg_relation })
        }
    }

    /// The table that has the trigger.
    pub fn table(&self) -> Option<RelationOid> {
        // SAFETY: the relation is open while the trigger runs.
        RelationOid::from_oid(unsafe { (*self.relation).rd_id })
    }

    /// The number of a column; `None` if there is no such one.
    fn column(&self, name: &CStr) -> Option<c_int> {
        // SAFETY: the row is one of the relation.
        let number = unsafe { pg_sys::SPI_fnumber((*self.relation).rd_att, name.as_ptr()) };
        (number > 0).then_some(number)
    }

    /// The value of a column as text; `None` if it is null, or there is no such column.
    pub fn text(&self, column: &CStr) -> Option<String> {
        let number = self.column(column)?;
        // SAFETY: the row is one of the relation; what SPI_getvalue returns is NULL or a string that ends in NUL.
        unsafe {
            let text = pg_sys::SPI_getvalue(self.tuple, (*self.relation).rd_att, number);
            (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
        }
    }

    /// The value of a column of type bigint, integer or date, the last in days since 2000-01-01; `None` if it is null, or there is no
    /// such column.
    pub fn number(&self, column: &CStr) -> Option<i64> {
        let number = self.column(column)?;
        // SAFETY: the row is one of the relation; values of these types are passed by value.
        unsafe {
            let descriptor = (*self.relation).rd_att;
            let mut is_null = false;
            let value = pg_sys::SPI_getbinval(self.tuple, descriptor, number, &raw mut is_null);
            match pg_sys::SPI_gettypeid(descriptor, number) {
                _ if is_null => None,
                pg_sys::INT8OID => Some(value.value() as i64),
                pg_sys::INT4OID | pg_sys::DATEOID => Some(i64::from(value.value() as i32)),
                _ => None,
            }
        }
    }

    /// The row with another number in a column of type bigint. Without that column it stays as it is.
    pub fn with(self, column: &CStr, value: i64) -> Self {
        let Some(mut number) = self.column(column) else { return self };
        // SAFETY: as above; heap_modify_tuple_by_cols copies the row, in the memory context of the call.
        let tuple = unsafe {
            let descriptor = (*self.relation).rd_att;
            if pg_sys::SPI_gettypeid(descriptor, number) != pg_sys::INT8OID {
                return self;
            }
            let mut value = pg_sys::Datum::from(value);
            let mut is_null = false;
            pg_sys::heap_modify_tuple_by_cols(
                self.tuple,
                descriptor,
                1,
                &raw mut number,
                &raw mut value,
                &raw mut is_null,
            )
        };
        Self { tuple, ..self }
    }
}

// SAFETY: a trigger function returns a pointer to the row.
unsafe impl BoxRet for TriggerRow {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        // SAFETY: by the contract; the row lives as long as the memory context that the function was called in.
        unsafe { fcinfo.return_raw_datum(pg_sys::Datum::from(self.tuple)) }
    }
}

// SAFETY: the functions that return it say what they are in SQL of their own.
unsafe impl SqlTranslatable for TriggerRow {
    const TYPE_IDENT: &'static str = "operations_ext::pg::trigger_row::TriggerRow";
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Err(ArgumentError::SkipInArray);
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("trigger")));
}
