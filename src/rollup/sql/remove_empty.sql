with emptied as (
    delete from @extschema@.operations_rollup where rows = 0 and amount = 0
)
delete from @extschema@.operations_rollup_total where rows = 0 and amount = 0
