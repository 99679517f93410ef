-- The types are those that the function was declared with, whatever somebody has made of the views.
select coalesce(m.client_id, l.client_id)::int4, coalesce(m.operation_type, l.operation_type)::@extschema@.operation_type_enum,
       m.total_amount::numeric, l.total_amount::numeric
from @extschema@.client_type_sum_mv m
full join @extschema@.client_type_sum_live l on l.client_id = m.client_id and l.operation_type = m.operation_type
where m.total_amount is distinct from l.total_amount
