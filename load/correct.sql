-- The amount of an operation of the last three months is corrected by up to a tenth. What was done already changes its sums, too.
\set day random(0, 90)
\set place random(0, 1000000)
\set change random(-100, 100)
update operations o
set amount = least(greatest(round(o.amount * (1 + :change / 1000.0), 2), 0.01), 9999999999.99)
from (
    select id
    from operations
    where operation_date = current_date - :day
      and id >= (
          select min(id) + ((max(id) - min(id)) * (:place / 1000000.0))::bigint
          from operations
          where operation_date = current_date - :day
      )
    order by id
    limit 1
) c
where o.operation_date = current_date - :day and o.id = c.id;
