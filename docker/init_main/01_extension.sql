-- The extension: types, procedures and the job list.
create extension if not exists operations_ext schema public;
