insert into @extschema@.operations
    (operation_date, operation_guid, client_id, operation_type, amount, status, message)
values ($1, $2, $3, $4::@extschema@.operation_type_enum, $5, $6, $7)
