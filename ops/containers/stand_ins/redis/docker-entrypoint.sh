#!/bin/bash
# Becomes the server, as its own user. The whole network reaches it: the hub's image has no protected mode.
set -euo pipefail
[[ ${1:0:1} != - && $1 != *.conf ]] || set -- redis-server "$@"
[[ $1 == redis-server ]] || exec "$@"
if [[ $(id -u) == 0 ]]; then
    exec setpriv --reuid=redis --regid=redis --clear-groups "$0" "$@"
fi
exec "$@" --protected-mode no
