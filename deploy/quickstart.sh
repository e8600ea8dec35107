#!/usr/bin/env bash
# From a bare Debian 12 to a running search engine over the sample corpus.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: deploy/quickstart.sh [--once] [--listen ADDRESS:PORT] [--data DIR]

Installs the Debian packages, builds medicus, ingests the sample corpus, builds its index, starts
the server, shows one search and one fetch with curl, and keeps serving until Ctrl-C. Safe to run
again at any time.

  --once                 stop after the demonstration
  --listen ADDRESS:PORT  where to serve (default 127.0.0.1:8080)
  --data DIR             data folder (default build/sample-data in the checkout)
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
listen=127.0.0.1:8080
data=$root/build/sample-data
once=0
while [ $# -gt 0 ]; do
    case $1 in
    --once) once=1 ;;
    --listen) listen=${2:?"--listen needs ADDRESS:PORT"}; shift ;;
    --data) data=${2:?"--data needs a folder"}; shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
    shift
done

step() { printf '\n== %s\n' "$*" >&2; }

step "Debian packages"
# shellcheck source=deploy/packages.sh
. "$root/deploy/packages.sh"
packages_install "${packages_build[@]}" "${packages_demo[@]}"

step "Build"
quietly() { # shows what a command printed only when it failed
    local log
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        echo "error: failed: $*" >&2
        exit 1
    fi
    rm -f "$log"
}
if [ ! -f "$root/build/build.ninja" ]; then
    quietly meson setup "$root/build" "$root" --buildtype=release
fi
quietly ninja -C "$root/build" service/medicus
medicus=$root/build/service/medicus
"$medicus" --version >&2

step "Ingest the sample corpus"
"$medicus" ingest --data "$data" "$root/deploy/sample/pubmed" "$root/deploy/sample/guidelines"

step "Build the index"
"$medicus" build --data "$data"

step "Serve on http://$listen"
"$medicus" serve --data "$data" --listen "$listen" &
server=$!
stop() {
    trap - EXIT INT TERM
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
}
trap stop EXIT
trap 'stop; exit 130' INT TERM
for _ in $(seq 100); do
    curl -sf "http://$listen/readyz" >/dev/null && break
    if ! kill -0 "$server" 2>/dev/null; then
        echo "error: the server did not start (see its message above)" >&2
        exit 1
    fi
    sleep 0.1
done

search="http://$listen/v1/search?q=stopping+beta-blockers+after+a+heart+attack&limit=3&pretty"
step "A search:  curl '$search'"
answer=$(curl -sSf "$search")
printf '%s\n' "$answer"

first='import json, sys; print(json.load(sys.stdin)["results"][0]["id"].split("~")[0])'
id=$(printf '%s' "$answer" | python3 -c "$first")
step "A fetch:   curl -H 'Accept: text/plain' 'http://$listen/v1/documents/$id'"
curl -sSf -H 'Accept: text/plain' "http://$listen/v1/documents/$id"

if [ "$once" -eq 1 ]; then
    step "Done"
    exit 0
fi
step "Serving on http://$listen until Ctrl-C"
wait "$server"
