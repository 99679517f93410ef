-- Who may read client_type_sum_live. Citus asks each node for the sums as who reads, and not as the owner of the view.
select coalesce(string_agg(distinct case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end, ', '), '')
from pg_class c
cross join lateral aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
where c.oid = $1 and a.privilege_type = 'SELECT'
