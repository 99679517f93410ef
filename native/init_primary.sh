# shellcheck shell=bash disable=SC2034
# Sourced by demo.sh: makes the primary's data, under another name until all of docker/init_main has run.

NEW=$DEMO/primary.new

# What a start that was cut short left behind was never whole, and nobody's rows are in it.
remove_half_made() {
    [ -e "$NEW" ] || return 0
    say "An earlier start was cut short: removing its half-made primary and starting over"
    stop_server primary "$NEW"
    as_server_user rm -rf "$NEW"
}

locale_flags() {
    case $(locale -a 2>/dev/null | tr '\n' ' ') in
        *C.utf8\ * | *C.UTF-8\ *) echo --locale=C.UTF-8 ;;
        *) echo --locale=C ;;
    esac
}

initdb() {
    local status=0 password=$DEMO/password.new
    write_as_server_user "$password" <<<"$POSTGRES_PASSWORD"
    as_server_user "$PG_BIN/initdb" --pgdata "$NEW" --username "$POSTGRES_USER" --pwfile "$password" --auth scram-sha-256 \
        --data-checksums --encoding UTF8 "$(locale_flags)" >"$LOGS/initdb.log" 2>&1 || status=$?
    as_server_user rm -f "$password"
    [ "$status" = 0 ] || die "initdb failed: $(grep -m 1 -i error "$LOGS/initdb.log") (all of it: $LOGS/initdb.log)"
}

# The temporary server takes connections on its socket only: nobody else comes in before all is done.
start_for_init() {
    start_server primary "$NEW" listen_addresses= "$@" ||
        die "the primary did not start for its init: $(why_not_started "$DEMO/primary.log") (all of it: $DEMO/primary.log)"
}

# As in the official image: psql -f for .sql, bash for .sh, the same variables, the local socket.
run_init_file() {
    local file=$1
    export POSTGRES_USER POSTGRES_DB POSTGRES_PASSWORD REPLICATION_USER REPLICATION_PASSWORD PGDATA=$NEW
    export PGHOST=$RUN PGPORT=$PRIMARY_PORT PGPASSWORD=$POSTGRES_PASSWORD PATH=$PG_BIN:$PATH
    case $file in
        *.sql) as_server_user "$PG_BIN/psql" --no-psqlrc --no-password --quiet --set ON_ERROR_STOP=1 \
            --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --file "$file" ;;
        *.sh) as_server_user bash "$file" ;;
    esac
}

# socket_psql DATABASE ARGUMENT...: as the superuser, through the socket.
socket_psql() {
    PGHOST=$RUN PGPORT=$PRIMARY_PORT PGUSER=$POSTGRES_USER PGPASSWORD=$POSTGRES_PASSWORD PGDATABASE=$1 \
        as_server_user "$PG_BIN/psql" -XqAtw "${@:2}"
}

# How far a long load is, from another session.
loaded_rows() {
    socket_psql "$POSTGRES_DB" -c 'select tuples_processed from pg_stat_progress_copy' 2>/dev/null | head -n 1
}

report_load() {
    local rows started=$SECONDS
    while sleep 5 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
        rows=$(loaded_rows)
        say "      $((SECONDS - started)) s${rows:+: $rows rows loaded}"
    done
}

run_init_files() {
    local file log=$LOGS/init.log began reporter
    : >"$log"
    for file in "$DEMO"/docker/init_main/*; do
        began=${EPOCHREALTIME/./}
        report_load 9>&- &
        reporter=$!
        if ! (run_init_file "$file") >>"$log" 2>&1 </dev/null; then
            kill "$reporter" 2>/dev/null || true
            die "docker/init_main/${file##*/} failed: $(grep -v '^$' "$log" | grep -m 1 -iE 'error|fatal' || tail -n 1 "$log") (all of it: $log)"
        fi
        kill "$reporter" 2>/dev/null || true
        wait "$reporter" 2>/dev/null || true
        say "    $(printf '%-28s %5d ms' "${file##*/}" $(((${EPOCHREALTIME/./} - began) / 1000)))"
    done
}

init_primary() {
    trap 'stop_server primary "$NEW"' EXIT
    say "Making the primary: initdb, then docker/init_main"
    initdb
    start_for_init
    socket_psql postgres -v ON_ERROR_STOP=1 -v name="$POSTGRES_DB" >"$LOGS/createdb.log" 2>&1 <<<"
            select format('create database %I', :'name')
            where :'name' not in (select datname from pg_database) \\gexec" ||
        die "the database $POSTGRES_DB could not be made: $(head -n 1 "$LOGS/createdb.log")"
    stop_server primary "$NEW"
    # The worker stays off until all is there: operations_ext.database is only set at the real start.
    start_for_init "${SCHEDULER[@]/#operations_ext.database=*/operations_ext.database=}"
    run_init_files
    stop_server primary "$NEW"
    trap - EXIT
    as_server_user sync "$NEW/global/pg_control"
    as_server_user mv -T "$NEW" "$DEMO/primary"
    as_server_user sync "$DEMO"
}
