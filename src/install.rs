//! The SQL files that CREATE EXTENSION runs beside what the modules of `api` declare.

pgrx::extension_sql_file!("../sql/install/operation_type_enum.sql", name = "operation_type_enum", bootstrap);
pgrx::extension_sql_file!("../sql/install/jobs.sql", name = "jobs", requires = ["operation_type_enum"]);
pgrx::extension_sql_file!("../sql/install/rollup_tables.sql", name = "rollup_tables", requires = ["jobs"]);
pgrx::extension_sql_file!("../sql/install/rollup_views.sql", name = "rollup_views", finalize);
pgrx::extension_sql_file!("../sql/install/doctor/server.sql", name = "doctor_server", requires = ["jobs"]);
pgrx::extension_sql_file!("../sql/install/doctor/replication.sql", name = "doctor_replication", requires = ["jobs"]);
pgrx::extension_sql_file!("../sql/install/doctor/vacuum.sql", name = "doctor_vacuum", requires = ["jobs"]);
pgrx::extension_sql_file!("../sql/install/doctor/growth.sql", name = "doctor_growth", requires = ["jobs"]);
pgrx::extension_sql_file!("../sql/install/doctor/partitions.sql", name = "doctor_partitions", requires = ["jobs"]);
pgrx::extension_sql_file!("../sql/install/doctor/sums.sql", name = "doctor_sums", requires = ["jobs"]);
pgrx::extension_sql_file!("../sql/install/doctor/jobs.sql", name = "doctor_jobs", requires = ["jobs"]);
pgrx::extension_sql_file!("../sql/install/doctor/doctor.sql", name = "doctor", requires = ["jobs"]);
