# shellcheck shell=bash
# Sourced by primary.sh before it makes the data of a coordinator of Citus: takes the workers that it is to have. A comment on the database
# of each says for which attempt it was taken, and the mark beside the data names all attempts that came to nothing. What these have left
# on a worker was never served to anyone, so it goes; what another coordinator has there stays.

# ask_worker DATABASE: what the statements of the standard input return there.
ask_worker() {
    PGCONNECT_TIMEOUT=5 psql --no-psqlrc --no-password --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --set database="$POSTGRES_DB" \
        --set taken="$taken" --host "$worker" --username "$POSTGRES_USER" --dbname "$1" 2>&1
}

taken='operations: taken for '
noted="select pg_catalog.shobj_description(oid, 'pg_database') from pg_catalog.pg_database where datname = :'database'"
attempt=$(</proc/sys/kernel/random/uuid)
printf '%s\n' "$attempt" >>"$PGDATA.initialising"
sync "$PGDATA.initialising"
for worker in $OPERATIONS_WORKERS; do
    for ((waited = 0; ; waited++)); do
        if note=$(ask_worker template1 <<<"$noted"); then break; fi
        [ "$waited" -lt 60 ] || die "no worker answers at $worker: $note"
        [ $((waited % 10)) != 0 ] || say "waiting for the worker $worker: $note"
        sleep 1
    done
    if [[ $note == "$taken"* ]]; then
        grep -qxF -- "${note#"$taken"}" "$PGDATA.initialising" ||
            refuse "$worker holds the rows of a coordinator whose data are not in the volume: bring those back, or delete all (docker compose down --volumes)"
        say "$worker was taken for a first start that was cut short: making its database anew"
        # A prepared transaction would keep it from being dropped.
        ask_worker "$POSTGRES_DB" <<<"select pg_catalog.format('rollback prepared %L', gid) from pg_catalog.pg_prepared_xacts where database = :'database' \gexec"
        ask_worker template1 <<<'drop database :"database" with (force); create database :"database";'
    fi
    ask_worker template1 <<<"select :'taken' || '$attempt' as taken \gset
        comment on database :\"database\" is :'taken';"
    ask_worker "$POSTGRES_DB" <<<'create extension if not exists citus;'
done
