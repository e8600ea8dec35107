#!/usr/bin/env bash
# Measures ingest, build and search at scale and writes RESULTS.md beside itself.
set -euo pipefail

if [ $# -lt 1 ]; then
    cat >&2 <<'TEXT'
Usage: tests/bench/scale.sh RELEASE_BUILD_FOLDER [DATA_FOLDER]

1,200 full texts, 172,406 citations and 17,950 abstracts of the shared development data
(MEDICUS_SHARED, default ../shared). The data folder (default: a new one below TMPDIR, removed at
the end) must be empty or absent. Needs GNU time and python3.
TEXT
    exit 2
fi

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$1
shared=$(cd "${MEDICUS_SHARED:-$root/../shared}/data" && pwd)
out=$here/RESULTS.md
work=$(mktemp -d "${TMPDIR:-/tmp}/medicus-scale-XXXXXX")
trap 'rm -rf "$work"' EXIT
data=${2:-$work/data}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(nproc)}

ninja -C "$build" service/medicus tests/bench/bench_search >&2
medicus=$build/service/medicus
questions=("$shared"/beir/{scifact,nfcorpus,bioasq,pubmedqa,med}/queries.jsonl)

load_start=$(cut -d ' ' -f 1 /proc/loadavg)
# measure NAME COMMAND...: standard output to $work/NAME.out, GNU time's report to $work/NAME.time.
measure() {
    local name=$1
    shift
    echo "$name ..." >&2
    /usr/bin/time -v -o "$work/$name.time" "$@" >"$work/$name.out"
}
measure ingest "$medicus" ingest --quiet --json --data "$data" \
    "$shared/jats/pmc-oa-ccby-1200.tar.gz" "$shared/scale/pubmed-citations-172k.jsonl.gz" \
    "$shared/scale/pubmed-abstracts-18k.jsonl.gz"
measure build "$medicus" build --quiet --json --data "$data"
measure check "$medicus" check --quiet --json --data "$data"
OMP_NUM_THREADS=1 measure search "$build/tests/bench/bench_search" --queries 2000 "$data" \
    "${questions[@]}"
OMP_NUM_THREADS=1 measure one "$medicus" search --quiet --json --data "$data" \
    "metformin and vitamin B12 deficiency"
load_end=$(cut -d ' ' -f 1 /proc/loadavg)

python3 "$here/scale_report.py" "$work" "$data" "$load_start" "$load_end" >"$work/results.md"
mv "$work/results.md" "$out"
cat "$out"
