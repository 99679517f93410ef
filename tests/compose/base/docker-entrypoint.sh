#!/usr/bin/env bash
# The part of the official postgres image's entrypoint contract that the demo relies on, written anew for the tests'
# stand-in: the POSTGRES_* variables and their _FILE forms, one init on an empty PGDATA with a server that listens on
# its socket only, the files of /docker-entrypoint-initdb.d in order, then the command itself.
set -Eeuo pipefail

# from_file NAME DEFAULT: export NAME from itself, from the file that NAME_FILE names, or from the default.
from_file() {
    local name=$1 file_name="$1_FILE"
    if [ -n "${!name:-}" ] && [ -n "${!file_name:-}" ]; then
        printf 'error: both %s and %s are set (but are exclusive)\n' "$name" "$file_name" >&2
        exit 1
    fi
    local value=${!name:-$2}
    if [ -n "${!file_name:-}" ]; then
        value=$(<"${!file_name}")
    fi
    export "$name=$value"
    unset "$file_name"
}

run_sql() {
    PGHOST='' PGHOSTADDR='' psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --no-password --no-psqlrc \
        --dbname "${DATABASE:-$POSTGRES_DB}" "$@"
}

run_init_file() {
    case $1 in
    *.sh)
        printf '%s: running %s\n' "$0" "$1"
        if [ -x "$1" ]; then
            "$1"
        else
            # shellcheck source=/dev/null
            . "$1"
        fi
        ;;
    *.sql)
        printf '%s: running %s\n' "$0" "$1"
        run_sql -f "$1"
        ;;
    *) printf '%s: ignoring %s\n' "$0" "$1" ;;
    esac
}

init() {
    if [ -z "$POSTGRES_PASSWORD" ]; then
        echo 'Error: Database is uninitialized and superuser password is not specified.' >&2
        exit 1
    fi
    # POSTGRES_INITDB_ARGS is a string of shell words, as in the official image.
    eval 'initdb --username="$POSTGRES_USER" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD") '"$POSTGRES_INITDB_ARGS"
    printf '\nhost all all all %s\n' "$(postgres -C password_encryption "${@:2}")" >>"$PGDATA/pg_hba.conf"

    export PGPASSWORD=$POSTGRES_PASSWORD
    PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -w start \
        -o "$(printf '%q ' "${@:2}" -c listen_addresses='' -p "${PGPORT:-5432}")"
    local exists="SELECT 1 FROM pg_database WHERE datname = :'db'"
    if [ -z "$(DATABASE=postgres run_sql --set db="$POSTGRES_DB" --tuples-only <<<"$exists")" ]; then
        DATABASE=postgres run_sql --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
    fi
    local file
    for file in /docker-entrypoint-initdb.d/*; do
        run_init_file "$file"
    done
    pg_ctl -D "$PGDATA" -m fast -w stop
    unset PGPASSWORD
    printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

if [ "$1" = postgres ]; then
    from_file POSTGRES_PASSWORD ''
    from_file POSTGRES_USER postgres
    from_file POSTGRES_DB "$POSTGRES_USER"
    from_file POSTGRES_INITDB_ARGS ''
    mkdir -p "$PGDATA"
    chmod 0700 "$PGDATA"
    if [ "$(id -u)" = 0 ]; then
        find "$PGDATA" /var/run/postgresql ! -user postgres -exec chown postgres '{}' +
        exec gosu postgres "$0" "$@"
    fi
    if [ -s "$PGDATA/PG_VERSION" ]; then
        printf '\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n'
    else
        init "$@"
    fi
fi
exec "$@"
