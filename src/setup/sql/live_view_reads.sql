-- $1: a view; $2: a table; $3: numbers of columns. Whether the view reads these columns of the table.
select $3::int2[] <@ array(
    select d.refobjsubid::int2
    from pg_rewrite w
    join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
    where w.ev_class = $1 and d.refclassid = 'pg_class'::regclass and d.refobjid = $2
)
