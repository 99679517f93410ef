-- $1: operations and the partitions that rows go to. What about them is not as operations_setup() makes it and matters to
-- who puts rows there past COPY, one reason a row; none, if all is as it should be. Operators are of pg_catalog: this runs
-- under a safe search_path.
with relation as (
    select c.oid, c.oid::regclass as name, c.relkind, c.relpersistence, c.relispartition, c.relhasrules, c.relrowsecurity,
           c.reltablespace, c.reloptions, a.amname
    from pg_class c
    left join pg_am a on a.oid = c.relam
    where c.oid = any ($1)
    -- What partitions have of their parent is named there.
    order by c.relispartition, c.oid
), parent as (
    select oid, reltablespace from relation where relkind = 'p' and not relispartition
)
select format('%s is not a plain logged table', name)
from relation
where relkind not in ('p', 'r')
   or relkind = 'p' and relispartition
   or relkind = 'r' and amname <> 'heap'
   or relpersistence <> 'p'
union all
select format('%s has rules or row-level security', name)
from relation
where relhasrules or relrowsecurity
union all
select format('%s is in another tablespace', name)
from relation
where reltablespace <> (select reltablespace from parent)
union all
select format('%s has the storage parameter %s', name, option)
from relation, unnest(reloptions) as option
where option ~ '^(fillfactor|toast_tuple_target|parallel_workers)='
union all
select format('%s has other columns', r.name)
from relation r
where (
    select array_agg(concat_ws(' ', a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated,
                               a.attisdropped) order by a.attnum)
    from pg_attribute a
    where a.attrelid = r.oid and a.attnum > 0
) is distinct from array[
    '1 id bigint t  f', '2 operation_date date t  f', '3 operation_guid uuid t  f', '4 client_id integer t  f',
    format('5 operation_type %s t  f', format_type('@extschema@.operation_type_enum'::regtype, null)),
    '6 amount numeric(12,2) t  f', '7 status smallint t  f', '8 message jsonb t  f'
]
union all
select format('the identity of %s does not count up by one to the end of bigint', r.name)
from relation r
where r.relkind = 'p'
  and not exists (
      select
      from pg_attribute a
      join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = a.attrelid and d.refobjsubid = a.attnum
                      and d.classid = 'pg_class'::regclass and d.deptype = 'i'
      join pg_sequence s on s.seqrelid = d.objid
      where a.attrelid = r.oid and a.attname = 'id' and a.attidentity <> '' and s.seqincrement = 1
                          and s.seqmax = 9223372036854775807 and not s.seqcycle
  )
union all
select format('%s has the trigger %s', r.name, t.tgname)
from relation r
join pg_trigger t on t.tgrelid = r.oid
where (t.tgparentid = 0 or not exists (select from parent))
  and ((t.tgname, t.tgtype, t.tgfoid) not in (
           ('operations_count_insert', 5, '@extschema@.operations_count_change()'::regprocedure),
           ('operations_count_delete', 9, '@extschema@.operations_count_change()'::regprocedure),
           ('operations_count_update', 17, '@extschema@.operations_count_change()'::regprocedure)
       )
       or t.tgname = 'operations_count_insert' and pg_get_triggerdef(t.oid) !~ ' WHEN \(\(new\.status = 1\)\) ')
union all
select format('%s has the constraint %s', r.name, k.conname)
from relation r
join pg_constraint k on r.oid in (k.conrelid, k.confrelid)
where (k.conparentid = 0 or not exists (select from parent))
  and k.contype not in ('p', 'n')
  and (k.contype <> 'c'
       or pg_get_constraintdef(k.oid) not in (
           'CHECK ((amount > (0)::numeric))',
           'CHECK ((status = ANY (ARRAY[0, 1])))'
       ))
union all
select format('%s has other indexes', r.name)
from relation r
where (
    select array_agg(format('%s %s %s %s', i.indkey, i.indisprimary, i.indisunique, a.amname) order by i.indkey::text)
    from pg_index i
    join pg_class c on c.oid = i.indexrelid
    join pg_am a on a.oid = c.relam
    where i.indrelid = r.oid
      and i.indisvalid and i.indisready and i.indimmediate and not i.indisexclusion and i.indpred is null and i.indexprs is null
      and c.reltablespace = r.reltablespace and c.reloptions is null
      and not exists (select from unnest(i.indoption) as option where option <> 0)
      and not exists (
          select from unnest(i.indclass) as class join pg_opclass o on o.oid = class where not o.opcdefault
      )
) is distinct from array['2 1 t t btree', '7 1 f f btree']
or (select count(*) from pg_index i where i.indrelid = r.oid) <> 2
union all
select format('%s has a DEFAULT partition', p.partrelid::regclass)
from pg_partitioned_table p
where p.partrelid = any ($1) and p.partdefid <> 0
