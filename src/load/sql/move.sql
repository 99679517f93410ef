-- For a month that somebody else created or wrote to meanwhile.
insert into @extschema@.operations
    (id, operation_date, operation_guid, client_id, operation_type, amount, status, message)
overriding system value
select id, operation_date, operation_guid, client_id, operation_type, amount, status, message
from @extschema@.@staging_table@
