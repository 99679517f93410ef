-- What keeps a worker of Citus from being healthy, one reason a row. Until the coordinator has added it, it has no doctor.
select exists (select from pg_catalog.pg_extension where extname = 'operations_ext') as has_doctor \gset
\if :has_doctor
    select pg_catalog.format('%s: %s; %s', found.code, found.evidence, found.next_command)
    from public.operations_doctor_server() as found
    where found.severity in ('broken', 'unknown')
    order by found.code, found.evidence;
\endif
