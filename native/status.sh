#!/usr/bin/env bash
# make status: what lives, in one screen. Exit code 0: all is well; 1: something is not; 3: the demo is stopped.
# shellcheck source-path=SCRIPTDIR source=env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
load settings servers report
load_settings

if ! use_made_postgres || { ! running primary && ! running replica; }; then
    if [ -e "$DEMO/primary" ]; then
        say "The demo is stopped; its data are kept (make demo starts it)"
    else
        say "There is no demo yet (make demo makes it)"
    fi
    exit 3
fi

PRIMARY_SQL="select format('running, PostgreSQL %s, up %s', current_setting('server_version'),
    date_trunc('second', now() - pg_postmaster_start_time()))"

# As the primary sees its replica: how far it is behind, or what is kept for it.
REPLICA_SQL="select coalesce(
    (select format('%s, %s and %s s behind', state, pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)),
                   round(extract(epoch from coalesce(replay_lag, '0')), 1))
     from pg_stat_replication where application_name = '$SLOT' and state <> 'backup'),
    (select format('not streaming; its slot is %s, and the primary keeps %s of WAL for it', coalesce(wal_status, 'empty'),
                   coalesce(pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)), 'nothing'))
     from pg_replication_slots where slot_name = '$SLOT'),
    'not streaming, and it has no slot')"

line() { printf '%-12s %-17s %s\n' "$1" "127.0.0.1:$(port_of "$1")" "$2"; }
first_line() { printf '%s' "${1%%$'\n'*}"; }

# The doctor's verdict on top, where make doctor has built it.
LAB=${CARGO_TARGET_DIR:-$CHECKOUT/target}/release/operations-lab
if [ -x "$LAB" ]; then
    say "$("$LAB" doctor --brief --demo "$DEMO" || true)"
    say
fi

healthy=yes
if running primary; then
    line primary "$(first_line "$(ask primary "$PRIMARY_SQL" 2>&1)")"
else
    healthy=no
    line primary "stopped"
fi

if ! running replica; then
    healthy=no
    line replica "stopped$(running primary && ask primary "$REPLICA_SQL" 2>/dev/null | sed 's/^not streaming/ /;s/^ ;/;/')"
elif promoted; then
    line replica "promoted: a primary of its own"
elif running primary; then
    line replica "$(first_line "$(ask primary "$REPLICA_SQL" 2>&1)")"
else
    line replica "running, but it has no primary to follow"
fi
say

if running primary; then server=primary; else server=replica; fi
ask_file "$server" "$CHECKOUT/native/status.sql" || healthy=no

lacks=$(not_yet_live)
if [ -n "$lacks" ] || [ "$healthy" = no ]; then
    [ -z "$lacks" ] || printf '\nNot well: %s\n' "${lacks//$'\n'/; }"
    exit 1
fi
