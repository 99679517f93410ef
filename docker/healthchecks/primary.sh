#!/usr/bin/env bash
# The primary is healthy when its init has finished, it takes connections with its password, and the doctor finds nothing broken.
# shellcheck source-path=SCRIPTDIR source=report.sh
. "$(dirname "$0")/report.sh"

[ ! -e "$PGDATA.initialising" ] || unhealthy "initialising: the first start has not finished"
judge primary.sql
