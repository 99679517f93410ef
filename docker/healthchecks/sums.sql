-- The same of the sums.
select pg_catalog.format('%s: %s; %s', found.code, found.evidence, found.next_command)
from public.operations_doctor_sums(false) as found
where found.severity in ('broken', 'unknown')
order by found.code, found.evidence;
