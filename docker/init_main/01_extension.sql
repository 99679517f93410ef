-- The extension: types, procedures and the job list.
CREATE EXTENSION IF NOT EXISTS operations_ext SCHEMA public;
