//! What `operations_doctor()` asks of Citus, and the way out for rows that no query finds.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{pg_extern, pg_sys};

use super::{OnCitus, description, is_sharded, kept_tables, name, tables_of_operations};
use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::catalog::{self, RelationOid};
use crate::pg::citus::Catalogs;
use crate::pg::hidden_rows::HiddenRows;
use crate::pg::result_set::ResultSet;
use crate::pg::session;
use crate::schema::{COLUMNS, Schema};

/// What a table is that nothing has to be done about. `operations_doctor()` compares it.
const BY_PROCEDURE: &str = "distributed by operations_distribute()";

#[pg_extern(sql = r#"
create function @extschema@.operations_citus_tables(
    out relation oid,
    out kind text,
    out has_hidden_rows boolean
)
returns setof record
language c stable parallel restricted cost 1000 rows 20
as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';

comment on function @extschema@.operations_citus_tables() is
    'The tables of the extension and the partitions of operations that Citus has made its own, what they are to it, and, for who may read the table, whether their files on this server hold rows, which no query finds. On a worker node also a row without a table. No rows without Citus.';
"#)]
fn operations_citus_tables(call: Call<'_>) -> Result<(), ErrorReport> {
    Ok(citus_tables(call)?)
}

fn citus_tables(call: Call<'_>) -> Result<(), Error> {
    let schema = Schema::of(call, OnCitus::Everywhere)?;
    let mut result = ResultSet::new(call);
    let Some(catalogs) = Catalogs::find() else { return Ok(()) };
    if catalogs.worker_group().is_some() {
        result.put([None::<pg_sys::Oid>.into(), "worker node".into(), false.into()])?;
    }
    let is_sharded = is_sharded(&schema);
    for root in kept_tables(&schema).chain(tables_of_operations(&schema)) {
        let role = session::current_user();
        let may_read = root.may_be_read_by(role) && !root.has_policies_for(role);
        for table in catalog::with_partitions(root) {
            if let Some(kind) = catalogs.kind_of(table) {
                let has_rows = may_read.then(|| HiddenRows::of(table).exist());
                let kind = if is_sharded { BY_PROCEDURE.into() } else { description(&kind) };
                result.put([table.oid().into(), kind.into(), has_rows.into()])?;
            }
        }
    }
    Ok(())
}

#[pg_extern(sql = r#"
create function @extschema@.operations_hidden_rows(
    out id bigint,
    out operation_date date,
    out operation_guid uuid,
    out client_id integer,
    out operation_type @extschema@.operation_type_enum,
    out amount numeric,
    out status smallint,
    out message jsonb
)
returns setof record
language c volatile parallel unsafe cost 100000 rows 100000
as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';

revoke all on function @extschema@.operations_hidden_rows() from public;

comment on function @extschema@.operations_hidden_rows() is
    'The operations in files on this server of partitions of operations that Citus has made its own: no query of the table finds them. Its caller needs SELECT on operations. No rows without Citus.';
"#)]
fn operations_hidden_rows(call: Call<'_>) -> Result<(), ErrorReport> {
    Ok(hidden_rows(call)?)
}

fn hidden_rows(call: Call<'_>) -> Result<(), Error> {
    let schema = Schema::of(call, OnCitus::Everywhere)?;
    let mut result = ResultSet::new(call);
    let (Some(catalogs), Ok(root)) = (Catalogs::find(), schema.operations()) else { return Ok(()) };
    require_select(root)?;
    for table in catalog::with_partitions(root).into_iter().filter(|table| catalogs.kind_of(*table).is_some()) {
        put_hidden_rows(&mut result, table)?;
    }
    Ok(())
}

/// Fails as a query of the table would, and where a policy would leave rows out.
fn require_select(table: RelationOid) -> Result<(), Error> {
    table.require_select();
    if table.has_policies_for(session::current_user()) {
        return Err(Error::RowSecurity { procedure: "operations_hidden_rows" });
    }
    Ok(())
}

fn put_hidden_rows(result: &mut ResultSet<'_>, table: RelationOid) -> Result<(), Error> {
    let mut columns = [0; COLUMNS.len()];
    for ((name_of_column, number), of_type) in COLUMNS.into_iter().zip(&mut columns).zip(result.types()) {
        let column = catalog::column(table.oid(), name_of_column).filter(|column| column.of_type == of_type);
        let missing = || Error::HiddenColumn { table: name(table), column: name_of_column };
        *number = column.ok_or_else(missing)?.number;
    }
    result.put_hidden(HiddenRows::of(table), columns)
}
