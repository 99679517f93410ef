-- What was kept of the table as it was.
delete from @extschema@.operations_rollup_partition;
delete from @extschema@.operations_rollup;
delete from @extschema@.operations_rollup_total;
delete from @extschema@.operations_delta;
delete from @extschema@.operations_shard_month;
