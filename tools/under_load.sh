#!/bin/sh
# Run a command while two busy loops per core keep the machine busy: tools/under_load.sh make test
# Exits with the status of the command. The loops end with the command, also after Ctrl-C.
[ $# -gt 0 ] || { echo "usage: tools/under_load.sh COMMAND [ARGUMENT …]" >&2; exit 2; }

loops=
# shellcheck disable=SC2086  # a list of process ids
trap 'kill $loops 2>/dev/null' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

count=$((2 * $(getconf _NPROCESSORS_ONLN)))
while [ "$count" -gt 0 ]; do
    (trap - EXIT INT TERM; while :; do :; done) &
    loops="$loops $!"
    count=$((count - 1))
done
"$@"
