//! What one server knows about its own health: `operations_doctor()`, all of it SQL. The program operations-lab asks it.

pgrx::extension_sql_file!("sql/server.sql", name = "doctor_server", requires = ["jobs"]);
pgrx::extension_sql_file!("sql/replication.sql", name = "doctor_replication", requires = ["jobs"]);
pgrx::extension_sql_file!("sql/vacuum.sql", name = "doctor_vacuum", requires = ["jobs"]);
pgrx::extension_sql_file!("sql/growth.sql", name = "doctor_growth", requires = ["jobs"]);
pgrx::extension_sql_file!("sql/partitions.sql", name = "doctor_partitions", requires = ["jobs"]);
pgrx::extension_sql_file!("sql/sums.sql", name = "doctor_sums", requires = ["jobs"]);
pgrx::extension_sql_file!("sql/jobs.sql", name = "doctor_jobs", requires = ["jobs"]);
pgrx::extension_sql_file!("sql/doctor.sql", name = "doctor", requires = ["jobs"]);
