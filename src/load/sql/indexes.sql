-- $1: a table.
select indexrelid from pg_index where indrelid = $1
