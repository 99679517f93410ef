-- The calls of operations_test_data() that run now, together.
select count(*)::float8 as loads_running, coalesce(sum(rows_done), 0)::float8 as load_rows_done,
       coalesce(sum(rows_total), 0)::float8 as load_rows_wanted
from @schema@.operations_load_progress
