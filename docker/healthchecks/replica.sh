#!/usr/bin/env bash
# The replica is healthy when it takes connections with its password, streams, and the doctor finds nothing broken.
# shellcheck source-path=SCRIPTDIR source=report.sh
. "$(dirname "$0")/report.sh"

judge replica.sql
