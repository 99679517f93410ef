-- Giving its space back would take a lock that a replica takes, too, and cancels its readers for. Half of each page is left
-- for new versions of its rows, which then need no entries in the index.
create materialized view if not exists @extschema@.client_type_sum_mv with (fillfactor = 50, vacuum_truncate = off) as
select client_id, operation_type, total_amount
from @extschema@.client_type_sum_live;

-- REFRESH .. CONCURRENTLY needs a unique index on plain columns, and so does what change_status() does in its place.
create unique index if not exists client_type_sum_mv_client_id_operation_type_idx
    on @extschema@.client_type_sum_mv (client_id, operation_type);

comment on materialized view @extschema@.client_type_sum_mv is
    'Sum of amount of the operations done (status 1), by client and type. Refreshed by change_status().';
comment on column @extschema@.client_type_sum_mv.client_id is 'The client.';
comment on column @extschema@.client_type_sum_mv.operation_type is 'The type of the operations summed.';
comment on column @extschema@.client_type_sum_mv.total_amount is 'The sum in EUR.';
comment on index @extschema@.client_type_sum_mv_client_id_operation_type_idx is
    'A sum is there once. Lets REFRESH .. CONCURRENTLY tell which rows changed, so that readers go on.';
