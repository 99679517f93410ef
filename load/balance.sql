-- A client looks at the sums; few clients look often.
\set client random_zipfian(1, 5000, 1.05)
select operation_type, total_amount from client_type_sum_mv where client_id = :client;
