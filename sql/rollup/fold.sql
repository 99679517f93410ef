-- Moves the changes that this statement sees into the rollups, and takes out what was summed up of partitions that are
-- gone or of another version. Says whether a sum of no rows is left.
with tracked as materialized (
    select r.partition
    from @extschema@.operations_rollup_partition r
    join @extschema@.operations_partition_version v on v.partition = r.partition and v.version = r.version
), stale as materialized (
    select partition
    from @extschema@.operations_rollup_partition
    where partition not in (select partition from tracked)
), untracked as (
    delete from @extschema@.operations_rollup_partition
    where partition in (select partition from stale)
), lost as (
    delete from @extschema@.operations_rollup
    where exists (select from stale) and partition = any (array(select partition from stale))
    returning client_id, operation_type, rows, amount
), taken as (
    delete from @extschema@.operations_delta
    returning partition, client_id, operation_type, rows, amount
), change as materialized (
    select partition, client_id, operation_type, sum(rows) as rows, sum(amount) as amount
    from taken
    where partition in (select partition from tracked)
    group by partition, client_id, operation_type
    having sum(rows) <> 0 or sum(amount) <> 0
), folded as (
    insert into @extschema@.operations_rollup as r (partition, client_id, operation_type, rows, amount)
    select partition, client_id, operation_type, rows, amount
    from change
    on conflict (partition, client_id, operation_type)
    do update set rows = r.rows + excluded.rows, amount = r.amount + excluded.amount
    returning rows
), totalled as (
    insert into @extschema@.operations_rollup_total as t (client_id, operation_type, rows, amount)
    select client_id, operation_type, sum(rows), sum(amount)
    from (
        select client_id, operation_type, rows, amount from change
        union all
        select client_id, operation_type, -rows, -amount from lost
    ) c
    group by client_id, operation_type
    having sum(rows) <> 0 or sum(amount) <> 0
    on conflict (client_id, operation_type)
    do update set rows = t.rows + excluded.rows, amount = t.amount + excluded.amount
    returning rows
)
select exists (select from folded where rows = 0) or exists (select from totalled where rows = 0) as empty
