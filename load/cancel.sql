-- A client takes back one of the newest operations, which is not done yet.
\set newest random(0, 9)
delete from operations o
using (
    select id
    from operations
    where operation_date = current_date and status = 0
    order by id desc
    limit 1 offset :newest
    for update skip locked
) c
where o.operation_date = current_date and o.id = c.id;
