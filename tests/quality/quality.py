#!/usr/bin/env python3
"""Retrieval quality: ingest, build and evaluate one development set with the defaults, and hold it
to its floor.

Usage: quality.py MEDICUS SET     (exit status 77 = skipped: the shared data is not there)

The floors are what a general BM25 engine reaches on the set, and what the hybrid must add to it.
They are judged on development queries only.
"""
import json
import os
import subprocess
import sys
import tempfile

# set: (BM25 nDCG@10 at least, hybrid above BM25 by at least). R@100 of hybrid must be above BM25's.
FLOORS = {
    "scifact": (0.690, 0.008),
    "nfcorpus": (0.297, 0.015),
    "bioasq": (0.780, 0.0),
    "med": (0.662, 0.04),
}


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def evaluate(medicus, folder, data):
    run(medicus, "ingest", "--data", data, os.path.join(folder, "corpus.jsonl.gz"))
    run(medicus, "build", "--data", data)
    run(medicus, "check", "--data", data)
    return json.loads(run(
        medicus, "eval", "--data", data, "--modes", "lexical,dense,hybrid", "--json",
        "--queries", os.path.join(folder, "queries.jsonl"),
        "--qrels", os.path.join(folder, "qrels", "dev.tsv")))


def main():
    medicus, name = sys.argv[1:]
    shared = os.environ.get("MEDICUS_SHARED", "../shared")
    folder = os.path.join(shared, "data", "beir", name)
    if not os.path.isdir(folder):
        print(f"skipped: {folder} is not there")
        return 77
    with tempfile.TemporaryDirectory(prefix="medicus-quality-") as data:
        report = evaluate(medicus, folder, data)
    lexical, hybrid = report["modes"]["lexical"], report["modes"]["hybrid"]
    for mode, scores in report["modes"].items():
        print(f"{name:10s} {mode:8s} nDCG@10 {scores['ndcg@10']:.4f}  "
              f"R@100 {scores['recall@100']:.4f}")
    lexical_floor, gain = FLOORS[name]
    failures = []
    if lexical["ndcg@10"] < lexical_floor:
        failures.append(f"BM25 reaches {lexical['ndcg@10']:.4f}, the floor is {lexical_floor}")
    if hybrid["ndcg@10"] < lexical["ndcg@10"] + gain:
        failures.append(f"hybrid reaches {hybrid['ndcg@10']:.4f}, {gain} above BM25 is asked")
    if hybrid["recall@100"] <= lexical["recall@100"]:
        failures.append("hybrid finds no more in the first 100 than BM25")
    for failure in failures:
        print("FAIL:", failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
