#!/usr/bin/env bash
# Counts the instructions of the hot loops and writes counts.json anew.
set -euo pipefail

if [ $# -ne 1 ]; then
    echo "Usage: tests/counts/renew.sh RELEASE_BUILD_FOLDER" >&2
    exit 2
fi
ninja -C "$1" tests/counts/count_loops >&2
mapfile -t command < <(meson introspect "$1" --tests |
    jq -r '.[] | select(.name == "counts") | .cmd[]')
cd "$1"
exec "${command[@]}" --renew
