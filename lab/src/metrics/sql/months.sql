-- Operations by month and status. Those done are counted by the rollups. Those new are counted by the index as long as that is
-- quick; of a month of more than a million rows they are what its statistics leave.
with months as (
    select i.inhrelid as partition, c.reltuples, substring(pg_get_expr(c.relpartbound, c.oid) from '^FOR VALUES FROM \(''(\d+-\d+)') as month
    from pg_inherits i
    join pg_class c on c.oid = i.inhrelid
    where i.inhparent = '@schema@.operations'::regclass and not i.inhdetachpending
), done as (
    select s.partition, sum(s.rows) as rows
    from (
        select r.partition, r.rows from @schema@.operations_rollup r
        union all
        select d.partition, d.rows from @schema@.operations_delta d
    ) s
    group by s.partition
), small as (
    select o.tableoid as partition, count(*) as rows
    from @schema@.operations o
    where o.status = 0 and o.tableoid in (select m.partition from months m where m.reltuples <= 1000000)
    group by o.tableoid
)
select m.month, s.status, sum(s.rows)::float8 as month_operations
from months m
left join done d on d.partition = m.partition
left join small n on n.partition = m.partition
cross join lateral (
    values ('done', coalesce(d.rows, 0)),
           ('new', case when m.reltuples <= 1000000 then coalesce(n.rows, 0) else greatest(m.reltuples - coalesce(d.rows, 0), 0)::numeric end)
) s (status, rows)
where m.month is not null
group by m.month, s.status
order by m.month desc, s.status
limit 1200
