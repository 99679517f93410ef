//! The errors that the procedures raise, each with its SQLSTATE, its facts (DETAIL) and what to do (HINT).

use std::ffi::CStr;
use std::fmt::{self, Display, Formatter};

use operations_model::calendar::{Month, YEARS};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgSqlErrorCode, function_name};
use thiserror::Error;

use crate::version;

/// How a table of Citus becomes one of PostgreSQL again. `undistribute_table()` refuses tables with an identity, and those of an
/// extension.
#[derive(Debug)]
pub enum WayBack {
    /// For `operations`, by this qualified name, and the schema of the extension, quoted.
    Rename { table: String, schema: String },
    /// The same, where it could be completed instead.
    Complete { table: String, schema: String },
    /// For a table of the extension, in this schema, quoted.
    CreateAnew { schema: String },
    /// For a table of the extension while `operations` is Citus's, too: with the extension its column `operation_type` would go.
    OperationsFirst,
}

impl Display for WayBack {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rename { table, schema } => {
                write!(formatter, "Keep operations a table of PostgreSQL: {}", rename(table, schema))
            }
            Self::Complete { table, schema } => write!(
                formatter,
                "Have its sums kept in the shards: CALL {schema}.operations_distribute(); or keep operations a table of PostgreSQL: {}",
                rename(table, schema)
            ),
            Self::CreateAnew { schema } => {
                write!(formatter, "Keep the tables of the extension tables of PostgreSQL: {}", create_anew(schema))
            }
            Self::OperationsFirst => formatter.write_str(OPERATIONS_FIRST),
        }
    }
}

const OPERATIONS_FIRST: &str =
    "Make operations a table of PostgreSQL first, as docs/scaling.md says, and then the extension anew.";

/// How `operations` is made anew, while the table of Citus keeps its rows.
fn rename(table: &str, schema: &str) -> String {
    format!(
        "BEGIN; DROP VIEW IF EXISTS {schema}.client_type_sum_live CASCADE; ALTER TABLE {table} RENAME TO operations_on_citus; CALL {schema}.operations_setup(); COMMIT; docs/scaling.md has how its rows come along, and what works on Citus."
    )
}

/// How the extension is made anew, while the rows of `operations` stay. In one transaction, and with all names qualified: where the
/// type were not found, the next statement would drop a column.
fn create_anew(schema: &str) -> String {
    format!(
        "BEGIN; ALTER EXTENSION operations_ext DROP TYPE {schema}.operation_type_enum; DROP EXTENSION operations_ext CASCADE; CREATE EXTENSION operations_ext SCHEMA {schema}; CALL {schema}.operations_setup(); COMMIT;"
    )
}

/// What can go wrong, apart from what PostgreSQL itself reports.
#[derive(Debug, Error)]
pub enum Error {
    #[error("{argument} must not be null")]
    NullArgument { argument: &'static str },
    #[error("the end of the date range is before its start")]
    EndBeforeStart { start: String, end: String },
    #[error("{argument} is out of range")]
    DateOutOfRange { argument: &'static str, value: String },
    #[error("the date range spans too many months")]
    TooManyMonths { first: Month, last: Month, months: i32, limit: i32 },
    #[error("{argument} is out of range")]
    NumberOutOfRange { argument: &'static str, value: i64, smallest: i64, largest: i64 },
    #[error("{kind} \"{schema}.{name}\" does not exist")]
    MissingRelation { kind: &'static str, schema: String, name: &'static str },
    #[error("column \"{column}\" of \"{schema}.operations\" does not exist")]
    MissingColumn { schema: String, column: String },
    #[error("\"{schema}.operations\" is not a table partitioned by range of one date column")]
    NotPartitionedByDate { schema: String },
    #[error("cannot create the partition for {month}")]
    PartitionOverlap { month: Month, partition: String },
    #[error("cannot execute {procedure}() on a replica")]
    Replica { procedure: &'static str },
    #[error("cannot execute {procedure}() in a read-only transaction")]
    ReadOnlyTransaction { procedure: &'static str },
    #[error("{procedure}() does not support tables with row-level security")]
    RowSecurity { procedure: &'static str },
    #[error("{what} does not support tables of Citus")]
    CitusTable { what: &'static str, table: String, kind: String, way_back: WayBack },
    #[error("{what} does not support operations distributed by another column than client_id")]
    OtherDistribution { what: &'static str, table: String, column: String, way_back: WayBack },
    #[error("cannot execute {what} on a worker node of Citus")]
    WorkerNode { what: &'static str, group: i32 },
    #[error("the change of an operation in a shard of Citus cannot be counted")]
    ShardNotCounted { table: String, facts: String },
    #[error("there is no Citus in this database")]
    NoCitus,
    #[error("must be superuser to execute {procedure}()")]
    NotSuperuser { procedure: &'static str },
    #[error("the tables of the sums are distributed otherwise than operations")]
    OtherColocation { schema: String },
    #[error("the views of the sums are not as operations_setup() makes them")]
    OtherViews { schema: String },
    #[error("loads, status changes and repair on Citus take READ COMMITTED")]
    FixedSnapshot,
    #[error("this cannot be done on the nodes of Citus as role \"{role}\" with more in the transaction")]
    NotAlone { role: String },
    #[error("not every shard of operations answered")]
    ShardsMissing { shards: usize, answers: usize },
    #[error("not every row of the load has found its shard")]
    RowsMissing { rows: u64, written: u64 },
    #[error("there are rows of \"{table}\" on the coordinator, where no query finds them")]
    RowsOnCoordinator { table: String },
    #[error("p_workers cannot be heeded in this transaction")]
    OtherSessions { asked_for: usize, group: i64, sessions: usize },
    #[error("the column id of \"{table}\" has not as many numbers left, or is no identity that counts up by one")]
    OtherIdentity { table: String },
    #[error("the hidden rows of \"{table}\" cannot be returned")]
    HiddenColumn { table: String, column: &'static CStr },
    #[error("pg_cron {version} cannot run jobs every few seconds")]
    PgCronTooOld { version: String },
    #[error("relation \"{relation}\" belongs to a role that is not trusted with the rights of \"{role}\"")]
    ForeignPartition { relation: String, owner: String, role: String },
    #[error("role \"{name}\" does not exist")]
    MissingRole { job: &'static str, name: String },
    #[error("operations_count_change() can only be called by the triggers of operations")]
    NotATrigger,
    #[error("the columns of \"{table}\" are not those of operations")]
    OtherColumns { table: String },
    #[error("table \"{table}\" is not empty")]
    NotEmpty { table: String },
    #[error("an operation that is done must have a client, a type and an amount that is a number")]
    NotSummable,
    #[error("table \"operations_delta\" has other columns, or an index")]
    OtherDelta { facts: String },
    #[error("table \"{table}\" is not as this version of operations_ext has it")]
    OtherRollup { table: String, facts: String },
    #[error("could not serialize access due to concurrent update")]
    ConcurrentUpdate,
    #[error(
        "the library operations_ext is of version {library}, its objects in this database are of version {objects}"
    )]
    OtherVersion { library: &'static str, objects: String, schema: String, is_replica: bool },
    #[error("operations_ext is loaded already, from another file")]
    LoadedTwice { first: String, second: &'static str },
    #[error("no source of random numbers")]
    NoRandomness { cause: String },
    #[error("cannot keep note of the files that a load makes")]
    Note(std::io::Error),
    #[error("table \"{schema}.{name}\", which a load has just made, does not exist")]
    StageIsGone { schema: String, name: String },
    #[error("an internal query failed")]
    Spi(#[from] pgrx::spi::Error),
}

impl Error {
    /// The SQLSTATE, as in appendix A of PostgreSQL's manual.
    fn sqlstate(&self) -> PgSqlErrorCode {
        match self {
            Self::NullArgument { .. } => PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            Self::EndBeforeStart { .. } | Self::TooManyMonths { .. } | Self::NumberOutOfRange { .. } => {
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE
            }
            Self::DateOutOfRange { .. } => PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW,
            Self::MissingRelation { .. } | Self::StageIsGone { .. } => PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
            Self::MissingColumn { .. } => PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
            Self::NotPartitionedByDate { .. } => PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            Self::PartitionOverlap { .. } => PgSqlErrorCode::ERRCODE_INVALID_OBJECT_DEFINITION,
            Self::Replica { .. } | Self::ReadOnlyTransaction { .. } => {
                PgSqlErrorCode::ERRCODE_READ_ONLY_SQL_TRANSACTION
            }
            Self::RowSecurity { .. }
            | Self::CitusTable { .. }
            | Self::OtherDistribution { .. }
            | Self::WorkerNode { .. }
            | Self::ShardNotCounted { .. }
            | Self::NoCitus
            | Self::FixedSnapshot
            | Self::OtherColocation { .. }
            | Self::OtherViews { .. }
            | Self::OtherIdentity { .. }
            | Self::OtherSessions { .. }
            | Self::PgCronTooOld { .. } => PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            Self::NotAlone { .. } => PgSqlErrorCode::ERRCODE_ACTIVE_SQL_TRANSACTION,
            Self::ForeignPartition { .. } | Self::NotSuperuser { .. } => PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            Self::ShardsMissing { .. } | Self::RowsMissing { .. } => PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
            Self::MissingRole { .. } => PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            Self::NotATrigger => PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
            Self::OtherColumns { .. } | Self::HiddenColumn { .. } => PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            Self::NotEmpty { .. } | Self::RowsOnCoordinator { .. } => {
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE
            }
            Self::NotSummable => PgSqlErrorCode::ERRCODE_CHECK_VIOLATION,
            Self::OtherDelta { .. }
            | Self::OtherRollup { .. }
            | Self::OtherVersion { .. }
            | Self::LoadedTwice { .. } => PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            Self::ConcurrentUpdate => PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
            Self::NoRandomness { .. } => PgSqlErrorCode::ERRCODE_SYSTEM_ERROR,
            Self::Note(_) => PgSqlErrorCode::ERRCODE_IO_ERROR,
            Self::Spi(_) => PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        }
    }

    /// The facts.
    fn detail(&self) -> String {
        match self {
            Self::NullArgument { argument } => format!("NULL was passed for {argument}."),
            Self::EndBeforeStart { start, end } => format!("The range starts on {start} and ends on {end}."),
            Self::DateOutOfRange { argument, value } => format!("{argument} is {value}."),
            Self::TooManyMonths { first, last, months, limit } => format!(
                "The range from {first} to {last} has {months} months, each of which is a partition; one call takes at most {limit}."
            ),
            Self::NumberOutOfRange { argument, value, .. } => format!("{argument} is {value}."),
            Self::MissingRelation { schema, .. } => {
                format!("The extension operations_ext is installed in schema \"{schema}\", and looks for it there.")
            }
            Self::MissingColumn { column, .. } if column == "operation_type" => {
                "A table that is there is kept as it is. DROP EXTENSION with CASCADE takes this column along, whose type is the extension's.".into()
            }
            Self::MissingColumn { .. } => "A table that is there is kept as it is.".into(),
            Self::NotPartitionedByDate { .. } => {
                "The procedures of operations_ext keep one partition a month and cannot work on another layout.".into()
            }
            Self::PartitionOverlap { month, partition } => {
                format!("The existing partition \"{partition}\" holds a part of {month}.")
            }
            Self::Replica { .. } => "The server is in recovery: it follows a primary and takes no writes.".into(),
            Self::ReadOnlyTransaction { .. } => "The transaction was started or set READ ONLY.".into(),
            Self::RowSecurity { .. } => "Row-level security applies to the current role on operations.".into(),
            Self::CitusTable { table, kind, .. } => format!("{table} is {kind}."),
            Self::OtherDistribution { table, column, .. } => format!("{table} is distributed by {column}."),
            Self::WorkerNode { group, .. } => format!(
                "This server is of group {group} (pg_dist_local_group). The coordinator, of group 0, has the table, the sums and the jobs."
            ),
            Self::ShardNotCounted { table, facts } => {
                format!("A trigger of operations_count_change() fired on {table}, and {facts}.")
            }
            Self::NoCitus => "The extension citus is not installed in it.".into(),
            Self::NotAlone { role } => format!(
                "Citus sends what a transaction has set by SET LOCAL, and all that came in one message with it, to the nodes, and has it \
                 run there with the rights of \"{role}\"."
            ),
            Self::FixedSnapshot => {
                "The transaction reads by one snapshot, and the nodes show what is committed by now.".into()
            }
            Self::NotSuperuser { .. } => {
                "It distributes tables of the extension, which belong to a superuser.".into()
            }
            Self::OtherColocation { schema } => format!(
                "operations, operations_shard, operations_shard_delta and operations_shard_rollup in {schema} are not co-located."
            ),
            Self::OtherViews { .. } => {
                "client_type_sum_mv or client_type_sum_live has another query. On Citus the sums are read from the shards with the rights of the extension's owner.".into()
            }
            Self::ShardsMissing { shards, answers } => {
                format!("{shards} shards were asked, by operations_shard, and {answers} answered.")
            }
            Self::RowsMissing { rows, written } => {
                format!("The nodes were to write {rows} rows of a part of it, and have written {written}.")
            }
            Self::RowsOnCoordinator { .. } => {
                "Whoever loads would not see what is missing: they were there before the table was distributed, or came past Citus.".into()
            }
            Self::OtherSessions { asked_for, group, sessions } => format!(
                "p_workers is {asked_for}, and Citus works in {sessions} sessions on the shards of group {group} (pg_dist_node): it made its months in them, or used them before."
            ),
            Self::OtherIdentity { .. } => "The coordinator reserves the ids of a load in one block.".into(),
            Self::HiddenColumn { column, .. } => {
                format!("The table has no column {} of the type that operations has.", column.to_string_lossy())
            }
            Self::PgCronTooOld { version } => {
                format!("This database has the extension pg_cron {version}; intervals in seconds came with 1.5.")
            }
            Self::ForeignPartition { relation, owner, role } => format!(
                "This would run with the rights of the role {role} what {owner}, the owner of \"{relation}\", has put on it."
            ),
            Self::MissingRole { job, .. } => format!("The job {job} was scheduled by that role."),
            Self::NotATrigger => {
                "It counts the changes of partitions of operations, row by row, after they are made, and is asked before TRUNCATE.".into()
            }
            Self::OtherColumns { .. } => "Somebody has altered the table while rows were loaded into it.".into(),
            Self::NotEmpty { .. } => "Its file is to be written past the shared buffers, as that of a new table.".into(),
            Self::NotSummable => {
                "One of them is null, or the amount is NaN or infinite: client_type_sum_mv could not hold it.".into()
            }
            Self::OtherDelta { facts } | Self::OtherRollup { facts, .. } => facts.clone(),
            Self::ConcurrentUpdate => {
                "Another session has changed client_type_sum_mv since this transaction took its snapshot.".into()
            }
            Self::OtherVersion { library, objects, .. } if version::library_is_older(library, objects) => {
                "The extension was updated, and the session still has the library that was there before.".into()
            }
            Self::OtherVersion { .. } => "A newer library was installed, and the extension was not updated since.".into(),
            Self::LoadedTwice { first, second } => {
                format!("The first file is of version {first}, this one of version {second}.")
            }
            Self::NoRandomness { cause } => format!("The operating system answered: {cause}."),
            Self::Note(cause) => format!("The operating system answered: {cause}."),
            Self::StageIsGone { .. } => {
                "It was to become the partition of a month. Nobody else sees it: an event trigger has dropped, renamed or moved it.".into()
            }
            Self::Spi(error) => format!("{error}."),
        }
    }

    /// What to do.
    fn hint(&self) -> String {
        match self {
            Self::NullArgument { argument } => format!("Pass a value for {argument}."),
            Self::EndBeforeStart { .. } => "Swap the two dates.".into(),
            Self::DateOutOfRange { .. } => {
                format!("Use a date from {}-01-01 to {}-12-31.", YEARS.start(), YEARS.end())
            }
            Self::TooManyMonths { .. } => "Load the range in several calls.".into(),
            Self::NumberOutOfRange { smallest, largest, .. } => format!("Use a number from {smallest} to {largest}."),
            Self::MissingRelation { schema, .. } => {
                format!("Run CALL {}.operations_setup();", pgrx::spi::quote_identifier(schema))
            }
            Self::MissingColumn { schema, .. } => format!(
                "Give the column its name back, or add it with its values and NOT NULL; or rename that table and run CALL {}.operations_setup();",
                pgrx::spi::quote_identifier(schema)
            ),
            Self::NotPartitionedByDate { schema } => format!(
                "Rename that table and run CALL {}.operations_setup();",
                pgrx::spi::quote_identifier(schema)
            ),
            Self::PartitionOverlap { partition, .. } => {
                format!("Detach \"{partition}\", or split it so that its bounds are the first days of months.")
            }
            Self::Replica { .. } => "Connect to the primary, or promote this server.".into(),
            Self::ReadOnlyTransaction { .. } => "Run it in a READ WRITE transaction.".into(),
            Self::RowSecurity { .. } => "Run it as the owner of the table or as a role with BYPASSRLS.".into(),
            Self::CitusTable { way_back, .. } | Self::OtherDistribution { way_back, .. } => way_back.to_string(),
            Self::WorkerNode { .. } => {
                "Connect to the coordinator: SELECT nodename, nodeport FROM pg_dist_node WHERE groupid = 0;".into()
            }
            Self::ShardNotCounted { .. } => {
                "Drop the triggers operations_count_insert, operations_count_delete and operations_count_update of operations before it becomes a table of Citus.".into()
            }
            Self::NoCitus => {
                "Add citus to shared_preload_libraries, restart the server, and run CREATE EXTENSION citus.".into()
            }
            Self::NotAlone { role } => format!(
                "Send the CALL alone, as a simple query (as psql does), outside of a transaction block and with constants as arguments, or as a \
                 role that has the rights of \"{role}\"."
            ),
            Self::FixedSnapshot => "Call it in a transaction of its own, with isolation level READ COMMITTED.".into(),
            Self::NotSuperuser { .. } => "Have a superuser call it.".into(),
            Self::OtherColocation { .. } => OPERATIONS_FIRST.into(),
            Self::OtherViews { schema } => format!("Drop the view that was changed and run CALL {schema}.operations_setup();"),
            Self::ShardsMissing { .. } => "Run DELETE FROM operations_shard_key; CALL operations_distribute(); and call it again.".into(),
            Self::RowsMissing { .. } => "Run it again; if that does not help, see that all nodes have the same version of operations_ext.".into(),
            Self::RowsOnCoordinator { .. } => {
                "Run what operations_doctor() has as next command of hidden_rows, after a look at operations_hidden_rows().".into()
            }
            Self::OtherSessions { .. } => {
                "Leave p_workers out. Or have the months made by an earlier load, and call it outside of a transaction block.".into()
            }
            Self::OtherIdentity { .. } => {
                "Make the table anew with the column that operations_setup() makes: docs/scaling.md has how its rows come along.".into()
            }
            Self::HiddenColumn { .. } => {
                "Start the server without citus in shared_preload_libraries: then a query of that table finds them.".into()
            }
            Self::PgCronTooOld { .. } => {
                "Upgrade pg_cron and run ALTER EXTENSION pg_cron UPDATE, or drop it so that the extension's own worker runs the jobs.".into()
            }
            Self::ForeignPartition { .. } => {
                "Have the table and all its partitions belong to one role (ALTER TABLE .. OWNER TO), and do this as that role.".into()
            }
            Self::MissingRole { .. } => "Call operations_schedule() again, as the role that the jobs shall run as.".into(),
            Self::NotATrigger => "Call operations_setup() to have its triggers made.".into(),
            Self::OtherColumns { .. } | Self::NotEmpty { .. } => "Call the procedure again.".into(),
            Self::NotSummable => "Give the operation these values before its status is 1.".into(),
            Self::OtherDelta { .. } | Self::OtherRollup { .. } => "Connect again, so that the session loads the library of the version that is installed; if that does not help, drop what was added to the table.".into(),
            Self::ConcurrentUpdate => "Run the transaction again.".into(),
            Self::OtherVersion { library, objects, .. } if version::library_is_older(library, objects) => format!(
                "Restart the server (pg_ctl restart) if operations_ext is in shared_preload_libraries, else connect again. If that does not help, install operations_ext {objects} on this machine first."
            ),
            Self::OtherVersion { objects, schema, .. } if objects.contains('-') => format!("A development version has no way to another one: {}", create_anew(schema)),
            Self::OtherVersion { is_replica, .. } => {
                let place = if *is_replica { "On the primary, in this database, run" } else { "Run" };
                format!("{place} ALTER EXTENSION operations_ext UPDATE;")
            }
            Self::LoadedTwice { .. } => {
                "Name operations_ext once in shared_preload_libraries, and remove the other file.".into()
            }
            Self::NoRandomness { .. } => "Pass a seed, or see to the operating system's random device.".into(),
            Self::Note(_) => "See to the data directory of the server: the file is to be at its top.".into(),
            Self::StageIsGone { .. } => "Have the event triggers of this database leave such tables alone.".into(),
            Self::Spi(_) => "This is a defect of operations_ext. Please report it.".into(),
        }
    }
}

impl From<Error> for ErrorReport {
    fn from(error: Error) -> Self {
        Self::new(error.sqlstate(), error.to_string(), function_name!())
            .set_detail(error.detail())
            .set_hint(error.hint())
    }
}
