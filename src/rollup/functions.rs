//! `operations_verify_rollup()`, and the functions behind the triggers of `operations` and the view over the rollups.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::spi::quote_literal;
use pgrx::{Spi, pg_extern, pg_sys};

use crate::citus::{self, OnCitus};
use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::catalog::{self, RelationOid};
use crate::pg::result_set::ResultSet;
use crate::pg::session::{self, ActingAs, Settings};
use crate::rights;
use crate::rollup;
use crate::rollup::counting::{self, CountingTriggers};
use crate::rollup::trigger;
use crate::schema::Schema;

const DIRECT_SUMS: &str = include_str!("sql/direct_sums.sql");
const SAMPLE: &str = include_str!("sql/sample.sql");
const DIFFERENCES: &str = include_str!("sql/differences.sql");
const STALE: &str = include_str!("sql/view_differences.sql");

#[pg_extern(sql = r#"
create function @extschema@.operations_count_change()
returns trigger
language c as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';

comment on function @extschema@.operations_count_change() is
    'Appends to operations_delta what a change of a row changes in the sums; on a worker node of Citus refuses TRUNCATE. Called by the triggers of operations.';
"#)]
fn operations_count_change(call: Call<'_>) -> Result<(), ErrorReport> {
    Ok(trigger::count(call)?)
}

#[pg_extern(sql = r#"
create function @extschema@.operations_partitions_now(
    out partition oid,
    out file oid,
    out counted boolean,
    out columns int2[],
    out from_day date,
    out to_day date,
    out root oid,
    out root_columns int2[]
)
returns setof record
language c stable parallel restricted cost 100 rows 20
as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';

comment on function @extschema@.operations_partitions_now() is
    'The partitions of operations by the catalogs as they are now and not by the snapshot, with their files, whether their triggers count all that is changed, and the numbers of the columns that count. Shows nothing that the catalogs do not.';
"#)]
fn operations_partitions_now(call: Call<'_>) -> Result<(), ErrorReport> {
    Ok(partitions_now(call)?)
}

fn partitions_now(call: Call<'_>) -> Result<(), Error> {
    // The views call it: client_type_sum_live, as it is without Citus, finds the rows of a partition by its OID, which those of a
    // shard do not have.
    let schema = Schema::of(call, OnCitus::Sharded("client_type_sum_live"))?;
    let mut result = ResultSet::new(call);
    let Some(table) = rollup::table(&schema) else { return Ok(()) };
    let root_columns = counting::numbers_of_columns(table.oid());
    let may_be_kept = rollup::may_be_kept(&schema, table);
    for leaf in CountingTriggers::of(&schema)?.leaves(table) {
        let (from, to) = (leaf.bounds.0.to_date(), leaf.bounds.1.to_date());
        result.put([
            leaf.oid.into(),
            leaf.file.into(),
            (leaf.is_counted && may_be_kept).into(),
            leaf.columns.map(|columns| columns.numbers().to_vec()).into(),
            from.into(),
            to.into(),
            table.oid().into(),
            root_columns.clone().into(),
        ])?;
    }
    Ok(())
}

#[pg_extern(sql = r#"
create function @extschema@.operations_direct_sums(
    p_partitions oid[],
    out partition oid,
    out client_id integer,
    out operation_type @extschema@.operation_type_enum,
    out rows bigint,
    out amount numeric,
    out summable boolean
)
returns setof record
language c stable strict parallel restricted cost 1000 rows 100
as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';

revoke all on function @extschema@.operations_direct_sums(oid[]) from public;

comment on function @extschema@.operations_direct_sums(oid[]) is
    'Counts and sums the done operations (status 1) of partitions from the rows themselves, each as the owner of the partition. For change_status() and operations_verify_rollup().';
"#)]
fn operations_direct_sums(call: Call<'_>, p_partitions: Vec<Option<pg_sys::Oid>>) -> Result<(), ErrorReport> {
    Ok(direct_sums(call, p_partitions.into_iter().flatten())?)
}

/// What runs when a partition is read (policies, expressions of indexes, constraints, the server of a foreign table) runs as the
/// partition's owner, so an owner can harm only itself.
fn direct_sums(call: Call<'_>, partitions: impl IntoIterator<Item = pg_sys::Oid>) -> Result<(), Error> {
    let schema = Schema::of(call, OnCitus::Everywhere)?;
    let mut result = ResultSet::new(call);
    let query = schema.sql(DIRECT_SUMS);
    for partition in partitions.into_iter().filter_map(RelationOid::from_oid) {
        let Some(owner) = partition.owner() else { continue };
        // Anew for each: what is evaluated as one owner may set them, and the next partition may be another's.
        let _settings = Settings::set(&[
            (c"search_path", c"pg_catalog, pg_temp"),
            (c"row_security", c"off"),
            (c"constraint_exclusion", c"off"),
        ]);
        citus::sharded::require_may_act_as_owner_of(partition, owner)?;
        let oid = quote_literal(partition.oid().to_u32().to_string());
        let query = query.replace("@partition@", &oid).replace("@table@", &catalog::qualified_name(partition.oid()));
        let _owner = ActingAs::restricted(owner);
        result.add(&query, true)?;
    }
    Ok(())
}

#[pg_extern(sql = r#"
create function @extschema@.operations_sampled_sums(
    out partition oid,
    out client_id integer,
    out operation_type @extschema@.operation_type_enum,
    out rows bigint,
    out amount numeric,
    out summable boolean
)
returns setof record
language c stable parallel restricted cost 1000 rows 100
as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';

revoke all on function @extschema@.operations_sampled_sums() from public;

comment on function @extschema@.operations_sampled_sums() is
    'The same of one small partition whose changes are followed, another each time. For operations_doctor(): who may call it names no partition.';
"#)]
fn operations_sampled_sums(call: Call<'_>) -> Result<(), ErrorReport> {
    Ok(direct_sums(call, sample(&Schema::of(call, OnCitus::Sharded("operations_sampled_sums()"))?)?)?)
}

fn sample(schema: &Schema) -> Result<Option<pg_sys::Oid>, Error> {
    let _settings = Settings::safe_search_path();
    rollup::as_owner_of_the_rollups(schema, || {
        Ok(Spi::connect(|client| {
            let found = client.select(schema.sql(SAMPLE).as_str(), Some(1), &[])?;
            if found.is_empty() { Ok(None) } else { found.first().get_one::<pg_sys::Oid>() }
        })?)
    })
}

#[pg_extern(sql = r#"
create function @extschema@.operations_verify_rollup(
    p_repair boolean default false,
    out client_id integer,
    out operation_type @extschema@.operation_type_enum,
    out rolled_up_amount numeric,
    out actual_amount numeric
)
returns setof record
language c
as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';

revoke all on function @extschema@.operations_verify_rollup(boolean) from public;

comment on function @extschema@.operations_verify_rollup(boolean) is
    'Compares client_type_sum_live with the sums of the rows of operations, in one snapshot, and returns what differs: nothing, unless something is broken. With p_repair it then sums up all partitions anew and refreshes client_type_sum_mv.';
"#)]
fn operations_verify_rollup(call: Call<'_>, p_repair: Option<bool>) -> Result<(), ErrorReport> {
    Ok(verify(call, p_repair.unwrap_or(false))?)
}

fn verify(call: Call<'_>, repair: bool) -> Result<(), Error> {
    const WHAT: &str = "operations_verify_rollup()";
    if repair {
        session::require_writable("operations_verify_rollup")?;
    }
    let place = if repair { OnCitus::ShardedOfCoordinator(WHAT) } else { OnCitus::Sharded(WHAT) };
    let schema = Schema::of(call, place)?;
    let mut result = ResultSet::new(call);
    let _settings = Settings::safe_search_path();
    let is_sharded = citus::is_sharded(&schema);
    let differences = if is_sharded { citus::differences(&schema)? } else { schema.sql(DIFFERENCES) };
    let may_act_as = |owner| !is_sharded || citus::sharded::may_act_as(owner);
    if !schema.rollup_live()?.owner().is_some_and(may_act_as) {
        // With the rights of who asks.
        return if repair {
            citus::sharded::repair(&schema, place)
        } else {
            result.add(&differences, true).map(|_| ())
        };
    }
    rollup::as_owner_of_the_rollups(&schema, || result.add(&differences, !repair))?;
    match (repair, is_sharded) {
        (false, _) => Ok(()),
        (true, false) => rollup::repair(&schema, place),
        (true, true) => citus::sharded::repair(&schema, place),
    }
}

#[pg_extern(sql = r#"
create function @extschema@.operations_stale_sums(
    out client_id integer,
    out operation_type @extschema@.operation_type_enum,
    out held_amount numeric,
    out live_amount numeric
)
returns setof record
language c stable parallel restricted
as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';

revoke all on function @extschema@.operations_stale_sums() from public;

comment on function @extschema@.operations_stale_sums() is
    'The sums that client_type_sum_mv holds and that client_type_sum_live has otherwise, read with the rights of the owner of the former: nothing that is in the views is called as whoever asks. For operations_doctor().';
"#)]
fn operations_stale_sums(call: Call<'_>) -> Result<(), ErrorReport> {
    Ok(stale_sums(call)?)
}

fn stale_sums(call: Call<'_>) -> Result<(), Error> {
    let schema = Schema::of(call, OnCitus::Sharded("operations_stale_sums()"))?;
    let mut result = ResultSet::new(call);
    let Some(owner) = schema.client_type_sum_mv()?.owner() else { return Ok(()) };
    // Also where that is who asks: a doctor's look is no reason to run what others put on their partitions.
    if let Some(table) = rollup::table(&schema) {
        rights::require_owners_with_rights_of(table, owner)?;
    }
    let _settings = Settings::safe_search_path();
    if citus::is_sharded(&schema) {
        if !citus::sharded::may_act_as(owner) {
            // With the rights of who asks, and so nothing that somebody else has put into the views.
            citus::sharded::require_as_made(&schema)?;
            return result.add(&schema.sql(STALE), true).map(|_| ());
        }
        citus::sharded::set_search_path_of_nodes()?;
    }
    let _owner = rollup::as_owner_of_the_view(&schema, owner)?;
    result.add(&schema.sql(STALE), true)?;
    Ok(())
}
