#!/usr/bin/env bash
# A server under Patroni is healthy when its init has finished, it takes connections with its password, and the doctor finds nothing
# broken: on the leader as on a primary, on the others as on a replica, which must stream.
# shellcheck source-path=SCRIPTDIR source=report.sh
. "$(dirname "$0")/report.sh"

! compgen -G '/var/lib/postgresql/data/*.initialising' >/dev/null || unhealthy "initialising: the first start has not finished"
judge replica.sql
