#!/usr/bin/env bash
# Every figure of medicus beside a peer's, in one run: installs the peers, builds, measures.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: tests/bench/run.sh [--quick] [--collection quarter|million|N] [--data FOLDER]
                          [--only PART,...] [OPTION]...

  --collection NAME  quarter: the shared development data (MEDICUS_SHARED, default ../shared),
                     a quarter of a million passages; million or a number: as many passages
                     generated from them (README.md, Collections). Default: quarter
  --data FOLDER      a data folder of medicus that already holds that collection, with a generation
  --only PART        lexical, indexing, dense (default: all), separated by commas
  --quick            one round of each, fewer questions

Peers come from Debian packages (peers.sh); binaries, collections and indexes stay in build-bench/.
Prints tables and writes tests/bench/results/PART-NAME.json. Results are checked: an answer that
differs from what it must be is exit status 1; being slow is not.
More options: tests/bench/peers.py --help
TEXT
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$root/build-bench
shared=${MEDICUS_SHARED:-$root/../shared}/data
data= name=quarter rest=()
while [ $# -gt 0 ]; do
    case $1 in
    --data) data=${2:?"--data needs a folder"}; shift ;;
    --collection) name=${2:?"--collection needs a name"}; shift ;;
    -h | --help) usage; exit 0 ;;
    *) rest+=("$1") ;;
    esac
    shift
done

"$here/peers.sh"
[ -f "$build/build.ninja" ] || meson setup "$build" "$root" --buildtype=release >/dev/null
ninja -C "$build" bench_peers tests/bench/bench_collection service/medicus >&2

# ingest_and_build DATA FILE...: once; a data folder that was left half done begins anew.
ingest_and_build() {
    local into=$1
    shift
    [ -f "$into/CURRENT" ] && return
    rm -rf "$into"
    "$build/service/medicus" ingest --quiet --data "$into" "$@" >&2
    "$build/service/medicus" build --quiet --data "$into" >&2
}

if [ -z "$data" ]; then
    quarter=$build/bench/quarter/data
    ingest_and_build "$quarter" "$shared/jats/pmc-oa-ccby-1200.tar.gz" \
        "$shared"/scale/pubmed-{citations-172k,abstracts-18k}.jsonl.gz
    data=$build/bench/$name/data
    if [ ! -f "$data/CURRENT" ]; then
        mkdir -p "$data"
        collection=$build/tests/bench/bench_collection
        "$collection" passages "$quarter" >"$data/../quarter.jsonl"
        "$collection" generate 1 "${name/million/1000000}" "$data/../quarter.jsonl" \
            >"$data/../passages.jsonl"
        ingest_and_build "$data" "$data/../passages.jsonl"
        rm "$data/../quarter.jsonl" "$data/../passages.jsonl"
    fi
fi
exec python3 "$here/peers.py" --build "$build" --data "$data" --name "$name" \
    --questions "$shared"/beir/{scifact,nfcorpus,bioasq,pubmedqa,med}/queries.jsonl \
    "${rest[@]+"${rest[@]}"}"
