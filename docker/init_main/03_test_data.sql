-- Operations from August 2025 to today: OPERATIONS_TEST_ROWS of them (100000), none if that is 0.
\set rows ''
\getenv rows OPERATIONS_TEST_ROWS
select coalesce(nullif(:'rows', ''), '100000')::bigint as rows \gset

select :rows > 0 and not exists (select from public.operations) as wanted \gset
\if :wanted
    call public.operations_test_data('2025-08-01', current_date, :rows);
\endif
