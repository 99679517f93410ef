//! `change_status()`

use std::ffi::CStr;
use std::time::{SystemTime, UNIX_EPOCH};

use pgrx::datum::DatumWithOid;
use pgrx::pg_extern;
use pgrx::pg_sys::panic::ErrorReport;

use crate::arguments;
use crate::citus::{self, OnCitus};
use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::session::{self, Settings};
use crate::query;
use crate::rollup;
use crate::schema::Schema;

const FLIP: &str = include_str!("sql/flip.sql");

const ON_CITUS: OnCitus = OnCitus::ShardedOfCoordinator("change_status()");

/// Plans that cost what the batch costs, whatever the size of the table and the state of its statistics: the new rows
/// come from the index on (status, id) in its order, and each is found again through the primary key.
pub const PLANNER: [(&CStr, &CStr); 7] = [
    (c"enable_seqscan", c"off"),
    (c"enable_bitmapscan", c"off"),
    (c"enable_sort", c"off"),
    (c"enable_hashjoin", c"off"),
    (c"enable_mergejoin", c"off"),
    (c"max_parallel_workers_per_gather", c"0"),
    (c"jit", c"off"),
];

#[pg_extern(sql = r#"
create procedure @extschema@.change_status(p_batch integer default 20000)
language c as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';

revoke all on procedure @extschema@.change_status(integer) from public;

comment on procedure @extschema@.change_status(integer) is
    'Sets status 1 on the p_batch oldest new operations (status 0), of even id in an even second and of odd id in an odd one, that no other session holds; then, if a sum changed, refreshes client_type_sum_mv.';
"#)]
fn change_status(call: Call<'_>, p_batch: Option<i32>) -> Result<(), ErrorReport> {
    let batch = arguments::in_range("p_batch", arguments::required("p_batch", p_batch)?, 1..=i32::MAX)?;
    session::require_writable("change_status")?;
    let schema = Schema::of(call, ON_CITUS)?;
    schema.operations()?;
    schema.client_type_sum_mv()?;
    if citus::is_sharded(&schema) {
        return Ok(citus::sharded::change_status(&schema, ON_CITUS, parity_of_this_second(), batch)?);
    }
    flip(&schema, batch)?;
    Ok(rollup::bring_up_to_date(&schema, ON_CITUS)?)
}

fn flip(schema: &Schema, batch: i32) -> Result<(), Error> {
    let _settings = Settings::set(&PLANNER);
    let arguments = [DatumWithOid::from(parity_of_this_second()), DatumWithOid::from(i64::from(batch))];
    query::run(&schema.sql(FLIP), &arguments)?;
    Ok(())
}

/// 0 in an even second, 1 in an odd one.
fn parity_of_this_second() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::from(since_epoch.as_secs() % 2 == 1)
}
