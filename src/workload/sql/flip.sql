-- $1: 0 for even ids, 1 for odd; $2: at most so many. Operators are qualified because this runs under the caller's
-- search_path, which triggers of the table's owner may count on.
with batch as materialized (
    select operation_date, id
    from @extschema@.operations
    where status operator(pg_catalog.=) 0
      and (id operator(pg_catalog.&) 1) operator(pg_catalog.=) $1
    order by id
    limit $2
    for update skip locked
)
update @extschema@.operations o
set status = 1
from batch b
where o.operation_date operator(pg_catalog.=) b.operation_date
  and o.id operator(pg_catalog.=) b.id
