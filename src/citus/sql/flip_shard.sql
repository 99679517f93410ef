-- $1: 0 for even ids, 1 for odd; $2: at most so many. As src/workload/sql/flip.sql, of a shard and by its key.
with batch as materialized (
    select operation_date, client_id, id
    from @operations@
    where status operator(pg_catalog.=) 0
      and (id operator(pg_catalog.&) 1) operator(pg_catalog.=) $1
    order by id
    limit $2
    for update skip locked
), flipped as (
    update @operations@ o
    set status = 1
    from batch b
    where o.operation_date operator(pg_catalog.=) b.operation_date
      and o.client_id operator(pg_catalog.=) b.client_id
      and o.id operator(pg_catalog.=) b.id
    returning 1
)
select pg_catalog.count(*) from flipped
