-- Sessions of clients by what they do. All states are there, also those that nobody is in.
select s.state, count(a.pid)::float8 as sessions
from (values ('active'), ('idle'), ('idle in transaction'), ('other')) s (state)
left join pg_stat_activity a
    on a.backend_type = 'client backend'
   and s.state = case when a.state in ('active', 'idle') then a.state
                      when a.state like 'idle in transaction%' then 'idle in transaction'
                      else 'other' end
group by s.state
order by s.state
