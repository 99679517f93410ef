#!/usr/bin/env bash
# Runs the init files on the first server of a cluster under Patroni, as the official entrypoint does. Called by Patroni, once in the life
# of the cluster. Where one fails Patroni throws the data away, and the next start makes them anew.
set -euo pipefail
# The order of the files.
export LC_ALL=C

run_sql() {
    psql --set ON_ERROR_STOP=1 --no-psqlrc --no-password --host /var/run/postgresql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" "$@"
}

for file in /docker-entrypoint-initdb.d/*; do
    printf 'running %s\n' "$file"
    case $file in
        *.sh)
            if [ -x "$file" ]; then
                "$file"
            else
                # shellcheck source=/dev/null
                . "$file"
            fi
            ;;
        *.sql) run_sql --file "$file" ;;
        *.sql.gz) gunzip --stdout "$file" | run_sql ;;
        *.sql.xz) xzcat "$file" | run_sql ;;
        *.sql.zst) zstd --decompress --stdout "$file" | run_sql ;;
        *) printf 'ignoring %s\n' "$file" ;;
    esac
done
