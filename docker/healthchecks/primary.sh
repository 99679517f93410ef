#!/usr/bin/env bash
# The primary is healthy when its init has finished, it takes connections with its password, and the doctor finds nothing broken; once
# it has become a replica, when it streams.
# shellcheck source-path=SCRIPTDIR source=report.sh
. "$(dirname "$0")/report.sh"

[ ! -e "$PGDATA.initialising" ] || unhealthy "initialising: the first start has not finished"
if [ -e "$PGDATA/standby.signal" ] || [ -e "$PGDATA.fenced" ] || [ -e "$PGDATA.follows" ]; then
    # Compose starts the others once this one is healthy, and one of them is whom it is to follow. All else is wrong from the beginning.
    [ "$(age)" -ge 90 ] || starts replica.sql follows_later not_ready receiver_missing receiver_silent
    judge replica.sql
fi
# With SYNC=on nothing is written before a replica follows, and that starts when this one is healthy.
[ "${SYNC:-off}" = off ] || [ "$(server_age)" -ge 90 ] || starts primary.sql 'job_*'
judge primary.sql
