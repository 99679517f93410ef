-- What both databases of a torture have: how they are looked at, and what scripts use.
create schema torture;

-- Something that has to do with nothing else.
create table torture.other (number integer);

create function torture.halve() returns trigger language plpgsql as $$
begin
    new.amount := round(new.amount / 2, 2) + 0.01;
    return new;
end $$;

create function torture.refuse() returns trigger language plpgsql as $$
begin
    if new.client_id % 97 = 0 then
        raise exception 'not this client';
    end if;
    return new;
end $$;

create function torture.nothing() returns trigger language plpgsql as $$
begin
    return null;
end $$;

-- The tables that are partitions of operations, or were.
create view torture.month as
select c.oid, c.relname, c.relpersistence, c.relispartition, pg_get_expr(c.relpartbound, c.oid) as bound, c.reloptions
from pg_class c
where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and c.relname ~ '^operations_[0-9]{4}_[0-9]{2}(_[0-9]+)?$';

-- The rows of each table, a line a table: how many, and, if deep, a hash of all of their columns. An enum is hashed by its
-- label, for its OID is another one in every database. On a replica an unlogged table cannot be read.
create function torture.look(deep boolean) returns text language plpgsql stable set lock_timeout = '100ms' as $$
declare
    month record;
    hash text;
    line text;
    lines text[];
begin
    for month in select * from torture.month order by relname collate "C" loop
        select format('sum(hash_record_extended(row(%s), 0))',
                      string_agg(format(case when t.typtype = 'e' then '%I::text' else '%I' end, a.attname), ', ' order by a.attname))
        into hash
        from pg_attribute a join pg_type t on t.oid = a.atttypid
        where a.attrelid = month.oid and a.attnum > 0 and not a.attisdropped;
        if month.relpersistence = 'u' and pg_is_in_recovery() then
            line := 'unlogged';
        else
            execute format('select concat_ws('' '', count(*), sum(id), sum(status), min(id), max(id), %s) from public.%I',
                           case when deep then hash else 'null' end, month.relname)
            into line;
        end if;
        lines := lines || format('%s %s', month.relname, line);
    end loop;
    if not pg_is_in_recovery() then
        select string_agg(format('by the parent: %s %s', o.name, o.counts), E'\n' order by o.name collate "C")
        into line
        from (
            select tableoid::regclass::text as name, concat_ws(' ', count(*), sum(id), sum(status)) as counts
            from public.operations
            group by tableoid
        ) o;
        lines := lines || line;
    end if;
    return array_to_string(lines, E'\n');
end $$;

-- The same rows by the indexes, where there are such.
create function torture.look_by_index() returns text language plpgsql stable
set lock_timeout = '100ms' set enable_seqscan = off set enable_bitmapscan = off as $$
begin
    return concat_ws(
        ' ',
        (select concat_ws(' ', count(*), sum(id)) from public.operations where status = 0 and id > 0),
        (select concat_ws(' ', count(*), sum(id)) from public.operations where status = 1 and id > 0),
        (select concat_ws(' ', count(*), sum(id)) from public.operations where operation_date > '2000-01-01' and id > 0)
    );
end $$;

-- What the tables are: columns, indexes, constraints, triggers.
create function torture.structure() returns text language sql stable set lock_timeout = '100ms' as $$
    with relation as (
        select oid, relname, relpersistence, relispartition, bound, reloptions from torture.month
        union all
        select oid, relname, relpersistence, relispartition, null, reloptions from pg_class
        where oid = 'public.operations'::regclass
    ), part as (
        select relname, concat_ws(' ', 'table', relpersistence, relispartition, bound, reloptions, obj_description(oid, 'pg_class')) as is
        from relation
        union all
        select relname, concat_ws(' ', 'column', attname, format_type(atttypid, atttypmod), attnotnull, attidentity,
                                  pg_get_expr(d.adbin, d.adrelid), col_description(r.oid, attnum))
        from relation r
        join pg_attribute a on a.attrelid = r.oid
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where attnum > 0 and not attisdropped
        union all
        select relname, concat_ws(' ', pg_get_indexdef(indexrelid), indisvalid, indisready, indisprimary, indisclustered,
                                  (select inhparent::regclass from pg_inherits where inhrelid = indexrelid))
        from relation r join pg_index i on i.indrelid = r.oid
        union all
        select relname, concat_ws(' ', 'constraint', conname, contype, pg_get_constraintdef(k.oid), conislocal, coninhcount)
        from relation r join pg_constraint k on k.conrelid = r.oid
        union all
        select relname, concat_ws(' ', pg_get_triggerdef(t.oid), tgenabled, tgparentid <> 0)
        from relation r join pg_trigger t on t.tgrelid = r.oid
    )
    select string_agg(relname || ': ' || part.is, E'\n' order by relname collate "C", part.is collate "C") from part
$$;
