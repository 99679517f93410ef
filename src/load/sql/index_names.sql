-- $1: a table. $2: the name that it had. Its indexes, and what of their names follows that.
select c.relname::text, substr(c.relname::text, length($2) + 1)
from pg_index i
join pg_class c on c.oid = i.indexrelid
where i.indrelid = $1 and starts_with(c.relname::text, $2)
