#!/usr/bin/env python3
"""Ingests, builds, starts and searches collections of several sizes and keeps what it measured.

Usage: tests/bench/scale.py RELEASE_BUILD_FOLDER [--work FOLDER] [SIZE...]

A size is `quarter` (1,200 full texts, 172,406 citations and 17,950 abstracts of the shared
development data: MEDICUS_SHARED, default ../shared), or a number of passages, which are generated
from those (bench_collection.c). Default: quarter. Each size is measured in a data folder of its own
below the work folder (default: a new one below TMPDIR, removed at the end; one that is given stays,
and its collections are used again), and its figures go to results/scale-SIZE.json. `report.py` and
`scale_page.py` make RESULTS.md and SCALE.md of them. A million passages take about 4 GiB of disk.
"""

import argparse
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse

import measured

SEED = 1
QUESTIONS = 2000
FIRST_QUERY = "metformin and vitamin B12 deficiency"
SHARED = pathlib.Path(os.environ.get("MEDICUS_SHARED", measured.HERE.parents[1] / "../shared"))
DATA = SHARED.resolve() / "data"
REAL = ("jats/pmc-oa-ccby-1200.tar.gz", "scale/pubmed-citations-172k.jsonl.gz",
        "scale/pubmed-abstracts-18k.jsonl.gz")
QUESTION_FILES = [DATA / "beir" / name / "queries.jsonl"
                  for name in ("scifact", "nfcorpus", "bioasq", "pubmedqa", "med")]
START_SECONDS = 120


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def make_collection(build, work, size):
    """The files to ingest."""
    real = [DATA / name for name in REAL]
    if size == "quarter":
        return real
    bench = build / "tests/bench/bench_collection"
    source, made = work / "quarter.jsonl", work / f"{size}.jsonl"
    if not source.exists():
        folder = work / "source"
        measured.run([build / "service/medicus", "ingest", "--quiet", "--data", folder, *real])
        with open(work / "quarter.tmp", "wb") as stream:
            subprocess.run([bench, "passages", folder], stdout=stream, check=True)
        (work / "quarter.tmp").rename(source)
        shutil.rmtree(folder)
    if not made.exists():
        say(f"generating {size} passages ...")
        with open(work / "made.tmp", "wb") as stream:
            subprocess.run([bench, "generate", str(SEED), size, source], stdout=stream, check=True)
        (work / "made.tmp").rename(made)
    return [made]


def questions():
    for path in QUESTION_FILES:
        lines = path.read_text(encoding="utf-8").splitlines()
        yield from (json.loads(line)["text"] for line in lines)


@contextlib.contextmanager
def server(medicus, data):
    """A server on a port of its choice: (process, port)"""
    process = subprocess.Popen([medicus, "serve", "--data", data, "--listen", "127.0.0.1:0"],
                               stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        for line in process.stderr:
            found = re.search(r"listening on http://127\.0\.0\.1:(\d+)\b", line)
            if found:
                yield process, int(found.group(1))
                return
        raise SystemExit("the server did not start")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=START_SECONDS)


def ask(connection, query):
    """The number of results; -1: not served (yet)."""
    connection.request("GET", "/v1/search?" + urllib.parse.urlencode({"q": query[:1000]}))
    answer = connection.getresponse()
    body = answer.read()
    return len(json.loads(body)["results"]) if answer.status == 200 else -1


def first_answer(medicus, data):
    """Seconds from the start of the process to the first answered query."""
    begin = time.monotonic()
    with server(medicus, data) as (_, port):
        while time.monotonic() - begin < START_SECONDS:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
            try:
                if ask(connection, FIRST_QUERY) > 0:
                    return time.monotonic() - begin
            finally:
                connection.close()
            time.sleep(.002)
    raise SystemExit("the server did not answer")


def measure_start(medicus, data):
    measured.read_pages(data)
    warm = sorted(first_answer(medicus, data) for _ in range(5))
    measured.forget_pages(data)
    return {"first_answer_seconds": warm[len(warm) // 2],
            "first_answer_cold_seconds": first_answer(medicus, data)}


def measure_serving(medicus, data):
    """The most memory of its own that a server takes for many different questions."""
    with server(medicus, data) as (process, port):
        peak = measured.Peak(process.pid)
        opened = measured.anonymous(process.pid)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
        asked = 0
        for query in list(questions())[:QUESTIONS]:
            asked += ask(connection, query) >= 0
        connection.close()
        return {"serve_anonymous_opened": opened, "serve_anonymous_peak": peak.stop(),
                "serve_questions": asked}


def read_latencies(text):
    """bench_search's table: mode -> stage -> mean, p50 and p99 in milliseconds"""
    modes = {}
    for line in text.splitlines():
        cells = [cell.strip(" *") for cell in line.strip("|").split("|")]
        if len(cells) < 5 or not re.fullmatch(r"[0-9.]+", cells[2]):
            continue
        mean, p50, p99 = (float(cell) for cell in cells[2:5])
        modes.setdefault(cells[0], {})[cells[1]] = {"mean": mean, "p50": p50, "p99": p99}
    return modes


def measure_kinds(build, data):
    """The dense index as it is, and as it would be of the other kind (bench_kinds.c)."""
    with tempfile.TemporaryDirectory(dir=data.parent) as work:
        command = [build / "tests/bench/bench_kinds", data, work, *QUESTION_FILES]
        return json.loads(measured.run(command)[1])


def measure(build, work, size):
    medicus, data = build / "service/medicus", work / f"data-{size}"
    shutil.rmtree(data, ignore_errors=True)
    files = make_collection(build, work, size)
    cores = str(os.cpu_count())
    say(f"{size}: ingest ...")
    ingest, output = measured.run([medicus, "ingest", "--quiet", "--json", "--data", data, *files])
    ingest["records"] = json.loads(output)["records"]
    say(f"{size}: build ...")
    built, output = measured.run([medicus, "build", "--quiet", "--json", "--data", data],
                                 progress=data / "build.progress", OMP_NUM_THREADS=cores)
    report = json.loads(output)
    say(f"{size}: check ...")
    check, _ = measured.run([medicus, "check", "--quiet", "--json", "--data", data])
    say(f"{size}: search ...")
    search, output = measured.run([build / "tests/bench/bench_search", "--queries", QUESTIONS,
                                   data, *QUESTION_FILES], OMP_NUM_THREADS="1")
    say(f"{size}: kinds of dense index ...")
    kinds = measure_kinds(build, data)
    say(f"{size}: serve ...")
    result = {"size": size, "load_after": measured.load(), "ingest": ingest, "build": built,
              "report": report, "check": check, "search": search,
              "latency": read_latencies(output.decode()), "kinds": kinds,
              "disk": measured.disk(data),
              **measure_serving(medicus, data), **measure_start(medicus, data)}
    return measured.keep(f"scale-{size}", result)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path)
    parser.add_argument("size", nargs="*", default=["quarter"])
    options = parser.parse_intermixed_args()
    for size in options.size:
        if size != "quarter" and not size.isdecimal():
            parser.error(f"{size} is neither `quarter` nor a number of passages")
    if not DATA.is_dir():
        say(f"skipped: no {DATA}")
        sys.exit(77)
    build = options.build.resolve()
    programs = [f"tests/bench/bench_{name}" for name in ("search", "collection", "kinds")]
    subprocess.run(["ninja", "-C", build, "service/medicus", *programs], check=True,
                   stdout=sys.stderr)
    work = options.work or pathlib.Path(tempfile.mkdtemp(prefix="medicus-scale-"))
    work.mkdir(parents=True, exist_ok=True)
    try:
        for size in options.size:
            print(measure(build, work, size))
    finally:
        if not options.work:
            shutil.rmtree(work)


if __name__ == "__main__":
    main()
