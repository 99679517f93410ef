#!/usr/bin/env bash
# A worker of Citus is healthy when it takes connections with its password, and the doctor finds nothing broken of the server. Its rows are
# the coordinator's to judge.
# shellcheck source-path=SCRIPTDIR source=report.sh
. "$(dirname "$0")/report.sh"

[ -z "${POSTGRES_PASSWORD_FILE:-}" ] || POSTGRES_PASSWORD=
[ ! -e "$PGDATA.initialising" ] || unhealthy "initialising: the first start has not finished"
judge worker.sql ''
