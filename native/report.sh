# shellcheck shell=bash disable=SC2034
# Sourced after servers.sh: whether the demo lives, and how to use it.

# What the primary still lacks: the replica's stream, and a good run of both jobs since its start.
read -r -d '' PRIMARY_LACKS <<SQL || true
select 'the replica does not stream yet'
where not exists (select from pg_catalog.pg_stat_replication where application_name = '$SLOT' and state = 'streaming')
union all
select case
           when job.job_name is null then pg_catalog.format('the job %s is not scheduled (CALL operations_schedule())', wanted.name)
           when job.last_status = 'failed' then pg_catalog.format('the job %s failed: %s', wanted.name, job.last_message)
           else pg_catalog.format('the job %s has not run yet', wanted.name)
       end
from pg_catalog.unnest(array['operation_insert_one', 'change_status']) as wanted (name)
left join public.operations_jobs() as job on job.job_name = wanted.name
where not coalesce(job.last_status = 'succeeded' and job.last_finished_at > pg_catalog.pg_postmaster_start_time(), false)
SQL

REPLICA_LACKS="select case when pg_is_in_recovery() then 'the replica receives nothing yet'
                           else 'the replica was promoted: it follows no primary' end
    where not exists (select from pg_stat_wal_receiver where status = 'streaming')"

promoted() { [ "$(ask replica 'select pg_is_in_recovery()' 2>&1)" = f ]; }

# One reason a line; nothing when all is well.
not_yet_live() {
    ask primary "$PRIMARY_LACKS" 2>&1 || true
    ask replica "$REPLICA_LACKS" 2>&1 || true
}

streams_within() {
    local deadline=$((SECONDS + $1))
    until [ "$(ask replica "$REPLICA_LACKS" 2>&1)" = "" ]; do
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.5
    done
}

wait_until_live() {
    local started=$SECONDS reported=$SECONDS lacks
    say "Waiting for the replica to stream and for both jobs to run"
    while lacks=$(not_yet_live) && [ -n "$lacks" ]; do
        case $lacks in
            *"password authentication failed"*)
                restore_passwords
                die "the demo's data were made with another password: set POSTGRES_PASSWORD to it, or run make clean first" ;;
        esac
        [ $((SECONDS - started)) -lt 60 ] ||
            die "after 60 s ${lacks//$'\n'/; } (logs: $DEMO/primary.log, $DEMO/replica.log)"
        if [ $((SECONDS - reported)) -ge 5 ]; then
            reported=$SECONDS
            say "    $((SECONDS - started)) s: ${lacks//$'\n'/; }"
        fi
        sleep 0.2
    done
}

say_how_to_connect() {
    local password=$POSTGRES_PASSWORD
    [ "$password" = postgres ] || password="as you set it"
    cat <<TEXT

The demo lives: one new operation every 5 s, a batch of status changes every 3 s.
    primary  127.0.0.1:$PRIMARY_PORT    replica  127.0.0.1:$REPLICA_PORT    database $POSTGRES_DB, user $POSTGRES_USER, password $password

    make status         what lives, in one screen
    make psql           a session on the primary, for example:
                            select * from client_type_sum_mv order by total_amount desc limit 5;
                            call operations_test_data('2025-08-01', '2025-11-30', 50000);
                            select * from operations_jobs();
    make psql-replica   the same on the replica, read-only
    make stop           stop both; make demo goes on with the same data
    make clean          stop both and delete the demo's data
TEXT
}
