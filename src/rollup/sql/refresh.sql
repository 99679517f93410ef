refresh materialized view concurrently @extschema@.client_type_sum_mv
