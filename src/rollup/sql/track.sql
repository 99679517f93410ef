-- $1: partitions that are not tracked. Sums them up and tracks them, in one statement and so in one snapshot: what is
-- counted later is added to what the rows were without the changes that are counted already. Leaves out a partition with
-- done operations that no sum can follow.
with direct as materialized (
    select partition, client_id, operation_type, rows, amount, summable
    from @extschema@.operations_direct_sums($1)
), version as materialized (
    select v.partition, v.version
    from @extschema@.operations_partition_version v
    where v.counted
      and v.partition = any ($1)
      and v.partition not in (select d.partition from direct d where not d.summable)
), tracked as (
    insert into @extschema@.operations_rollup_partition (partition, version)
    select partition, version from version
    returning partition
), base as materialized (
    select partition, client_id, operation_type, sum(rows)::bigint as rows, sum(amount) as amount
    from (
        select partition, client_id, operation_type, rows, amount from direct
        union all
        select partition, client_id, operation_type, -rows, -amount from @extschema@.operations_delta
    ) b
    where partition in (select partition from version)
    group by partition, client_id, operation_type
    having sum(rows) <> 0 or sum(amount) <> 0
), folded as (
    insert into @extschema@.operations_rollup (partition, client_id, operation_type, rows, amount)
    select partition, client_id, operation_type, rows, amount
    from base
), totalled as (
    insert into @extschema@.operations_rollup_total as t (client_id, operation_type, rows, amount)
    select client_id, operation_type, sum(rows), sum(amount)
    from base
    group by client_id, operation_type
    having sum(rows) <> 0 or sum(amount) <> 0
    on conflict (client_id, operation_type)
    do update set rows = t.rows + excluded.rows, amount = t.amount + excluded.amount
)
select count(*) from tracked
