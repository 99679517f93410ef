-- $1: operations. Whether a trigger that counts changes is missing, from the table or a partition, or does not always fire.
select count(*) <> 3
    or exists (select from @extschema@.operations_partition_version where not counted)
from pg_trigger
where tgrelid = $1
  and tgname in ('operations_count_insert', 'operations_count_delete', 'operations_count_update')
  and tgenabled = 'A'
