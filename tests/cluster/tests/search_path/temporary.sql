-- Run by search_path.rs: traps in the session's own temporary schema, which comes before all others for relations and types.

CREATE TEMP TABLE operations (LIKE public.operations INCLUDING ALL);
CREATE TEMP VIEW client_type_sum_mv AS SELECT * FROM public.client_type_sum_mv WHERE evil.trap('pg_temp.client_type_sum_mv');
CREATE TEMP VIEW operations_job AS SELECT * FROM public.operations_job WHERE evil.trap('pg_temp.operations_job');
CREATE TEMP VIEW pg_class AS SELECT * FROM pg_catalog.pg_class WHERE evil.trap('pg_temp.pg_class');
CREATE TEMP VIEW pg_inherits AS SELECT * FROM pg_catalog.pg_inherits WHERE evil.trap('pg_temp.pg_inherits');
CREATE TYPE pg_temp.operation_type_enum AS ENUM ('offline', 'online');
CREATE DOMAIN pg_temp.date AS pg_catalog.date CHECK (evil.trap('pg_temp.date'));
CREATE TRIGGER trap BEFORE INSERT OR UPDATE ON pg_temp.operations FOR EACH ROW EXECUTE FUNCTION evil.row_trap();
