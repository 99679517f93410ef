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
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)

machine=$(uname -m)
[ "$machine" = @MACHINE@ ] || die "this is for @MACHINE@ machines, and this one is $machine"

# What is left of a download that broke off is not installed.
(cd "$here" && sha256sum --quiet --strict --check SHA256SUMS) ||
    die "the files in $here are not those of the archive: unpack it again"

# is_ours FILE: whether nobody but root can change it, if this is root. Whoever can would run or write as root. In a sticky folder each file
# is its owner's.
is_ours() {
    [ "$(id -u)" = 0 ] || return 0
    real=$(readlink -f -- "$1") || return 0
    [ -z "$(find "$real" "$(dirname -- "$real")" -prune \( ! -user 0 -o -perm /022 ! -perm -1000 \) 2>/dev/null)" ]
}

config=$given
if [ -z "$config" ]; then
    for found in "$(command -v pg_config || true)" /usr/lib/postgresql/@MAJOR@/bin/pg_config; do
        if [ -z "$found" ] || ! is_ours "$found"; then continue; fi
        case $("$found" --version 2>/dev/null) in
        "PostgreSQL @MAJOR@" | "PostgreSQL @MAJOR@"[!0-9]*)
            config=$found
            break
            ;;
        esac
    done
    [ -n "$config" ] || die "found no PostgreSQL @MAJOR@: sh install.sh /path/to/pg_config"
fi
is_ours "$config" || die "$config is not root's alone: run this as its owner"
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
    is_ours "$folder" || die "$folder is not root's alone: run this as its owner"
done
# What Debian's package has put there is for apt to replace and to remove.
if command -v dpkg-query >/dev/null && package=$(dpkg-query --search "$extension/operations_ext.control" 2>/dev/null); then
    die "PostgreSQL @MAJOR@ has operations_ext from the package ${package%%:*}: apt-get remove ${package%%:*}"
fi

# Those of the archive: what else lies in its folder is not installed.
scripts=$(sed -n 's,^[0-9a-f]*[ *]*extension/\(operations_ext--[0-9a-z.-]*\.sql\)$,\1,p' "$here/SHA256SUMS")

# Done with every file of the extension; in the order in which they come, the control file makes an extension of them.
each_file() {
    for script in $scripts; do
        "$1" "extension/$script" "$extension/$script" 644
    done
    "$1" lib/operations_ext.so "$libraries/operations_ext.so" 755
    "$1" extension/operations_ext.control "$extension/operations_ext.control" 644
}

# A running server may have the file open: it gets a new one of the same name.
put_beside() {
    rm -f "$2.new"
    (set -C && cat "$here/$1" >"$2.new")
    chmod "$3" "$2.new"
}
rename() { mv -fT "$2.new" "$2"; }
forget() { rm -f "$2.new"; }

remove_others() {
    for file in "$extension"/operations_ext--*.sql; do
        case "
$scripts
" in *"
${file##*/}
"*) ;; *) rm -f "$file" ;; esac
    done
}

remove() {
    # The control file first: without it there is no extension.
    rm -f "$extension/operations_ext.control" "$extension"/operations_ext--*.sql "$libraries/operations_ext.so"
}

if [ -n "$uninstall" ]; then
    remove
    echo "Removed operations_ext from $version"
    exit
fi
# Beside their places first: a full disk, or a stop, changes nothing.
trap 'exit 1' HUP INT TERM
trap 'each_file forget' EXIT
each_file put_beside
trap '' HUP INT TERM
remove_others
each_file rename
echo "Installed operations_ext @VERSION@ into $version"
echo "In a database: create extension operations_ext; call operations_setup();"
