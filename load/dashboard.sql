-- What a dashboard shows: all sums, exact at this moment, and the largest clients.
select operation_type, count(*) as clients, sum(total_amount) as total from client_type_sum_live group by operation_type;
select client_id, sum(total_amount) as total from client_type_sum_mv group by client_id order by total desc limit 10;
