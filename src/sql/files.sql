-- $1: relations. The tablespaces and numbers of their files, and of those of their indexes and TOAST tables.
with relation as (
    select c.oid from pg_class c where c.oid = any ($1)
    union all
    select c.reltoastrelid from pg_class c where c.oid = any ($1)
)
select coalesce(nullif(c.reltablespace, 0), d.dattablespace), c.relfilenode
from pg_class c
join pg_database d on d.datname = current_database()
where c.oid in (select r.oid from relation r union all select i.indexrelid from pg_index i join relation r on r.oid = i.indrelid)
