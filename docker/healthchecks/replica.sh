#!/usr/bin/env bash
# The replica is healthy when it takes connections over TCP and streams from the primary.
# shellcheck source-path=SCRIPTDIR source=report.sh
. "$(dirname "$0")/report.sh"

judge postgres "$(dirname "$0")/replica.sql"
