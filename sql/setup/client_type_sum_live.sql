create view @extschema@.client_type_sum_live as
select client_id, operation_type, amount as total_amount
from @extschema@.operations_rollup_live;

comment on view @extschema@.client_type_sum_live is
    'Sum of amount of the operations done (status 1), by client and type, exact at every moment.';
comment on column @extschema@.client_type_sum_live.client_id is 'The client.';
comment on column @extschema@.client_type_sum_live.operation_type is 'The type of the operations summed.';
comment on column @extschema@.client_type_sum_live.total_amount is 'The sum in EUR.';
