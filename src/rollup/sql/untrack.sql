-- Takes out what was summed up of partitions that are gone or of another version. Says which are tracked, and whether a sum of
-- no rows is left.
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
), totalled as (
    insert into @extschema@.operations_rollup_total as t (client_id, operation_type, rows, amount)
    select client_id, operation_type, -sum(rows), -sum(amount)
    from lost
    group by client_id, operation_type
    on conflict (client_id, operation_type)
    do update set rows = t.rows + excluded.rows, amount = t.amount + excluded.amount
    returning rows
)
select array(select partition from tracked), exists (select from totalled where rows = 0)
