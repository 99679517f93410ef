-- By their bounds: a partition may have any name. What is ahead ends at the first hole.
with bounds as (
    select substring(pg_get_expr(c.relpartbound, c.oid) from '^FOR VALUES FROM \(''([^'']+)''\)')::date as lower,
           substring(pg_get_expr(c.relpartbound, c.oid) from ' TO \(''([^'']+)''\)$')::date as upper
    from pg_inherits i
    join pg_class c on c.oid = i.inhrelid
    where i.inhparent = '@schema@.operations'::regclass and not i.inhdetachpending
), months as (
    select distinct generate_series(date_trunc('month', lower::timestamp), upper::timestamp - interval '1 day', '1 month') as month
    from bounds
    where lower > '-infinity' and upper < 'infinity'
), this as (
    select date_trunc('month', current_date::timestamp) as month
), hole as (
    select min(g.month) as month
    from generate_series((select month from this), (select greatest(max(m.month), (select month from this)) + interval '1 month' from months m),
                         '1 month') g (month)
    where g.month not in (select m.month from months m)
)
select count(*)::float8 as partitions,
       count(*) filter (where m.month > (select month from this) and m.month < (select month from hole))::float8 as partitions_ahead,
       (count(*) filter (where m.month = (select month from this)) = 0)::int::float8 as partition_of_today_missing
from months m
