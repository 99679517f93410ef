-- $1, $2: two tables. Their indexes, those on the same columns side by side.
select a.indexrelid, b.indexrelid
from pg_index a
join pg_index b on b.indkey::text = a.indkey::text
where a.indrelid = $1 and b.indrelid = $2
