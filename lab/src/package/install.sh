#!/bin/sh
# Installs operations_ext @VERSION@ into a PostgreSQL @MAJOR@, or removes it: sh install.sh [--uninstall] [PG_CONFIG]
# PG_CONFIG is the pg_config of that PostgreSQL; without it the one in PATH is asked, or the one of Debian's package.
set -eu
umask 022

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

uninstall=
if [ "${1:-}" = --uninstall ]; then
    uninstall=yes
    shift
fi
[ $# -le 1 ] || die "one argument at most: the pg_config of a PostgreSQL @MAJOR@"
given=${1:-${PG_CONFIG:-}}
case $given in -*) die "$given is no option: sh install.sh [--uninstall] [PG_CONFIG]" ;; esac
here=$(cd "$(dirname "$0")" && pwd -P)

machine=$(uname -m)
[ "$machine" = @MACHINE@ ] || die "this is for @MACHINE@ machines, and this one is $machine"

# What is left of a download that broke off is not installed.
(cd "$here" && sha256sum --quiet --strict --check SHA256SUMS) ||
    die "the files in $here are not those of the archive: unpack it again"

config=$given
if [ -z "$config" ]; then
    for found in pg_config /usr/lib/postgresql/@MAJOR@/bin/pg_config; do
        case $("$found" --version 2>/dev/null) in
        "PostgreSQL @MAJOR@" | "PostgreSQL @MAJOR@"[!0-9]*)
            config=$found
            break
            ;;
        esac
    done
    [ -n "$config" ] || die "found no PostgreSQL @MAJOR@: sh install.sh /path/to/pg_config"
fi
version=$("$config" --version 2>/dev/null) || die "$config is not a pg_config that runs"
case $version in
"PostgreSQL @MAJOR@" | "PostgreSQL @MAJOR@"[!0-9]*) ;;
*) die "$config is of $version, and this is for PostgreSQL @MAJOR@" ;;
esac
libraries=$("$config" --pkglibdir)
extension=$("$config" --sharedir)/extension
for folder in "$libraries" "$extension"; do
    [ -d "$folder" ] || die "$folder is missing: is the server of $config installed?"
    [ -w "$folder" ] || die "$folder cannot be written: run this as root"
    # Its owner could have root write elsewhere, by a link.
    [ "$(id -u)" != 0 ] || [ "$(stat -c %u "$folder")" = 0 ] || die "$folder is not root's: run this as its owner"
done

remove() {
    # The control file first: without it there is no extension.
    rm -f "$extension/operations_ext.control" "$extension"/operations_ext--*.sql "$libraries/operations_ext.so"
}

# A running server may have the file open: it gets a new one of the same name.
put() {
    new=$(mktemp "$2.XXXXXX")
    trap 'rm -f "$new"' EXIT
    cat "$1" >"$new"
    chmod "$3" "$new"
    mv -fT "$new" "$2"
}

if [ -n "$uninstall" ]; then
    remove
    echo "Removed operations_ext from $version"
    exit
fi
put "$here/lib/operations_ext.so" "$libraries/operations_ext.so" 755
for script in "$here"/extension/operations_ext--*.sql; do
    put "$script" "$extension/${script##*/}" 644
done
# Last: now the extension is there.
put "$here/extension/operations_ext.control" "$extension/operations_ext.control" 644
echo "Installed operations_ext @VERSION@ into $version"
echo "In a database: create extension operations_ext; call operations_setup();"
