#!/usr/bin/env bash
# Makes PGDATA a replica of PRIMARY_HOST, then runs the server command given as arguments.
#
#   PRIMARY_HOST, PRIMARY_PORT (5432)    where the primary is
#   REPLICATION_USER (replicator), REPLICATION_PASSWORD or REPLICATION_PASSWORD_FILE
#   REPLICATION_SLOT                     the replica's own slot; by default named after the host, and remembered
#   PGDATA                               the replica's data; the folder it lies in must be writable, too
#   WAIT_SECONDS (300)                   how long a clone waits for the primary
#   WATCH_SECONDS (5)                    how often the primary is asked for the slot while the server runs
#   REPLICA_PREPARED=1                   the data were made ready by this script a moment ago, for another command
#   REPLICA_RECLONE=1                    throw away data that can't follow this primary, and clone anew
#   REPLICA_RECLONE=promoted             the same also for data of a server that was promoted: rows that only it has are lost
#   REPLICA_RECLONE=always               throw away the data once, whatever they are, and clone anew
#
# A clone is filled under another name and renamed when it is whole, so a PGDATA that exists is a whole one. It is kept for
# as long as it can follow. It is cloned anew when the primary no longer keeps the WAL it needs, or when it failed to
# start twice in a row without getting anywhere; that loses nothing, for all of it came from the primary.
#
# Only a clone needs the primary. Data that are there are served without it, and what was promoted starts by itself.
#
# A server command `postgres` runs as a child of this script, which ends the server when its slot is lost, clones anew and
# starts it again. It becomes any other command.
set -euo pipefail
export LC_ALL=C

# Nothing that a primary answers may move the cursor of who reads the log.
say() { printf 'replica: %.500s\n' "${*//[![:print:]]/ }" >&2; }
die() {
    say "$*"
    exit 1
}

: "${PRIMARY_HOST:?is not set: the host of the primary}" "${PGDATA:?is not set: the folder of the data}"
PRIMARY_PORT=${PRIMARY_PORT:-5432}
REPLICATION_USER=${REPLICATION_USER:-replicator}
WAIT_SECONDS=${WAIT_SECONDS:-300}
WATCH_SECONDS=${WATCH_SECONDS:-5}
SLOT_SECONDS=2
PGDATA=${PGDATA%/}
export PGDATA
parent=$(dirname "$PGDATA")

if [ -n "${REPLICATION_PASSWORD_FILE:-}" ]; then
    [ -r "$REPLICATION_PASSWORD_FILE" ] || die "REPLICATION_PASSWORD_FILE=$REPLICATION_PASSWORD_FILE cannot be read"
    REPLICATION_PASSWORD=$(<"$REPLICATION_PASSWORD_FILE")
    unset REPLICATION_PASSWORD_FILE
fi
[ -n "${REPLICATION_PASSWORD:-}" ] || die "set REPLICATION_PASSWORD, or REPLICATION_PASSWORD_FILE to a file that holds it"
case ${REPLICA_RECLONE:=} in
    '' | 1 | promoted | always) ;;
    *) die "REPLICA_RECLONE=$REPLICA_RECLONE: give 1, promoted, always or nothing" ;;
esac

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

# Says what a program says to standard error, as cleanly as we do.
filtered() {
    local line
    while IFS= read -r line || [ -n "$line" ]; do say "$line"; done
}

# The password goes into a file that libpq reads: it is seen in no command line, no process list and no setting.
passfile=$PGDATA.pgpass
escape() { printf '%s' "$1" | sed -e 's/\\/\\\\/g' -e 's/:/\\:/g'; }
(umask 077 && printf '*:*:*:%s:%s\n' "$(escape "$REPLICATION_USER")" "$(escape "$REPLICATION_PASSWORD")" >"$passfile.new")
mv "$passfile.new" "$passfile"
unset REPLICATION_PASSWORD

# A value of a connection string.
value() { printf "'%s'" "$(printf '%s' "$1" | sed -e 's/\\/\\\\/g' -e "s/'/\\\\'/g")"; }
conninfo="host=$(value "$PRIMARY_HOST") port=$(value "$PRIMARY_PORT") user=$(value "$REPLICATION_USER")"
conninfo+=" application_name=$(value "$REPLICATION_SLOT") passfile=$(value "$passfile") connect_timeout=3"
# What the replica's receiver adds: its process on the primary must not hang on a network that was cut with data under way,
# for the primary waits for that process before it gives up the slot.
receiver="keepalives_idle=5 keepalives_interval=2 keepalives_count=3 tcp_user_timeout=10000"
receiver+=" options='-c tcp_user_timeout=10s -c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3'"

# ask_primary PARAMETER STATEMENT
ask_primary() {
    timeout --foreground 10 psql --no-psqlrc --no-password --quiet --tuples-only --no-align --dbname "$conninfo $1" --command "$2" </dev/null
}

# Speaks the replication protocol, as the replica itself will: an answer proves the address, the password and pg_hba.conf.
replication() { ask_primary replication=true "$1"; }

# Whether the primary answers. What no patience mends is the end.
reach_primary() {
    local hint
    if answer=$(replication IDENTIFY_SYSTEM 2>&1); then
        IFS='|' read -r primary_id primary_timeline _ <<<"$answer"
        [[ $primary_id =~ ^[0-9]{1,20}$ && $primary_timeline =~ ^[0-9]{1,10}$ ]] || die "what answers is no primary: $answer"
        return
    fi
    case $answer in
        *"password authentication failed"*)
            hint="REPLICATION_PASSWORD is not the password of the role $REPLICATION_USER there. It was given to the role at the"
            hint+=" primary's first start: set it back, or change it there with ALTER ROLE"
            ;;
        *"no pg_hba.conf entry"*) hint="let the role $REPLICATION_USER in, in the primary's pg_hba.conf" ;;
        *) return 1 ;;
    esac
    die "the primary refuses us: ${answer##*: }; $hint"
}

wait_for_primary() {
    local started=$SECONDS reported=$((SECONDS - 10))
    until reach_primary; do
        [ $((SECONDS - started)) -lt "$WAIT_SECONDS" ] ||
            die "no primary at $PRIMARY_HOST:$PRIMARY_PORT after $WAIT_SECONDS s: $answer"
        if [ $((SECONDS - reported)) -ge 10 ]; then
            reported=$SECONDS
            say "waiting for the primary at $PRIMARY_HOST:$PRIMARY_PORT ($((SECONDS - started)) of $WAIT_SECONDS s)"
        fi
        sleep 1
    done
}

# The primary's system identifier, t if it is a replica itself, and what became of our slot: none, lost (it gave up the WAL
# that it kept), or its wal_status. READ_REPLICATION_SLOT does not tell: on 16, a receiver that comes back fills the place of a
# lost slot again. The role needs no right for this but to connect.
examine_primary() {
    ask_primary dbname=postgres "select s.system_identifier, pg_catalog.pg_is_in_recovery(), coalesce((
        select coalesce(r.wal_status, 'lost') from pg_catalog.pg_replication_slots r
        where r.slot_name = '$REPLICATION_SLOT'), 'none') from pg_catalog.pg_control_system() s"
}

# Where only the replication protocol is let in, that must do.
slot_state() {
    local answer kind lsn
    if answer=$(examine_primary 2>/dev/null); then
        echo "${answer##*|}"
        return
    fi
    answer=$(replication "READ_REPLICATION_SLOT $REPLICATION_SLOT" 2>&1) || die "the primary does not tell its slots: $answer"
    IFS='|' read -r kind lsn _ <<<"$answer"
    if [ -z "$kind" ]; then echo none; elif [ -z "$lsn" ]; then echo lost; else echo reserved; fi
}

create_slot() { replication "CREATE_REPLICATION_SLOT $REPLICATION_SLOT PHYSICAL RESERVE_WAL" 2>&1 >/dev/null | filtered; }

# need_slot STATE: one that is lost is made anew.
need_slot() {
    # What still holds it is the receiver of a server that has just ended.
    [ "$1" != lost ] || replication "DROP_REPLICATION_SLOT $REPLICATION_SLOT WAIT" 2>&1 >/dev/null | filtered
    [[ $1 != @(none|lost) ]] || create_slot
}

control() { pg_controldata -D "$1" 2>/dev/null | sed -n "s/^$2: *//p"; }

is_promoted() { [ -s "$PGDATA/PG_VERSION" ] && [ ! -e "$PGDATA/standby.signal" ]; }

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
    elif is_promoted; then
        echo "it was promoted and may hold rows that the primary lacks (timeline $timeline, and the primary is on $primary_timeline)"
    elif [ "$timeline" -gt "$primary_timeline" ]; then
        echo "it is on timeline $timeline, ahead of the primary's $primary_timeline"
    fi
}

# What REPLICA_RECLONE must be for these data to be thrown away. Timelines of two clusters say nothing of each other.
needed_word() {
    local id timeline
    id=$(control "$PGDATA" "Database system identifier")
    timeline=$(control "$PGDATA" "Latest checkpoint's TimeLineID")
    if is_promoted || { [ "$id" = "$primary_id" ] && [ "$timeline" -gt "$primary_timeline" ]; }; then
        echo promoted
    else
        echo 1
    fi
}

# Why data that once followed this primary no longer can. Nothing if it can.
left_behind() {
    if [ -e "$PGDATA.behind" ]; then
        echo "a new clone was begun and did not become whole"
        return
    fi
    case $1 in
        lost) echo "the primary has given up the WAL that it lacks (its slot is lost)" ;;
        none) echo "the primary keeps no WAL for it (its slot is gone)" ;;
    esac
}

damage() {
    if [ -n "$(missing_file)" ]; then
        echo "it is damaged ($(missing_file) is missing)"
    elif [ "$(failed_starts)" -ge 2 ]; then
        echo "it is damaged (it crashed soon after each of its last two starts)"
    fi
}

# The first of the files that every database needs, of those that the clone had, that is no longer there. A database that was
# dropped since took its whole folder with it; all of them cannot have been.
missing_file() {
    local file folders=()
    [ ! -d "$PGDATA/base" ] || mapfile -t folders < <(compgen -G "$PGDATA/base/[0-9]*")
    while IFS= read -r file; do
        if [ ! -s "$PGDATA/$file" ]; then
            if [[ $file == base/* && ${#folders[@]} -gt 0 && ! -e $PGDATA/${file%/*} ]]; then continue; fi
            echo "$file"
            return
        fi
    done < <(grep -oE '(base/[0-9]+/(PG_VERSION|pg_filenode.map)|global/pg_filenode.map)"' "$PGDATA/backup_manifest" 2>/dev/null | tr -d '"')
}

# How many starts in a row ended in a crash within seconds. A replica that lived has written WAL since it started.
failed_starts() {
    local count=0 began newest before
    if [ -e "$PGDATA.starts" ] && [ "$(control "$PGDATA" "Database cluster state")" = "in archive recovery" ]; then
        began=$(stat -c %Y "$PGDATA.starts")
        newest=$(stat -c %Y "$PGDATA"/pg_wal/* | sort -n | tail -n 1)
        before=$(<"$PGDATA.starts")
        [[ $before =~ ^[0-9]{1,3}$ ]] || before=0
        [ "$newest" -gt $((began + 10)) ] || count=$((before + 1))
    fi
    echo "$count" | tee "$PGDATA.starts"
}

follow_primary() {
    local folder=$1 quote="'"
    touch "$folder/standby.signal"
    sed -E '/^ *(primary_conninfo|primary_slot_name|synchronous_standby_names)\>/d' "$folder/postgresql.auto.conf" >"$folder/postgresql.auto.conf.new"
    {
        printf "primary_conninfo = '%s'\n" "$(printf '%s' "$conninfo $receiver" | sed -e 's/\\/\\\\/g' -e "s/'/$quote$quote/g")"
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
        pg_basebackup --dbname="$conninfo application_name=${REPLICATION_SLOT}_clone" --no-password --pgdata="$PGDATA.clone" --wal-method=stream \
            --slot="$REPLICATION_SLOT" --checkpoint=fast --progress 2>&1 | filtered; do
        [ $((SECONDS - started)) -lt 60 ] || die "cloning failed: see the lines above"
        sleep 2
        # A new one reserves WAL from the last checkpoint on, which may be more than the primary keeps; since 18 it is then of no use.
        need_slot "$(slot_state)"
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
        rm -f "$PGDATA.starts" "$PGDATA.behind" "$PGDATA.rewinding"
        sync "$parent"
    fi
    rm -rf "$PGDATA.old" "$PGDATA.clone"
}

# Makes PGDATA ready for its server, by a new clone where one is due.
prepare() {
    local why='' word slot
    take_whole_clone
    # What pg_rewind has begun and not ended is no server's data, and looks like a primary's. What only it had was kept before. This
    # runs in a shell of its own, so it is said for this one time.
    [ ! -e "$PGDATA.rewinding" ] || REPLICA_RECLONE=always
    rmdir "$PGDATA" 2>/dev/null || true
    if [ ! -e "$PGDATA" ]; then
        wait_for_primary
    else
        if [ "$REPLICA_RECLONE" = always ]; then
            why="that was asked for"
        elif ! is_promoted; then
            why=$(damage)
        fi
        if [ -n "$why" ]; then
            wait_for_primary
        elif ! reach_primary; then
            if is_promoted; then
                say "no primary at $PRIMARY_HOST:$PRIMARY_PORT: starting what was promoted as a primary of its own"
            else
                say "no primary at $PRIMARY_HOST:$PRIMARY_PORT: starting without it, as the data are ($answer)"
                follow_primary "$PGDATA"
            fi
            return
        elif is_promoted && [[ $(examine_primary 2>/dev/null) == *'|t|'* ]]; then
            say "$PRIMARY_HOST:$PRIMARY_PORT is a replica: starting what was promoted as the primary"
            return
        fi
    fi

    slot=$(slot_state)
    if [ -e "$PGDATA" ]; then
        stranger=$(stranger)
        if [ -n "$stranger" ]; then
            why=$stranger word=$(needed_word)
            [[ $REPLICA_RECLONE =~ ^(promoted|always)$ ]] || [ "$REPLICA_RECLONE" = "$word" ] ||
                die "not touching $PGDATA: $why; with REPLICA_RECLONE=$word it is thrown away and cloned anew"
        elif [ -z "$why" ]; then
            # A server that was promoted a moment ago is still making the slots of those that are to follow it.
            for _ in 1 2; do
                if [ "$slot" != none ] || [ -e "$PGDATA.behind" ]; then break; fi
                say "the primary has no slot for it: looking again in $SLOT_SECONDS s"
                sleep "$SLOT_SECONDS"
                slot=$(slot_state)
            done
            why=$(left_behind "$slot")
        fi
        # A new slot keeps nothing of what these data lack, and nobody could tell that from the slot.
        [ -z "$why" ] || : >"$PGDATA.behind"
        [ -z "$why" ] || say "cloning anew what is in $PGDATA: $why"
    fi
    need_slot "$slot"
    if [ ! -e "$PGDATA" ] || [ -n "$why" ]; then clone; fi
    follow_primary "$PGDATA"
}

LOST=10

# Ends the server when what it needs is gone from the primary: its receiver would try in vain for ever. Not when it is
# promoted, nor for what another primary says that has come to this address. It is gone for good, so one more look costs nothing:
# whoever watches both servers can name it meanwhile.
watch_slot() {
    local server=$1 id answer state why before=''
    id=$(control "$PGDATA" "Database system identifier")
    while sleep "$WATCH_SECONDS"; do
        answer=$(examine_primary 2>/dev/null) || continue
        ! is_promoted || return 0
        state=${answer##*|}
        [ "${answer%%|*}" = "$id" ] || continue
        why=$(left_behind "$state")
        if [ -z "$why" ] || [ "$why" != "$before" ]; then
            before=$why
        else
            say "stopping the server, for a new clone: $why"
            kill -INT "$server"
            return "$LOST"
        fi
    done
}

# What bash waits for in the background does not keep it from a signal. Each job is a group of processes, to be ended whole.
set -m
job='' server='' watcher='' signalled='' stopping=

# shellcheck disable=SC2317 # traps call it
on_signal() {
    signalled=1
    [ "$1" = HUP ] || stopping=$1
    if [ -n "$server" ]; then
        kill -"$1" "$server" 2>/dev/null || true
    elif [ -n "$job" ] && [ -n "$stopping" ]; then
        say "stopped before the server was started"
        kill -TERM -- -"$job" 2>/dev/null || true
        exit 130
    fi
}
for signal in HUP INT QUIT TERM; do
    # shellcheck disable=SC2064 # the name of now
    trap "on_signal $signal" "$signal"
done

# Sets $status to the exit code of a job. `wait` also returns for a job that is only suspended, with 128 and the number of SIGSTOP,
# SIGTSTP, SIGTTIN or SIGTTOU. `wait -f` would not, but in bash 5.2 it may look at a job that is already gone, and loop for ever. Whatever
# ends the sleep does not end us.
wait_for() {
    while :; do
        signalled='' status=0
        wait "$1" || status=$?
        [ -z "$signalled" ] || continue
        case $status in
            14[789] | 150) sleep 1 || true ;;
            *) return 0 ;;
        esac
    done
}

[ $# -gt 0 ] || set -- postgres
while [ -z "$stopping" ]; do
    if [ -n "${REPLICA_PREPARED:-}" ]; then
        unset REPLICA_PREPARED
    else
        prepare &
        job=$!
        wait_for "$job"
        job=
        [ "$status" = 0 ] || exit "$status"
    fi
    [ "$REPLICA_RECLONE" != always ] || REPLICA_RECLONE=promoted
    [ "${1##*/}" = postgres ] || exec "$@"

    "$@" &
    server=$!
    [ -z "$stopping" ] || kill -"$stopping" "$server"
    watch_slot "$server" &
    watcher=$!
    wait_for "$server"
    server='' ended=$status
    # Ended for a new clone, or of no more use.
    kill -TERM -- -"$watcher" 2>/dev/null || true
    wait_for "$watcher"
    [ "$status" = "$LOST" ] || exit "$ended"
done
exit 130
