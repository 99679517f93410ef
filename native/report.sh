# shellcheck shell=bash disable=SC2034
# Sourced after servers.sh: whether the demo lives, and how to use it.

# What the primary still lacks: the replica's stream, and a good run of both jobs since its start.
read -r -d '' PRIMARY_LACKS <<SQL || true
SELECT 'the replica does not stream yet'
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_stat_replication WHERE application_name = '$SLOT' AND state = 'streaming')
UNION ALL
SELECT CASE
           WHEN job.job_name IS NULL THEN pg_catalog.format('the job %s is not scheduled (CALL operations_schedule())', wanted.name)
           WHEN job.last_status = 'failed' THEN pg_catalog.format('the job %s failed: %s', wanted.name, job.last_message)
           ELSE pg_catalog.format('the job %s has not run yet', wanted.name)
       END
FROM pg_catalog.unnest(ARRAY['operation_insert_one', 'change_status']) AS wanted (name)
LEFT JOIN public.operations_jobs() AS job ON job.job_name = wanted.name
WHERE NOT coalesce(job.last_status = 'succeeded' AND job.last_finished_at > pg_catalog.pg_postmaster_start_time(), false)
SQL

REPLICA_LACKS="SELECT CASE WHEN pg_is_in_recovery() THEN 'the replica receives nothing yet'
                           ELSE 'the replica was promoted: it follows no primary' END
    WHERE NOT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')"

promoted() { [ "$(ask replica 'SELECT pg_is_in_recovery()' 2>&1)" = f ]; }

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
                            SELECT * FROM client_type_sum_mv ORDER BY total_amount DESC LIMIT 5;
                            CALL operations_test_data('2025-08-01', '2025-11-30', 50000);
                            SELECT * FROM operations_jobs();
    make psql-replica   the same on the replica, read-only
    make stop           stop both; make demo goes on with the same data
    make clean          stop both and delete the demo's data
TEXT
}
