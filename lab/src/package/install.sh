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
case ${1:-} in
--uninstall)
    uninstall=yes
    shift
    ;;
-h | --help)
    sed -n '2,3s/^# //p' "$0"
    exit
    ;;
esac
[ $# -le 1 ] || die "one argument at most: the pg_config of a PostgreSQL @MAJOR@"
given=${1:-${PG_CONFIG:-}}
case $given in -*) die "$given is no option: sh install.sh [--uninstall] [PG_CONFIG]" ;; esac
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)

machine=$(uname -m)
[ "$machine" = @MACHINE@ ] || die "this is for @MACHINE@ machines, and this one is $machine"

# What is left of a download that broke off is not installed.
(cd "$here" && [ -f SHA256SUMS ] && sha256sum --quiet --strict --check SHA256SUMS) ||
    die "the files in $here are not those of the archive: unpack it again"

# is_ours FILE: whether nobody but root can change it, if this is root. Whoever can would run or write as root. In a sticky folder each file
# is its owner's.
is_ours() {
    [ "$(id -u)" = 0 ] || return 0
    real=$(readlink -f -- "$1") || return 0
    [ -z "$(find "$real" "$(dirname -- "$real")" -prune \( ! -user 0 -o -perm /022 ! -perm -1000 \) 2>/dev/null)" ]
}

# version_of PG_CONFIG: what it is of, if it is one.
version_of() {
    text=$("$1" --version 2>/dev/null) || return 1
    case $text in "PostgreSQL "[0-9]*) printf '%s\n' "$text" | head -n 1 ;; *) return 1 ;; esac
}

config=$given
if [ -z "$config" ]; then
    others=
    for found in "$(command -v pg_config || true)" /usr/lib/postgresql/@MAJOR@/bin/pg_config; do
        if [ -z "$found" ] || ! is_ours "$found"; then continue; fi
        version=$(version_of "$found") || continue
        case $version in
        "PostgreSQL @MAJOR@" | "PostgreSQL @MAJOR@"[!0-9]*)
            config=$found
            break
            ;;
        *) others=" ($found is of $version)" ;;
        esac
    done
    [ -n "$config" ] || die "found no PostgreSQL @MAJOR@$others: sh install.sh /path/to/pg_config"
fi
is_ours "$config" || die "$config is not root's alone: run this as its owner"
version=$(version_of "$config") || die "$config is not a pg_config that runs"
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
    if [ ! -e "$extension/operations_ext.control" ] && [ ! -e "$libraries/operations_ext.so" ]; then
        echo "There is no operations_ext in $version"
        exit
    fi
    remove
    echo "Removed operations_ext from $version"
    echo "A server that names it in shared_preload_libraries does not start any more: take it out there"
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
