# shellcheck shell=bash disable=SC2154
# README.md says nothing that was not tried, and nothing stays behind.

# The lines of README's fenced blocks of a language.
fenced() { awk -v open='^```('"$1"')$' '$0 ~ open { inside = 1; next } /^```/ { inside = 0 } inside' "$checkout/README.md"; }

check_readme_names_only_targets_that_ran() {
    local target
    fenced 'sh|bash|console' | grep -oE '(^|[ $&;|])make( +[A-Z_]+=[^ ]*)*( +[a-z-]+)' | grep -oE '[a-z-]+$' | sort -u >"$work/readme_targets"
    [ -s "$work/readme_targets" ]
    while IFS= read -r target; do
        case $target in
            # This is `make test`; the other three are whole suites of their own, and CI runs lint.
            test | test-compose | lint | bench) make -n -C "$checkout" "$target" >/dev/null ;;
            *) grep -qxF -- "$target" "$work/commands" || { echo "README.md says make $target, and no check ran it"; return 1; } ;;
        esac
    done <"$work/readme_targets"
}

check_sql_of_readme_runs() {
    { echo '\set ON_ERROR_STOP on'; fenced sql; } | make_demo psql
}

check_clean_leaves_nothing() {
    succeeds clean
    printed "Deleted the demo's data"
    [ ! -e "$demo" ]
    no_server_left
    ! (exec 3<>"/dev/tcp/127.0.0.1/$PRIMARY_PORT") 2>/dev/null
}
