-- The procedures of the extension as plain SQL, for the database that scripts are compared with: rows come by COPY, months by
-- CREATE TABLE and ATTACH, operations are done by UPDATE. Nothing of the extension is in that database.
create function torture.partitions(out name text, out first date, out after date) returns setof record
language sql stable as $$
    select c.relname,
           substring(pg_get_expr(c.relpartbound, c.oid) from 'FROM \(''([0-9-]+)''\)')::date,
           substring(pg_get_expr(c.relpartbound, c.oid) from 'TO \(''([0-9-]+)''\)')::date
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'public.operations'::regclass and not i.inhdetachpending
$$;

create procedure torture.create_missing(first_month date, last_month date) language plpgsql as $$
declare
    month date;
    usual text;
    name text;
    number integer;
begin
    for month in
        select generate_series(date_trunc('month', first_month::timestamp), last_month::timestamp, '1 month')::date
    loop
        continue when exists (select from torture.partitions() p where p.first <= month and month < p.after);
        usual := 'operations_' || to_char(month, 'YYYY_MM');
        name := usual;
        number := 2;
        while to_regclass(format('public.%I', name)) is not null loop
            name := usual || '_' || number;
            number := number + 1;
        end loop;
        execute format(
            'create table public.%I (like public.operations including comments including compression '
            'including constraints including defaults including generated including storage) with (vacuum_truncate = off)',
            name);
        execute format('alter table public.operations attach partition public.%I for values from (%L) to (%L)',
                       name, month, (month + interval '1 month')::date);
        execute format('comment on table public.%I is %L', name, 'The operations of ' || to_char(month, 'YYYY-MM') || '.');
    end loop;
end $$;

-- What the documentation says of arguments and of read-only transactions.
create procedure torture.refuse_unless(state text, holds boolean) language plpgsql as $$
begin
    if not coalesce(holds, true) then
        raise exception using errcode = state, message = 'refused';
    end if;
end $$;

create procedure public.operations_test_data(
    p_start_date date, p_end_date date, p_rows_total bigint, p_seed bigint default null, p_workers integer default null
) language plpgsql as $$
begin
    call torture.refuse_unless('22004', p_start_date is not null and p_end_date is not null);
    call torture.refuse_unless('22008', isfinite(p_start_date) and isfinite(p_end_date));
    call torture.refuse_unless('22004', p_rows_total is not null);
    call torture.refuse_unless('22023', p_rows_total between 1 and 10000000000);
    call torture.refuse_unless('22023', p_start_date <= p_end_date);
    call torture.refuse_unless('22023', p_workers between 1 and 1024);
    call torture.refuse_unless('25006', current_setting('transaction_read_only') = 'off');
    call torture.create_missing(p_start_date, p_end_date);
    execute format(
        'copy public.operations (operation_date, operation_guid, client_id, operation_type, amount, status, message) '
        'from %L (format binary)',
        torture.folder() || format('/rows_%s_%s_%s_%s', p_seed, p_start_date, p_end_date, p_rows_total));
end $$;

-- p_parity: 0 in an even second, 1 in an odd one.
create procedure public.change_status(p_batch integer default 20000, p_parity bigint default 0) language plpgsql as $$
begin
    call torture.refuse_unless('22004', p_batch is not null);
    call torture.refuse_unless('22023', p_batch >= 1);
    call torture.refuse_unless('25006', current_setting('transaction_read_only') = 'off');
    with batch as materialized (
        select operation_date, id
        from public.operations
        where status = 0 and (id & 1) = p_parity
        order by id
        limit p_batch
        for update
    )
    update public.operations o
    set status = 1
    from batch b
    where o.operation_date = b.operation_date and o.id = b.id;
end $$;

create procedure public.operations_maintain_partitions(p_months_ahead integer default 3, p_retain_months integer default null)
language plpgsql as $$
declare
    this_month date := date_trunc('month', current_date);
    first_month date;
    old record;
begin
    call torture.refuse_unless('22004', p_months_ahead is not null);
    call torture.refuse_unless('22023', p_months_ahead between 0 and 1200 and coalesce(p_retain_months, 0) between 0 and 1200);
    call torture.refuse_unless('25006', current_setting('transaction_read_only') = 'off');
    if p_retain_months is not null then
        for old in
            select * from torture.partitions() p
            where p.after <= this_month - make_interval(months => p_retain_months)
            order by p.first
        loop
            execute format('alter table public.operations detach partition public.%I', old.name);
        end loop;
    end if;
    select least(this_month, min(p.first)) into first_month from torture.partitions() p;
    call torture.create_missing(first_month, (this_month + make_interval(months => p_months_ahead))::date);
end $$;
