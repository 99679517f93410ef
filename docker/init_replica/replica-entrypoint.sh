#!/usr/bin/env bash
# Makes PGDATA a replica of PRIMARY_HOST, then becomes the server command given as arguments.
#
#   PRIMARY_HOST, PRIMARY_PORT (5432)    where the primary is
#   REPLICATION_USER (replicator), REPLICATION_PASSWORD or REPLICATION_PASSWORD_FILE
#   REPLICATION_SLOT                     the replica's own slot; by default named after the host, and remembered
#   PGDATA                               the replica's data; the folder it lies in must be writable, too
#   WAIT_SECONDS (300)                   how long to wait for the primary
#   REPLICA_RECLONE=1                    throw away data that can't follow this primary, and clone anew
#
# A clone is filled under another name and renamed when it is whole, so a PGDATA that exists is a whole one. It is kept for
# as long as it can follow. It is cloned anew when the primary no longer keeps the WAL it needs, or when it failed to
# start twice in a row without getting anywhere; that loses nothing, for all of it came from the primary.
set -euo pipefail
export LC_ALL=C

say() { printf 'replica: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}

: "${PRIMARY_HOST:?is not set: the host of the primary}" "${PGDATA:?is not set: the folder of the data}"
PRIMARY_PORT=${PRIMARY_PORT:-5432}
REPLICATION_USER=${REPLICATION_USER:-replicator}
WAIT_SECONDS=${WAIT_SECONDS:-300}
PGDATA=${PGDATA%/}
export PGDATA
parent=$(dirname "$PGDATA")

if [ -n "${REPLICATION_PASSWORD_FILE:-}" ]; then
    [ -r "$REPLICATION_PASSWORD_FILE" ] || die "REPLICATION_PASSWORD_FILE=$REPLICATION_PASSWORD_FILE cannot be read"
    REPLICATION_PASSWORD=$(<"$REPLICATION_PASSWORD_FILE")
    unset REPLICATION_PASSWORD_FILE
fi
[ -n "${REPLICATION_PASSWORD:-}" ] || die "set REPLICATION_PASSWORD, or REPLICATION_PASSWORD_FILE to a file that holds it"

# Started as root, as containers are: hand the folder over and go on as the server's user.
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$parent"
    # Not what is in it: the server's user may have put a link there.
    chown -h postgres: "$parent"
    export REPLICATION_PASSWORD
    command -v gosu >/dev/null && exec gosu postgres "${BASH_SOURCE[0]}" "$@"
    exec setpriv --reuid=postgres --regid=postgres --init-groups "${BASH_SOURCE[0]}" "$@"
fi

mountpoint -q "$PGDATA" 2>/dev/null && die "$PGDATA is a mount point and cannot be renamed: mount $parent instead"

# The slot stays the same when a container is made anew under another host name.
if [ -z "${REPLICATION_SLOT:-}" ]; then
    host=${HOSTNAME,,}
    host=${host//[^a-z0-9]/_}
    [ -s "$PGDATA.slot" ] || printf 'replica_%s\n' "${host:0:50}" >"$PGDATA.slot"
    REPLICATION_SLOT=$(<"$PGDATA.slot")
fi
[[ $REPLICATION_SLOT =~ ^[a-z0-9_]{1,63}$ ]] ||
    die "REPLICATION_SLOT=$REPLICATION_SLOT is no name for a slot: up to 63 lower-case letters, digits and _"

# The password goes into a file that libpq reads: it is seen in no command line, no process list and no setting.
passfile=$PGDATA.pgpass
escape() { printf '%s' "$1" | sed -e 's/\\/\\\\/g' -e 's/:/\\:/g'; }
(umask 077 && printf '*:*:*:%s:%s\n' "$(escape "$REPLICATION_USER")" "$(escape "$REPLICATION_PASSWORD")" >"$passfile.new")
mv "$passfile.new" "$passfile"
unset REPLICATION_PASSWORD

# A value of a connection string.
value() { printf "'%s'" "$(printf '%s' "$1" | sed -e 's/\\/\\\\/g' -e "s/'/\\\\'/g")"; }
conninfo="host=$(value "$PRIMARY_HOST") port=$(value "$PRIMARY_PORT") user=$(value "$REPLICATION_USER")"
conninfo+=" application_name=$(value "$REPLICATION_SLOT") passfile=$(value "$passfile") connect_timeout=5"

# Speaks the replication protocol, as the replica itself will: an answer proves the address, the password and pg_hba.conf.
ask_primary() { psql --no-psqlrc --no-password --quiet --tuples-only --no-align --dbname "$conninfo replication=true" --command "$1"; }

wait_for_primary() {
    local started=$SECONDS reported=$SECONDS answer
    until answer=$(ask_primary IDENTIFY_SYSTEM 2>&1); do
        case $answer in
            *"password authentication failed"* | *"no pg_hba.conf entry"*) die "the primary refuses us: ${answer##*: }" ;;
        esac
        [ $((SECONDS - started)) -lt "$WAIT_SECONDS" ] ||
            die "no primary at $PRIMARY_HOST:$PRIMARY_PORT after $WAIT_SECONDS s: ${answer//$'\n'/ }"
        if [ $((SECONDS - reported)) -ge 10 ]; then
            reported=$SECONDS
            say "waiting for the primary at $PRIMARY_HOST:$PRIMARY_PORT ($((SECONDS - started)) of $WAIT_SECONDS s)"
        fi
        sleep 1
    done
    IFS='|' read -r primary_id primary_timeline _ <<<"$answer"
}

# none, lost (the primary gave up the WAL that it kept) or good.
slot_state() {
    local answer kind lsn
    answer=$(ask_primary "READ_REPLICATION_SLOT $REPLICATION_SLOT" 2>&1) || die "the primary does not tell its slots: $answer"
    IFS='|' read -r kind lsn _ <<<"$answer"
    if [ -z "$kind" ]; then echo none; elif [ -z "$lsn" ]; then echo lost; else echo good; fi
}

create_slot() { ask_primary "CREATE_REPLICATION_SLOT $REPLICATION_SLOT PHYSICAL RESERVE_WAL" >/dev/null; }

control() { pg_controldata -D "$1" 2>/dev/null | sed -n "s/^$2: *//p"; }

# Why the data in PGDATA can't follow this primary and nobody but its owner may decide what becomes of it. Nothing if it can.
stranger() {
    local id timeline
    if [ ! -s "$PGDATA/PG_VERSION" ]; then echo "it is no whole clone"; return; fi
    id=$(control "$PGDATA" "Database system identifier")
    timeline=$(control "$PGDATA" "Latest checkpoint's TimeLineID")
    if [ -z "$id" ]; then
        echo "its control file cannot be read"
    elif [ "$id" != "$primary_id" ]; then
        echo "it is a clone of another primary (system identifier $id, and the primary's is $primary_id)"
    elif [ ! -e "$PGDATA/standby.signal" ]; then
        echo "it was promoted and may hold rows that the primary lacks (timeline $timeline, and the primary is on $primary_timeline)"
    elif [ "$timeline" -gt "$primary_timeline" ]; then
        echo "it is on timeline $timeline, ahead of the primary's $primary_timeline"
    fi
}

# Why data that once followed this primary no longer can. Nothing if it can.
left_behind() {
    case $1 in
        lost) echo "the primary has given up the WAL that it lacks (its slot is lost)" ;;
        none) echo "the primary keeps no WAL for it (its slot is gone)" ;;
        *)
            if [ -n "$(missing_file)" ]; then
                echo "it is damaged ($(missing_file) is missing)"
            elif [ "$(failed_starts)" -ge 2 ]; then
                echo "it is damaged (it crashed soon after each of its last two starts)"
            fi
            ;;
    esac
}

# The first of the files that every database needs, of those that the clone had, that is no longer there.
missing_file() {
    local file
    while IFS= read -r file; do
        if [ ! -s "$PGDATA/$file" ]; then
            echo "$file"
            return
        fi
    done < <(grep -oE '(base/[0-9]+/(PG_VERSION|pg_filenode.map)|global/pg_filenode.map)"' "$PGDATA/backup_manifest" 2>/dev/null | tr -d '"')
}

# How many starts in a row ended in a crash within seconds. A replica that lived has written WAL since it started.
failed_starts() {
    local count=0 began newest
    if [ -e "$PGDATA.starts" ] && [ "$(control "$PGDATA" "Database cluster state")" = "in archive recovery" ]; then
        began=$(stat -c %Y "$PGDATA.starts")
        newest=$(stat -c %Y "$PGDATA"/pg_wal/* | sort -n | tail -n 1)
        [ "$newest" -gt $((began + 10)) ] || count=$(($(<"$PGDATA.starts") + 1))
    fi
    echo "$count" | tee "$PGDATA.starts"
}

follow_primary() {
    local folder=$1 quote="'"
    touch "$folder/standby.signal"
    sed -E '/^ *(primary_conninfo|primary_slot_name)\>/d' "$folder/postgresql.auto.conf" >"$folder/postgresql.auto.conf.new"
    {
        printf "primary_conninfo = '%s'\n" "$(printf '%s' "$conninfo" | sed -e 's/\\/\\\\/g' -e "s/'/$quote$quote/g")"
        printf "primary_slot_name = '%s'\n" "$REPLICATION_SLOT"
    } >>"$folder/postgresql.auto.conf.new"
    mv "$folder/postgresql.auto.conf.new" "$folder/postgresql.auto.conf"
}

# Frees the room of the old data first only where there is no room for both.
make_room() {
    [ -e "$PGDATA" ] || return 0
    local old free
    old=$(du -sk "$PGDATA" | cut -f1)
    free=$(df -Pk "$parent" | awk 'END { print $4 }')
    if [ "$free" -lt $((old + old / 4)) ]; then
        say "no room for a second copy ($((free / 1024)) MB free, $((old / 1024)) MB needed): removing the old data before cloning"
        rm -rf "$PGDATA"
    fi
}

clone() {
    local started=$SECONDS
    make_room
    say "cloning $PRIMARY_HOST:$PRIMARY_PORT into $PGDATA"
    # The slot may still be held by a clone that was killed a moment ago.
    until rm -rf "$PGDATA.clone" &&
        pg_basebackup --dbname="$conninfo" --no-password --pgdata="$PGDATA.clone" --wal-method=stream \
            --slot="$REPLICATION_SLOT" --checkpoint=fast --progress; do
        [ $((SECONDS - started)) -lt 60 ] || die "cloning failed: see the lines above"
        sleep 2
    done
    follow_primary "$PGDATA.clone"
    sync "$PGDATA.clone/postgresql.auto.conf" "$PGDATA.clone/standby.signal" "$PGDATA.clone"
    mv "$PGDATA.clone" "$PGDATA.whole"
    sync "$parent"
    take_whole_clone
    say "cloned in $((SECONDS - started)) s"
}

# Also run at the start, for a clone that was whole but not yet in its place when we were killed.
take_whole_clone() {
    if [ -d "$PGDATA.whole" ]; then
        rm -rf "$PGDATA.old"
        [ ! -e "$PGDATA" ] || mv "$PGDATA" "$PGDATA.old"
        mv "$PGDATA.whole" "$PGDATA"
        rm -f "$PGDATA.starts"
        sync "$parent"
    fi
    rm -rf "$PGDATA.old" "$PGDATA.clone"
}

take_whole_clone
rmdir "$PGDATA" 2>/dev/null || true
wait_for_primary

slot=$(slot_state)
why=
if [ -e "$PGDATA" ]; then
    why=$(stranger)
    if [ -n "$why" ]; then
        [ "${REPLICA_RECLONE:-}" = 1 ] || die "not touching $PGDATA: $why; with REPLICA_RECLONE=1 it is thrown away and cloned anew"
    else
        why=$(left_behind "$slot")
    fi
    [ -z "$why" ] || say "cloning anew what is in $PGDATA: $why"
fi

if [ "$slot" = lost ]; then
    ask_primary "DROP_REPLICATION_SLOT $REPLICATION_SLOT" >/dev/null
    slot=none
fi
[ "$slot" = good ] || create_slot
if [ ! -e "$PGDATA" ] || [ -n "$why" ]; then clone; fi

follow_primary "$PGDATA"
[ $# -gt 0 ] || set -- postgres
exec "$@"
