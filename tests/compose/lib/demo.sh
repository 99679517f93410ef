# shellcheck shell=bash
# Sourced by ../run: speaks to the demo as its user would, by `docker compose` and psql on the published ports.

say() { printf '%s\n' "$*"; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# await SECONDS WHAT COMMAND...: until the command succeeds.
await() {
    local limit=$1 what=$2 deadline=$((SECONDS + $1))
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || die "waited $limit s in vain for $what"
        sleep 0.2
    done
}

# same WHAT WANTED FOUND
same() { [ "$2" = "$3" ] || die "$1: wanted <$2>, found <$3>"; }

free_port() {
    local port
    for _ in {1..100}; do
        port=$((20000 + RANDOM % 10000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
    die "no free port found"
}

# Settings unlike the defaults, so that a default wired in somewhere is noticed; passwords that need quoting everywhere.
choose_settings() {
    export COMPOSE_PROJECT_NAME=operations-test
    export POSTGRES_USER=postgres POSTGRES_DB=operations_db REPLICATION_USER=replicator
    # shellcheck disable=SC2016 # nothing is to be expanded
    export POSTGRES_PASSWORD='a:b\c "d" $e'\''f%g' REPLICATION_PASSWORD='h:i\j "k" $l'\''m%n'
    PRIMARY_PORT=$(free_port)
    REPLICA_PORT=$(free_port)
    export PRIMARY_PORT REPLICA_PORT
}

demo() { docker compose -f "$checkout/compose.yaml" --progress plain "$@"; }

build_demo() {
    say "building the demo's image (minutes, if nothing of it is there yet: see $log)"
    demo build >>"$log" 2>&1 && return
    tail -n 30 "$log"
    die "the demo's image cannot be built"
}

# up [ARGUMENT...]: as a user starts it, with a limit.
# shellcheck disable=SC2120 # other files give arguments
up() { demo up --build --wait --wait-timeout 600 "$@" >>"$log" 2>&1 </dev/null; }

down_with_data() { demo down --volumes --remove-orphans --timeout 20 >>"$log" 2>&1; }

container() { demo ps --all --quiet "postgres_$1" | head -n 1; }
inspect() { docker inspect --format "$2" "$(container "$1")"; }
health() { inspect "$1" '{{.State.Health.Status}}'; }
is_health() { [ "$(health "$1")" = "$2" ]; }
logs() { docker logs "$(container "$1")" 2>&1; }
# log_has SERVICE PATTERN [SINCE]. No pipe into grep: it would leave at the first match, and pipefail takes that ill.
log_has() { grep -q -- "$2" <<<"$(docker logs --since "${3:-1970-01-01T00:00:01Z}" "$(container "$1")" 2>&1)"; }
now() { date -u +%Y-%m-%dT%H:%M:%S.%NZ; }

# session PORT [ARGUMENT...]: psql through a published port, with the password.
session() {
    PGPASSWORD=$POSTGRES_PASSWORD PGCONNECT_TIMEOUT=5 psql --no-psqlrc --no-password -qAt -v ON_ERROR_STOP=1 \
        -h 127.0.0.1 -p "$1" -U "$POSTGRES_USER" -d "$POSTGRES_DB" "${@:2}"
}

# ask primary|replica SQL [ARGUMENT...]
ask() {
    local port=$PRIMARY_PORT
    [ "$1" = primary ] || port=$REPLICA_PORT
    session "$port" -c "$2" "${@:3}"
}

# answers primary|replica SQL WANTED
answers() { [ "$(ask "$1" "$2")" = "$3" ]; }

digest="SELECT pg_catalog.count(*), pg_catalog.sum(o.amount), pg_catalog.sum(o.status),
    pg_catalog.md5(pg_catalog.string_agg(o::text, ',' ORDER BY o.operation_date, o.id)) FROM public.operations AS o"

# The replica's rows are the primary's: with writers held off, it must come to the same digest.
assert_equal_contents() {
    local wanted
    coproc HOLDER { session "$PRIMARY_PORT"; }
    printf '%s\n' 'BEGIN;' 'LOCK TABLE public.operations IN SHARE MODE;' "$digest;" >&"${HOLDER[1]}"
    read -r -t 60 wanted <&"${HOLDER[0]}" || die "the primary's digest did not come"
    await 60 "the replica to hold the primary's rows ($wanted)" answers replica "$digest" "$wanted"
    printf 'ROLLBACK;\n\\q\n' >&"${HOLDER[1]}"
    wait "$HOLDER_PID"
}

streams() { answers primary "SELECT pg_catalog.count(*) > 0 FROM pg_catalog.pg_stat_replication WHERE state = 'streaming'" t; }

# A run of both jobs that began after now and succeeded.
assert_jobs_tick() {
    local since
    since=$(ask primary "SELECT pg_catalog.clock_timestamp()")
    await "${1:-20}" "both jobs to run after $since" answers primary \
        "SELECT pg_catalog.count(DISTINCT j.jobname) FROM cron.job_run_details AS d JOIN cron.job AS j USING (jobid)
         WHERE d.status = 'succeeded' AND d.start_time > '$since'
           AND j.jobname IN ('operation_insert_one', 'change_status')" 2
}

# The demo is up, however the check before left it.
need_demo() {
    # shellcheck disable=SC2119
    if ! up; then
        say "-- the last lines of $log:"
        tail -n 30 "$log"
        die "the demo does not start"
    fi
}

show_demo() {
    demo ps --all || true
    for service in primary replica; do
        say "-- the last lines of $service:"
        logs "$service" | tail -n 25 || true
    done
}
