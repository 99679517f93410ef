-- What client_type_sum_mv holds otherwise than client_type_sum_live gives it at this moment.
select count(*)::float8 as sums_differing,
       coalesce(sum(abs(coalesce(s.held_amount, 0) - coalesce(s.live_amount, 0))), 0)::float8 as sums_differing_euros
from @schema@.operations_stale_sums() s
