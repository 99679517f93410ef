-- A table like a partition, which nobody else sees before the transaction commits. The constraint spares ATTACH the reading
-- of all rows.
create table @extschema@.@staging_table@ (
    like @extschema@.operations
    including comments including compression including constraints including defaults including generated
    including indexes including storage,
    constraint operations_load_month check (operation_date >= @from@ and operation_date < @to@)
) with (vacuum_truncate = off) -- giving space back would cancel readers of a replica
