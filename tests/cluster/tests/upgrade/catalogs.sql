-- What the catalogs say of the extension and of what is in its schema, a fact a line, without OIDs: equal lines, equal objects.
with extension as (
    select * from pg_extension where extname = 'operations_ext'
),
member as (
    select classid, objid from pg_depend d join extension e on d.refobjid = e.oid
    where d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
),
relation as (
    select c.* from pg_class c join extension e on c.relnamespace = e.extnamespace
),
routine as (
    select p.* from pg_proc p join extension e on p.pronamespace = e.extnamespace
),
object as (
    select 'pg_class'::regclass as classid, oid as objid from relation
    union select 'pg_proc'::regclass, oid from routine
    union select 'pg_type'::regclass, t.oid from pg_type t join extension e on t.typnamespace = e.extnamespace
    union select 'pg_trigger'::regclass, t.oid from pg_trigger t join relation r on r.oid = t.tgrelid
    union select 'pg_constraint'::regclass, c.oid from pg_constraint c join extension e on c.connamespace = e.extnamespace
    union select 'pg_rewrite'::regclass, w.oid from pg_rewrite w join relation r on r.oid = w.ev_class
    union select 'pg_attrdef'::regclass, a.oid from pg_attrdef a join relation r on r.oid = a.adrelid
    union select 'pg_extension'::regclass, oid from extension
    union select * from member
),
fact as (
    select 'extension', format('%s in %s of %s, relocatable %s', extversion, extnamespace::regnamespace, extowner::regrole, extrelocatable)
    from extension
    union all
    select 'dumped', format('%s %s', c.relation::regclass, extcondition[c.number])
    from extension, unnest(extconfig) with ordinality as c(relation, number)
    union all
    select 'member', pg_describe_object(classid, objid, 0) from member
    union all
    select 'comment', format('%s: %s', pg_describe_object(d.classoid, d.objoid, d.objsubid), d.description)
    from pg_description d join object o on o.classid = d.classoid and o.objid = d.objoid
    union all
    select 'routine', format('%s of %s, %s', pg_get_functiondef(oid), proowner::regrole, (select array_agg(a::text order by a::text) from unnest(proacl) a))
    from routine
    union all
    select 'relation', format('%s %s %s of %s, access method %s, options %s, row security %s %s, replica identity %s, bounds %s, %s', relname, relkind, relpersistence,
                              relowner::regrole, (select amname from pg_am where pg_am.oid = relam), reloptions, relrowsecurity, relforcerowsecurity, relreplident,
                              pg_get_expr(relpartbound, oid), (select array_agg(a::text order by a::text) from unnest(relacl) a))
    from relation
    union all
    select 'column', format('%s.%s %s %s not null %s, identity %s, generated %s, default %s, storage %s, compression %s, statistics %s, collation %s, %s',
                            r.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
                            pg_get_expr(d.adbin, d.adrelid), a.attstorage, a.attcompression, a.attstattarget, a.attcollation::regcollation,
                            (select array_agg(x::text order by x::text) from unnest(a.attacl) x))
    from relation r
    join pg_attribute a on a.attrelid = r.oid and a.attnum > 0
    left join pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum
    union all
    select 'constraint', format('%s on %s: %s, validated %s', c.conname, c.conrelid::regclass, pg_get_constraintdef(c.oid), c.convalidated)
    from pg_constraint c join relation r on r.oid = c.conrelid
    union all
    select 'index', format('%s, valid %s, clustered %s', pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisclustered)
    from pg_index i join relation r on r.oid = i.indexrelid
    union all
    select 'trigger', format('%s, enabled %s, of a parent %s', pg_get_triggerdef(t.oid), t.tgenabled, t.tgparentid <> 0)
    from pg_trigger t join relation r on r.oid = t.tgrelid
    union all
    select 'view', format('%s: %s', relname, pg_get_viewdef(oid)) from relation where relkind in ('v', 'm')
    union all
    select 'rule', pg_get_ruledef(w.oid) from pg_rewrite w join relation r on r.oid = w.ev_class
    union all
    select 'sequence', format('%s %s from %s by %s, %s to %s, cache %s, cycle %s', r.relname, s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin, s.seqmax,
                              s.seqcache, s.seqcycle)
    from pg_sequence s join relation r on r.oid = s.seqrelid
    union all
    select 'type', format('%s %s of %s, labels %s, %s', t.typname, t.typtype, t.typowner::regrole,
                          (select array_agg(l.enumlabel order by l.enumsortorder) from pg_enum l where l.enumtypid = t.oid),
                          (select array_agg(a::text order by a::text) from unnest(t.typacl) a))
    from pg_type t join extension e on t.typnamespace = e.extnamespace
    union all
    select 'dependency', format('%s needs %s (%s)', pg_describe_object(d.classid, d.objid, d.objsubid), pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid), d.deptype)
    from pg_depend d
    where exists (select from object o where (o.classid, o.objid) = (d.classid, d.objid) or (o.classid, o.objid) = (d.refclassid, d.refobjid))
    union all
    select 'role', format('%s: %s (%s)', pg_describe_object(d.classid, d.objid, d.objsubid), pg_describe_object(d.refclassid, d.refobjid, 0), d.deptype)
    from pg_shdepend d
    where d.dbid = (select oid from pg_database where datname = current_database())
      and exists (select from object o where (o.classid, o.objid) = (d.classid, d.objid))
    union all
    select 'first rights', format('%s %s %s', pg_describe_object(p.classoid, p.objoid, p.objsubid), p.privtype, (select array_agg(a::text order by a::text) from unnest(p.initprivs) a))
    from pg_init_privs p
    where exists (select from object o where (o.classid, o.objid) = (p.classoid, p.objoid))
)
-- The names of TOAST tables are OIDs.
select kind || ': ' || regexp_replace(text, 'pg_toast_\d+', 'pg_toast', 'g') collate "C" as line
from fact as f(kind, text)
order by line
