//! Where the extension's objects are, and the SQL files with that filled in.

use std::ffi::{CStr, CString};

use pgrx::spi::quote_identifier;

use crate::citus::{self, OnCitus};
use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::catalog::{self, RelationOid};
use crate::version;

/// The columns of `operations`.
pub const COLUMNS: [&CStr; 8] =
    [c"id", c"operation_date", c"operation_guid", c"client_id", c"operation_type", c"amount", c"status", c"message"];

/// The schema that the extension is installed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    oid: pgrx::pg_sys::Oid,
    name: String,
}

impl Schema {
    /// The schema of the procedure that is being called, which is the extension's, once it is known that the tables in it are such
    /// as the procedure works on.
    ///
    /// # Errors
    ///
    /// [`Error::OtherVersion`]: the objects in it are not those that this library knows. Else as [`citus::require`].
    pub fn of(call: Call<'_>, place: OnCitus) -> Result<Self, Error> {
        version::require_that_of_the_objects()?;
        let schema = Self::at(catalog::function_schema(call.function()));
        citus::require(&schema, place)?;
        Ok(schema)
    }

    /// The schema of that OID, which a function of the extension has.
    pub fn at(oid: pgrx::pg_sys::Oid) -> Self {
        Self { oid, name: catalog::schema_name(oid) }
    }

    /// The schema of the extension, if it is installed in this database. A procedure has it cheaper from [`Self::of`].
    pub fn installed() -> Option<Self> {
        catalog::extension_schema().map(Self::at)
    }

    /// Its name, quoted where it has to be.
    pub fn quoted_name(&self) -> String {
        quote_identifier(&self.name)
    }

    /// Its name, unquoted.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A file of SQL, with `@extschema@` replaced as CREATE EXTENSION replaces it.
    pub fn sql(&self, file: &str) -> String {
        file.replace("@extschema@", &quote_identifier(&self.name))
    }

    /// The table `operations`.
    pub fn operations(&self) -> Result<RelationOid, Error> {
        self.relation("table", c"operations", "operations")
    }

    /// Asks that `operations`, if it is there, does not lack one of its columns. What lacks more of them is another table.
    ///
    /// # Errors
    ///
    /// [`Error::MissingColumn`]
    pub fn require_columns(&self) -> Result<(), Error> {
        let Ok(operations) = self.operations() else { return Ok(()) };
        let is_missing = |column: &&CStr| catalog::column(operations.oid(), column).is_none();
        let missing: Vec<_> = COLUMNS.into_iter().filter(is_missing).collect();
        match missing[..] {
            [column] => {
                Err(Error::MissingColumn { schema: self.name.clone(), column: column.to_string_lossy().into() })
            }
            _ => Ok(()),
        }
    }

    /// The materialized view `client_type_sum_mv`.
    pub fn client_type_sum_mv(&self) -> Result<RelationOid, Error> {
        self.relation("materialized view", c"client_type_sum_mv", "client_type_sum_mv")
    }

    /// The view `client_type_sum_live`.
    pub fn client_type_sum_live(&self) -> Result<RelationOid, Error> {
        self.relation("view", c"client_type_sum_live", "client_type_sum_live")
    }

    /// What the two views are made of, and what the extension keeps it in.
    pub fn rollup_live(&self) -> Result<RelationOid, Error> {
        self.relation("view", c"operations_rollup_live", "operations_rollup_live")
    }

    /// The table that changes of operations are appended to.
    pub fn delta(&self) -> Result<RelationOid, Error> {
        self.relation("table", c"operations_delta", "operations_delta")
    }

    /// The partitions that are tracked.
    pub fn rollup_partition(&self) -> Result<RelationOid, Error> {
        self.relation("table", c"operations_rollup_partition", "operations_rollup_partition")
    }

    /// The sums by partition.
    pub fn rollup(&self) -> Result<RelationOid, Error> {
        self.relation("table", c"operations_rollup", "operations_rollup")
    }

    /// The sums over all partitions.
    pub fn rollup_total(&self) -> Result<RelationOid, Error> {
        self.relation("table", c"operations_rollup_total", "operations_rollup_total")
    }

    /// The function of that name without arguments; 0 if there is none.
    pub fn function(&self, name: &CStr) -> pgrx::pg_sys::Oid {
        catalog::function(self.oid, name).unwrap_or(pgrx::pg_sys::InvalidOid)
    }

    /// The job list of the worker.
    pub fn job_list(&self) -> Result<RelationOid, Error> {
        self.relation("table", c"operations_job", "operations_job")
    }

    /// The relation of that name, of whatever kind, if there is one.
    pub fn relation_named(&self, name: &str) -> Option<RelationOid> {
        CString::new(name).ok().and_then(|name| catalog::relation(self.oid, &name))
    }

    /// The name, or, if a relation has it, the name with a number.
    pub fn free_name(&self, name: &str) -> String {
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let mut names = std::iter::once(name.to_owned()).chain(numbered);
        names.find(|name| self.relation_named(name).is_none()).unwrap_or_default()
    }

    fn relation(&self, kind: &'static str, c_name: &CStr, name: &'static str) -> Result<RelationOid, Error> {
        catalog::relation(self.oid, c_name).ok_or(Error::MissingRelation { kind, schema: self.name.clone(), name })
    }
}
