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
  --only PART,...    scale     ingest, build, start, memory, disk, hybrid search of the collection
                     lexical   lexical search beside Lucene, Xapian and SQLite FTS5
                     indexing  text to index beside the same
                     dense     dense search beside hnswlib and FAISS
                     http      searches over HTTP beside those in one process, and an overload
                     ingest    PubMed XML to docstore beside parsers alone
                     Default: all; without scale where --data is given
  --quick            lexical, indexing, dense: one round of each, fewer questions

Peers come from Debian packages (peers.sh); binaries, collections and indexes stay in build-bench/.
Each part prints tables and writes tests/bench/results/PART-NAME.json, of which RESULTS.md is made.
Results are checked: an answer that differs from what it must be is exit status 1; being slow is
not. More options, of lexical, indexing and dense: tests/bench/peers.py --help
TEXT
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$root/build-bench
shared=${MEDICUS_SHARED:-$root/../shared}/data
data= name=quarter only= rest=()
while [ $# -gt 0 ]; do
    case $1 in
    --data) data=${2:?"--data needs a folder"}; shift ;;
    --collection) name=${2:?"--collection needs a name"}; shift ;;
    --only) only=${2:?"--only needs a part"}; shift ;;
    -h | --help) usage; exit 0 ;;
    *) rest+=("$1") ;;
    esac
    shift
done
if [ -z "$only" ]; then
    only=lexical,indexing,dense,http,ingest
    [ -n "$data" ] || only=scale,$only
fi
size=${name/#million/1000000}
questions=("$shared"/beir/{scifact,nfcorpus,bioasq,pubmedqa,med}/queries.jsonl)

"$here/peers.sh"
[ -f "$build/build.ninja" ] || meson setup "$build" "$root" --buildtype=release >/dev/null
ninja -C "$build" bench_peers tests/bench/bench_threads service/medicus >&2

has() { [[ ,$only, == *,$1,* ]]; }

if [ -z "$data" ]; then
    data=$build/bench/data-$size
    if has scale || { [ ! -f "$data/CURRENT" ] && [ "$only" != ingest ]; }; then
        python3 "$here/scale.py" "$build" --work "$build/bench" "$size"
    fi
fi

status=0
beside_peers=
for part in lexical indexing dense; do
    has $part && beside_peers+=${beside_peers:+,}$part
done
if [ -n "$beside_peers" ]; then
    python3 "$here/peers.py" --build "$build" --data "$data" --name "$name" \
        --only "$beside_peers" --questions "${questions[@]}" "${rest[@]+"${rest[@]}"}" || status=1
fi
if has http; then
    python3 "$here/bench_service.py" "$build" "$data" "${questions[@]}" \
        --label "$name" --keep "http-$name" || status=1
fi
if has ingest; then
    python3 "$here/bench_ingest.py" --build "$build" --keep ingest || status=1
fi
python3 "$here/report.py"
exit $status
