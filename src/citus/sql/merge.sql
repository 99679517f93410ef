-- As src/rollup/sql/merge.sql. The sums come from the nodes once, and are compared here.
with live as materialized (
    select client_id, operation_type, total_amount from @extschema@.client_type_sum_live
)
select m.ctid, l.is_there, l.client_id, l.operation_type, l.total_amount
from (select client_id, operation_type, total_amount, true as is_there from live) l
full join @extschema@.client_type_sum_mv m on m.client_id = l.client_id and m.operation_type = l.operation_type
where m.ctid is null or l.is_there is null or m.total_amount is distinct from l.total_amount
