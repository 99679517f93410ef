-- query: that of the view. What differs between its rows and those that the view holds: where the row is (null: nowhere
-- yet), whether it stays, and what it is to hold.
select m.ctid, l.is_there, l.client_id, l.operation_type, l.total_amount
from (select q.client_id, q.operation_type, q.total_amount, true as is_there from (@query@) q) l
full join @extschema@.client_type_sum_mv m on m.client_id = l.client_id and m.operation_type = l.operation_type
where m.ctid is null or l.is_there is null or m.total_amount is distinct from l.total_amount
