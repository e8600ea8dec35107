"""Writes the Markdown of RESULTS.md from what scale.sh measured.

Usage: scale_report.py WORK_FOLDER DATA_FOLDER LOAD_BEFORE LOAD_AFTER
"""

import json
import os
import sys

RESIDENT_MIB_MAX = 4096
STAGES = ("ingest", "build", "check", "search", "one")
INSTRUCTIONS = (("avx512_vnni", "AVX-512 (VNNI)"), ("avx512f", "AVX-512"), ("avx2", "AVX2"))
COMMANDS = {
    "ingest": "medicus ingest --json --data D S/jats/pmc-oa-ccby-1200.tar.gz "
              "S/scale/pubmed-citations-172k.jsonl.gz S/scale/pubmed-abstracts-18k.jsonl.gz",
    "build": "medicus build --json --data D",
    "check": "medicus check --json --data D",
    "search": "OMP_NUM_THREADS=1 bench_search --queries 2000 D "
              "S/beir/{scifact,nfcorpus,bioasq,pubmedqa,med}/queries.jsonl",
    "one": "medicus search --json --data D QUESTION",
}


def text_of(work, name):
    with open(os.path.join(work, name), encoding="utf-8") as stream:
        return stream.read()


def timed(work, name):
    """(seconds, peak resident MiB), from GNU time's report."""
    report = dict(line.strip().rsplit(": ", 1)
                  for line in text_of(work, name + ".time").splitlines() if ": " in line)
    parts = report["Elapsed (wall clock) time (h:mm:ss or m:ss)"].split(":")
    seconds = sum(float(part) * 60 ** i for i, part in enumerate(reversed(parts)))
    return seconds, int(report["Maximum resident set size (kbytes)"]) / 1024


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as stream:
        flags = stream.read()
    name = next((name for flag, name in INSTRUCTIONS if flag in flags), "baseline x86-64")
    return f"{os.cpu_count()} cores with {name}"


def table(head, rows):
    print("\n| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


def disk_rows(data, passages):
    total = 0
    for folder in ("docs", "segments", "encoders"):
        for where, _, names in sorted(os.walk(os.path.join(data, folder))):
            for name in sorted(names):
                size = os.lstat(os.path.join(where, name)).st_blocks * 512
                total += size
                yield f"{folder}: {name}", f"{size:,}", f"{size / passages:,.1f}"
    yield "all", f"{total:,}", f"{total / passages:,.1f}"


def main():
    work, data, load_before, load_after = sys.argv[1:]
    ingest = json.loads(text_of(work, "ingest.out"))
    build = json.loads(text_of(work, "build.out"))
    seconds, peak = {}, {}
    for stage in STAGES:
        seconds[stage], peak[stage] = timed(work, stage)
    passages = build["passages"]
    notes = {
        "ingest": f"{ingest['records'] / seconds['ingest']:,.0f} records/s",
        "build": f"{passages / seconds['build']:,.0f} passages/s",
        "check": "every checksum and invariant", "search": "tables below",
        "one": "a whole process, checksums first",
    }

    print("# Measured at scale\n\n"
          "Written by `tests/bench/scale.sh`: 1,200 JATS full texts, 172,406 citations and 17,950 "
          "abstracts of the shared\ndevelopment data (S) into a new data folder (D), on "
          f"{machine()}. Load average {load_before} before and {load_after} after:\n"
          "what is above the number of threads in use is other work on the same cores.")
    counts = ("added", "updated", "unchanged", "older", "deleted", "skipped")
    table(("what", "measured"), (
        ("records read", f"{ingest['records']:,}: " +
         ", ".join(f"{ingest[name]:,} {name}" for name in counts if ingest[name])),
        ("documents", f"{build['documents']:,}"),
        ("passages", f"{passages:,}"),
        ("distinct terms", f"{build['terms']:,}"),
        ("text", f"{build['text_bytes'] / 1e6:,.1f} MB"),
        ("index", f"{build['index_bytes'] / 1e6:,.1f} MB, "
         f"{build['index_bytes'] / passages:,.0f} bytes per passage"),
        ("recall@10 of the dense index", f"{build['recall_at_10']:.4f}"),
        ("calibrated weight of the dense half", f"{build['fusion_weight']:.2f}")))

    print("\n## Time and memory")
    table(("command", "seconds", "peak resident MiB", ""),
          [(f"`{COMMANDS[stage]}`", f"{seconds[stage]:,.2f}", f"{peak[stage]:,.0f}", notes[stage])
           for stage in STAGES])
    kept = "kept" if max(peak.values()) < RESIDENT_MIB_MAX else "**exceeded**"
    print(f"\nThe bound of {RESIDENT_MIB_MAX:,} MiB resident is {kept}.")

    print("\n## Stages of the build")
    table(("stage", "seconds"), [(k, f"{v:.1f}") for k, v in build["seconds"].items()])
    print("\n## Bytes on disk")
    table(("file", "bytes", "per passage"), disk_rows(data, passages))
    print("\n## Search in one process and one thread\n\n"
          "10 results with snippets, defaults otherwise; no HTTP.\n")
    print(text_of(work, "search.out").rstrip())


if __name__ == "__main__":
    main()
