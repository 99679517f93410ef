-- Ids are given in order, and the index on (status, id) has the highest of each status. Done operations are counted by the
-- rollups: no row of operations is read.
select greatest((select max(id) from @schema@.operations where status = 0),
                (select max(id) from @schema@.operations where status = 1))::float8 as operations_inserted_total,
       (t.rows + d.rows)::float8 as operations_done,
       d.changes::float8 as unfolded_changes
from (select coalesce(sum(rows), 0) as rows from @schema@.operations_rollup_total) t
cross join (select coalesce(sum(rows), 0) as rows, count(*) as changes from @schema@.operations_delta) d
