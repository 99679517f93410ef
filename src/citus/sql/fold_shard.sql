-- $1: the partitions that are tracked, by their first days. What was changed in others stays: who sums them up takes it into account.
with moved as (
    delete from @delta@
    where from_day = any ($1::text::date[])
    returning from_day, client_id, operation_type, rows, amount
)
insert into @rollup@ as r (client_id, operation_type, from_day, rows, amount)
select client_id, operation_type, from_day, sum(rows), sum(amount)
from moved
group by client_id, operation_type, from_day
having sum(rows) <> 0 or sum(amount) <> 0
on conflict (client_id, operation_type, from_day)
do update set rows = r.rows + excluded.rows, amount = r.amount + excluded.amount
