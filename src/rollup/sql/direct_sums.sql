-- partition: its OID; table: its name.
select @partition@::oid, client_id::int4, operation_type::@extschema@.operation_type_enum, count(*), sum(amount)::numeric,
       client_id is not null and operation_type is not null and count(amount) = count(*)
       and sum(amount) not in ('NaN', 'Infinity', '-Infinity')
from only @table@
where status = 1
group by client_id, operation_type
