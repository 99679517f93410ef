#!/usr/bin/env bash
# The primary is healthy when its init has finished, it takes connections over TCP, and both jobs run.
# shellcheck source-path=SCRIPTDIR source=report.sh
. "$(dirname "$0")/report.sh"

[ ! -e "$PGDATA.initialising" ] || unhealthy "the first start has not finished"
judge "${POSTGRES_DB:-operations_db}" "$(dirname "$0")/primary.sql"
