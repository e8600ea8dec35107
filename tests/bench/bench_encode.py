#!/usr/bin/env python3
"""Encoding with the corpus encoder on one core, per CPU level: results/encoding.json.

Usage: bench_encode.py BENCH_ENCODE CORPUS.ENC PASSAGES.jsonl
"""
import os
import re
import subprocess
import sys

import measured

BAR = 60_000
ROUNDS = "5"
LINE = re.compile(r"(\w+) +(\d+) passages/s +(\d+) passages of ([\d.]+) terms, (\d+) dimensions, "
                  r"(\d+) rows, checksum (\w+)")


def main():
    program, *files = sys.argv[1:]
    load = measured.load()
    seen = []
    for level in ("avx512", "avx2", "portable"):
        output = subprocess.run([program, "--rounds", ROUNDS, *files], check=True, text=True,
                                stdout=subprocess.PIPE, env={**os.environ, "MEDICUS_CPU": level})
        line = LINE.match(output.stdout).groups()
        if all(line[0] != other[0] for other in seen):  # a level that this processor lacks
            seen.append(line)
    if len({line[6] for line in seen}) != 1:
        raise SystemExit("bench_encode: the levels give different vectors")
    _, _, passages, terms, dim, rows, _ = seen[0]
    measured.keep("encoding", {
        "title": "Encoding with the corpus encoder", "order": 35,
        "command": "tests/bench/bench_encode.py BENCH_ENCODE CORPUS.ENC quarter.jsonl",
        "load": f"{load} before",
        "notes": [f"{int(passages):,} passages of {terms} terms on average, one thread, from term "
                  f"ids to normalised vectors of {dim} dimensions; an encoder of {int(rows):,} "
                  f"rows; median of {ROUNDS} rounds. All levels give the same bits."],
        "bars": [{"bar": f"encoding on one core, {level}, passages/s", "limit": f"at least {BAR:,}",
                  "measured": f"{int(rate):,}", "kept": int(rate) >= BAR}
                 for level, rate, *_ in seen]})


if __name__ == "__main__":
    sys.exit(main())
