-- @where@: which partition, and its bounds, so that no other is read.
select tableoid, client_id::int4, operation_type::@extschema@.operation_type_enum, count(*), sum(amount)::numeric,
       client_id is not null and operation_type is not null and count(amount) = count(*) and sum(amount) <> 'NaN'
from @extschema@.operations
where status = 1 @where@
group by tableoid, client_id, operation_type
