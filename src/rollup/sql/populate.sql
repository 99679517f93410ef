refresh materialized view @extschema@.client_type_sum_mv
