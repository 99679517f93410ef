-- $1, $2: the first and the last day of a partition. In one snapshot: what is counted later is added to what the rows were without
-- the changes that are counted already.
insert into @rollup@ (client_id, operation_type, from_day, rows, amount)
select client_id, operation_type, $1::text::date, sum(rows), sum(amount)
from (
    select client_id, operation_type, 1 as rows, amount
    from @operations@
    where status = 1 and operation_date >= $1::text::date and operation_date <= $2::text::date
    union all
    select client_id, operation_type, -rows, -amount
    from @delta@
    where from_day = $1::text::date
) s
group by client_id, operation_type
having sum(rows) <> 0 or sum(amount) <> 0
