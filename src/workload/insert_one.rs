//! `operation_insert_one()`

use std::cell::RefCell;

use chacha20::ChaCha8Rng;
use operations_model::calendar::Day;
use operations_model::generator;
use operations_model::operation::{Operation, STATUS_NEW};
use pgrx::datum::{Date, DatumWithOid, Uuid};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::spi::OwnedPreparedStatement;
use pgrx::{PgBuiltInOids, PgOid, Spi, pg_extern};

use super::stored;
use crate::citus::{self, OnCitus};
use crate::error::Error;
use crate::guc;
use crate::partitions;
use crate::pg::background;
use crate::pg::call::Call;
use crate::pg::catalog::LockMode;
use crate::pg::session;
use crate::random;
use crate::schema::Schema;

const INSERT: &str = include_str!("sql/insert_one.sql");

const ON_CITUS: OnCitus = OnCitus::DistributedOperations("operation_insert_one()");

/// The types of the parameters of [`INSERT`].
const PARAMETERS: [PgOid; 7] = [
    PgOid::BuiltIn(PgBuiltInOids::DATEOID),
    PgOid::BuiltIn(PgBuiltInOids::UUIDOID),
    PgOid::BuiltIn(PgBuiltInOids::INT4OID),
    PgOid::BuiltIn(PgBuiltInOids::TEXTOID),
    PgOid::BuiltIn(PgBuiltInOids::NUMERICOID),
    PgOid::BuiltIn(PgBuiltInOids::INT2OID),
    PgOid::BuiltIn(PgBuiltInOids::JSONBOID),
];

thread_local! {
    static GENERATOR: RefCell<Option<ChaCha8Rng>> = const { RefCell::new(None) };
    /// The plan, and the schema it was made for.
    static PLAN: RefCell<Option<(Schema, OwnedPreparedStatement)>> = const { RefCell::new(None) };
}

#[pg_extern(sql = r#"
create procedure @extschema@.operation_insert_one()
language c as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';

revoke all on procedure @extschema@.operation_insert_one() from public;

comment on procedure @extschema@.operation_insert_one() is
    'Inserts one random new operation (status 0), dated today. As a job it inserts operations_ext.insert_batch of them. Creates the partition of the current month if it is missing.';
"#)]
fn operation_insert_one(call: Call<'_>) -> Result<(), ErrorReport> {
    session::require_writable("operation_insert_one")?;
    let rows = if background::is_run_by_scheduler() { guc::insert_batch() } else { 1 };
    Ok(insert_rows(Schema::of(call, ON_CITUS)?, rows)?)
}

fn insert_rows(schema: Schema, rows: i32) -> Result<(), Error> {
    let operations = schema.operations()?;
    // The lock that INSERT takes. Once it is held nobody can detach the partition that is found now.
    operations.lock(LockMode::RowExclusive);
    citus::require(&schema, ON_CITUS)?;
    let today = session::current_date();
    if !partitions::has_place_for(&schema, operations, today)? {
        let month = partitions::today()?;
        partitions::create_missing(&schema, operations, std::iter::once(month))?;
    }
    (0..rows).try_for_each(|_| insert(&schema, &random_operation(today)?))
}

fn random_operation(today: i32) -> Result<Operation, Error> {
    let argument = "the current date";
    let day = Day::from_postgres(today).ok_or_else(|| Error::DateOutOfRange { argument, value: today.to_string() })?;
    GENERATOR.with_borrow_mut(|generator| {
        let rng = match generator {
            Some(rng) => rng,
            None => generator.insert(random::generator()?),
        };
        Ok(generator::operation(rng, day))
    })
}

fn insert(schema: &Schema, operation: &Operation) -> Result<(), Error> {
    let row = [
        DatumWithOid::from(Date::saturating_from_raw(operation.date.to_postgres())),
        DatumWithOid::from(Uuid::from_bytes(operation.guid)),
        DatumWithOid::from(operation.client_id),
        DatumWithOid::from(operation.operation_type.label()),
        stored::amount(operation.amount),
        DatumWithOid::from(STATUS_NEW),
        stored::message(&operation.message),
    ];
    // Taken out while it is used: a trigger on the table may call the procedure again.
    let plan = PLAN.take().filter(|(of, _)| of == schema);
    let plan = Spi::connect_mut(|client| {
        let plan = match plan {
            Some((_, plan)) => plan,
            None => client.prepare_mut(schema.sql(INSERT).as_str(), &PARAMETERS)?.keep(),
        };
        client.update(&plan, None, &row)?;
        Ok::<_, Error>(plan)
    })?;
    PLAN.set(Some((schema.clone(), plan)));
    Ok(())
}
