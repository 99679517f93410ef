-- Whether operations has an index of (status, id), whatever its name.
select exists (
    select
    from pg_index i
    join pg_attribute s on s.attrelid = i.indrelid and s.attname = 'status'
    join pg_attribute d on d.attrelid = i.indrelid and d.attname = 'id'
    where i.indrelid = '@extschema@.operations'::regclass
      and i.indisvalid and i.indpred is null and i.indexprs is null
      and i.indkey::text = concat_ws(' ', s.attnum, d.attnum)
)
