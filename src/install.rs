//! The SQL files that CREATE EXTENSION runs beside what the modules of `api` declare.

pgrx::extension_sql_file!("../sql/install/operation_type_enum.sql", name = "operation_type_enum", bootstrap);
pgrx::extension_sql_file!("../sql/install/jobs.sql", name = "jobs", requires = ["operation_type_enum"]);
pgrx::extension_sql_file!("../sql/install/rollup_tables.sql", name = "rollup_tables", requires = ["jobs"]);
pgrx::extension_sql_file!("../sql/install/rollup_views.sql", name = "rollup_views", finalize);
