-- Run by reach.rs: what anybody but its owner may do with what the extension and operations_setup() make, a row a right.
with extension as (
    select oid, extnamespace from pg_extension where extname = 'operations_ext'
), relation as (
    select c.oid, c.relacl, c.relowner, c.relkind,
           case when c.relispartition then 'partitions of operations' else c.relname end as name
    from pg_class c, extension e
    where c.relnamespace = e.extnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
), reach as (
    select 'relation ' || name as object, a.grantee, a.privilege_type as right
    from relation r, aclexplode(coalesce(relacl, acldefault(case relkind when 'S' then 's' else 'r' end::"char", relowner))) a
    where a.grantee <> r.relowner
    union all
    select 'column ' || r.name || '.' || t.attname, a.grantee, a.privilege_type
    from relation r join pg_attribute t on t.attrelid = r.oid, aclexplode(t.attacl) a
    where a.grantee <> r.relowner
    union all
    select case p.prokind when 'p' then 'procedure ' else 'function ' end || p.proname, a.grantee, a.privilege_type
    from pg_proc p, extension e, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
    where p.pronamespace = e.extnamespace and a.grantee <> p.proowner
    union all
    -- The row types of relations, and arrays, are no more than what they are made of.
    select 'type ' || t.typname, a.grantee, a.privilege_type
    from pg_type t left join pg_class c on c.oid = t.typrelid, extension e,
         aclexplode(coalesce(t.typacl, acldefault('T', t.typowner))) a
    where t.typnamespace = e.extnamespace and a.grantee <> t.typowner and t.typelem = 0
      and coalesce(c.relkind, 'c') = 'c'
    union all
    select 'schema ' || n.nspname, a.grantee, a.privilege_type
    from pg_namespace n, extension e, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
    where n.oid = e.extnamespace and a.grantee <> n.nspowner
    union all
    select 'default privileges of ' || d.defaclrole::regrole, a.grantee, a.privilege_type
    from pg_default_acl d, aclexplode(d.defaclacl) a
)
select distinct object, case grantee when 0 then 'PUBLIC' else grantee::regrole::text end, lower("right")
from reach
order by 1, 2, 3
