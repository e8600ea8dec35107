#!/usr/bin/env bash
# How long 1,000 changed documents take to be searchable, beside a full build of the same index.
set -euo pipefail

if [ $# -lt 1 ]; then
    cat >&2 <<'TEXT'
Usage: tests/bench/update.sh RELEASE_BUILD_FOLDER

190,356 documents of the shared development data (MEDICUS_SHARED, default ../shared) are built;
1,000 of them, evenly spread, get another text; `medicus ingest` and `medicus update` take that up,
then `medicus build --full` makes everything anew. Exit status 1 when the first two take 5 % of the
last or more, 77 without the data.
TEXT
    exit 2
fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
medicus=$1/service/medicus
data=${MEDICUS_SHARED:-$root/../shared}/data/scale
[ -d "$data" ] || { echo "skipped: no $data"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/medicus-update-XXXXXX")
trap 'rm -rf "$work"' EXIT

# seconds NAME COMMAND...: how long it takes; its output goes to $work/NAME.json.
seconds() {
    local name=$1 start=$EPOCHREALTIME
    shift
    "$medicus" "$@" --quiet --json --data "$work/data" >"$work/$name.json"
    awk "BEGIN { printf \"%.2f\", $EPOCHREALTIME - $start }"
}

files=("$data"/pubmed-citations-172k.jsonl.gz "$data"/pubmed-abstracts-18k.jsonl.gz)
echo "load average before: $(cut -d ' ' -f 1 /proc/loadavg)"
seconds first ingest "${files[@]}" >/dev/null
seconds build build >/dev/null
zcat "${files[@]}" | awk 'NR % 190 == 0 && ++n <= 1000 {
    sub(/"text": "/, "\"text\": \"Revised in the light of a later trial. "); print }' \
    >"$work/changed.jsonl"
ingest=$(seconds ingest ingest "$work/changed.jsonl")
update=$(seconds update update)
full=$(seconds full build --full)
python3 - "$work" "$ingest" "$update" "$full" <<'PY'
import json, sys
work, ingest, update, full = sys.argv[1], *map(float, sys.argv[2:])
report = json.load(open(f"{work}/update.json", encoding="utf-8"))
changed = report["added"] + report["changed"]
share = (ingest + update) / full
print(f"{changed} of {report['documents']} documents changed: ingest {ingest:.2f} s, "
      f"update {update:.2f} s, build --full {full:.2f} s: {share:.1%}")
sys.exit(0 if share < 0.05 and changed == 1000 else 1)
PY
echo "load average after: $(cut -d ' ' -f 1 /proc/loadavg)"
