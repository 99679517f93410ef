#!/usr/bin/env bash
# http.sh PORT PATH: the program of this container is healthy while it answers GET PATH with 200.
set -euo pipefail
exec 3<>"/dev/tcp/127.0.0.1/$1"
printf 'GET %s HTTP/1.0\r\n\r\n' "$2" >&3
read -r -t 3 answer <&3 || {
    echo "no answer"
    exit 1
}
echo "${answer%$'\r'}"
[[ $answer == HTTP/1.?' 200 '* ]]
