-- An operation of an earlier month arrives only now: one like another of its day.
\set day random(1, 90)
\set place random(0, 1000000)
insert into operations (operation_date, operation_guid, client_id, operation_type, amount, message)
select operation_date, gen_random_uuid(), client_id, operation_type, amount, message
from operations
where operation_date = date_trunc('month', current_date)::date - :day
  and id >= (
      select min(id) + ((max(id) - min(id)) * (:place / 1000000.0))::bigint
      from operations
      where operation_date = date_trunc('month', current_date)::date - :day
  )
order by id
limit 1;
