#!/bin/sh
# Before the package is removed: a server that is told to load the library does not start without it.
set -eu
[ "$1" = remove ] || exit 0
files=$(grep -lsE '^[[:space:]]*shared_preload_libraries[^#]*operations_ext' /etc/postgresql/@MAJOR@/*/postgresql.conf \
    /etc/postgresql/@MAJOR@/*/conf.d/*.conf /var/lib/postgresql/@MAJOR@/*/postgresql.auto.conf || true)
[ -n "$files" ] || exit 0
{
    echo 'warning: a server does not start any more that names operations_ext in shared_preload_libraries. Take it out of'
    printf '%s\n' "$files" | sed 's/^/  /'
} >&2
