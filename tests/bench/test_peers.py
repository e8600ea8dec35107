#!/usr/bin/env python3
"""The comparison with peers works: on the sample documents every program runs, answers pass their
checks, and the results say what report.py reads. Nothing is asserted about speed. Peers that are
not installed are left out, and named."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

BENCH = pathlib.Path(__file__).resolve().parent
ROOT = BENCH.parent.parent
SAMPLE = ROOT / "deploy" / "sample"


def run(*command):
    subprocess.run([str(part) for part in command], check=True)


def main():
    medicus, build = os.environ["MEDICUS_BIN"], os.environ["MEDICUS_BUILD"]
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        data, results = work / "data", work / "results"
        run(medicus, "ingest", "--quiet", "--data", data, SAMPLE / "pubmed", SAMPLE / "guidelines")
        run(medicus, "build", "--quiet", "--data", data)
        run(sys.executable, BENCH / "peers.py", "--quick", "--name", "sample", "--build", build,
            "--data", data, "--questions", SAMPLE / "queries.jsonl", "--work", work / "indexes",
            "--results", results)
        found = {path.stem: json.loads(path.read_text(encoding="utf-8"))
                 for path in results.glob("*.json")}
    if not {"lexical-sample", "indexing-sample"} <= set(found):
        raise SystemExit(f"results are missing: {sorted(found)}")
    for name, result in found.items():
        rows = result["tables"][0]["rows"]
        if not result["figures"] or any(len(row) != len(result["tables"][0]["head"])
                                        for row in rows):
            raise SystemExit(f"{name} holds no whole table")
    if found["lexical-sample"]["tables"][0]["rows"][0][-1] != "identical to exhaustive scoring":
        raise SystemExit("nothing says that answers were compared with exhaustive scoring")


if __name__ == "__main__":
    main()
