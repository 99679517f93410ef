-- Why the rows of operations are not read; no row if nothing is against it.
--
-- Who plans a query runs the constant parts of the indexes and checks of what it reads. So all of it has to belong to superusers.
with recursive parts (oid) as (
    select '@schema@.operations'::regclass::oid
    union
    select i.inhrelid from parts p join pg_inherits i on i.inhparent = p.oid
)
select format('not read: %s belongs to %s, who is no superuser', p.oid::regclass, r.rolname)
from parts p
join pg_class c on c.oid = p.oid
join pg_roles r on r.oid = c.relowner
where not r.rolsuper
order by p.oid::regclass::text
limit 1
