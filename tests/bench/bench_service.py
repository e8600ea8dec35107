#!/usr/bin/env python3
"""Searches over HTTP beside the same searches in one process, and an overload.

    ninja -C BUILD service/medicus tests/bench/bench_threads
    tests/bench/bench_service.py BUILD DATA QUESTIONS.jsonl... [--mode hybrid] [--rounds 3]

BUILD is a release build, DATA a data folder with an index, the questions are BEIR's (one object
with `text` per line), 1,000 of them, as many of each file.

Throughput: in turns, bench_threads (as many threads as cores, answers not rendered) and `medicus
serve` as it is by default but without its cache, asked by h2load over kept connections (twice as
many as cores) for whole JSON answers of 10 results. Medians of the rounds. The load generator runs
on the same cores, so two figures are told: requests per second, with what the generator took of
the processors, and the processor time of a search in either process, without the generator's.

Overload: an open loop of four times the rate that the server just reached: 256 connections whose
requests are due at fixed times and spread over them, whatever the server does. What was accepted
and what was refused are told apart; the first two seconds, until all connections are open, do not
count.
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

import measured

QUESTIONS = 1000
OPEN_CONNECTIONS = 256
OVER = 4
WARM_SECONDS = 2
# What the query language reads as something else than words.
SYNTAX = re.compile(r'["():*\[\]]|\b(AND|OR|NOT)\b')


def read_questions(paths):
    files = []
    for path in paths:
        lines = path.read_text(encoding="utf-8").splitlines()
        texts = [" ".join(json.loads(line)["text"].split()) for line in lines if line.strip()]
        files.append([t for t in texts if t and len(t) < 400 and not SYNTAX.search(t)])
    share = QUESTIONS // len(files)
    return [texts[i * len(texts) // min(share, len(texts))]
            for texts in files for i in range(min(share, len(texts)))]


class Server:
    """medicus serve on a port of its own choice."""

    def __init__(self, args):
        self.process = subprocess.Popen(
            [args.build / "service/medicus", "serve", "--data", args.data, "--listen",
             "127.0.0.1:0", "--cache-bytes", "0"], stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            found = re.search(r"listening on (http://\S+)", line)
            if found:
                self.url = found.group(1)
                return
        sys.exit("medicus serve did not start")

    def processor_seconds(self):
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii")
        fields = stat.rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def metric(self, name):
        with urllib.request.urlopen(self.url + "/metrics") as answer:
            text = answer.read().decode()
        return float(re.search(rf"^{name} (\S+)$", text, re.M).group(1))

    def stop(self):
        self.process.terminate()
        self.process.wait()


def children_seconds():
    times = os.times()
    return times.children_user + times.children_system


def h2load(args, server, *options):
    """Its log, one (start us, status, took us) a request, with processor seconds and duration."""
    log = args.work / "h2load.log"
    log.unlink(missing_ok=True)
    own, others, begin = server.processor_seconds(), children_seconds(), time.monotonic()
    subprocess.run(["h2load", "--h1", "-t", "1", "-i", args.urls, "--log-file", log, *options],
                   check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - begin
    rows = [tuple(map(int, line.split("\t"))) for line in log.read_text().splitlines()]
    return rows, {"seconds": seconds, "server_cores": (server.processor_seconds() - own) / seconds,
                  "generator_cores": (children_seconds() - others) / seconds}


def closed(args, server):
    """As fast as answers come: rate and processor time."""
    rows, row = h2load(args, server, "-c", str(2 * args.cores), "-D", str(args.seconds))
    if any(status != 200 for _, status, _ in rows):
        sys.exit("a search failed while the throughput was measured")
    took = sorted(us for _, _, us in rows)
    rate = len(rows) / args.seconds
    return {**row, "rate": rate, "cpu_us": row["server_cores"] * row["seconds"] / len(rows) * 1e6,
            "generator_us": row["generator_cores"] * row["seconds"] / len(rows) * 1e6,
            "p50_ms": percentile(took, .5), "p99_ms": percentile(took, .99)}


def in_process(args):
    out = subprocess.run(
        [args.build / "tests/bench/bench_threads", "--mode", args.mode, str(args.cores),
         str(args.seconds), args.data, args.questions_file], check=True, capture_output=True,
        text=True).stdout
    return json.loads(out)


def percentile(ordered_us, share):
    if not ordered_us:
        return None
    return ordered_us[min(len(ordered_us) - 1, int(share * len(ordered_us)))] / 1000


def overload(args, server, peak):
    per_connection = max(1, round(OVER * peak / OPEN_CONNECTIONS))
    seconds = args.overload_seconds
    refused = server.metric("medicus_queue_refused_total")
    rows, row = h2load(
        args, server, "-c", str(OPEN_CONNECTIONS), "--rps", str(per_connection),
        "-n", str(OPEN_CONNECTIONS * per_connection * (seconds + WARM_SECONDS + 1)),
        # Three connections every 12 ms: their requests are due at different times.
        "-r", "3", "--rate-period", "12ms")
    start = min(begin for begin, _, _ in rows) + WARM_SECONDS * 1e6
    inside = [r for r in rows if start <= r[0] < start + seconds * 1e6]
    accepted = sorted(us for _, status, us in inside if status == 200)
    others = sorted(us for _, status, us in inside if status == 503)
    refused = server.metric("medicus_queue_refused_total") - refused
    all_refused = sum(status == 503 for _, status, _ in rows)
    if len(accepted) + len(others) != len(inside) or refused != all_refused:
        sys.exit(f"{len(inside)} requests: {len(accepted)} answered, {len(others)} refused; "
                 f"{all_refused} of all were, and the server counted {refused:.0f}")
    return {**row, "offered": len(inside) / seconds, "accepted": len(accepted) / seconds,
            "goodput": len(accepted) / seconds / peak, "peak": peak,
            "accepted_p50_ms": percentile(accepted, .5),
            "accepted_p99_ms": percentile(accepted, .99),
            "refused": len(others) / seconds, "refused_p50_ms": percentile(others, .5),
            "refused_p99_ms": percentile(others, .99)}


def median_of(rows):
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def measure(args):
    alone, http, over = [], [], []
    for _ in range(args.rounds):
        alone.append(in_process(args))
        server = Server(args)
        try:
            args.urls.write_text("".join(
                f"{server.url}/v1/search?mode={args.mode}&q={urllib.parse.quote(q)}\n"
                for q in args.texts))
            closed(args, server)  # warm
            http.append(closed(args, server))
            over.append(overload(args, server, http[-1]["rate"]))
        finally:
            server.stop()
        print(json.dumps({"in process": alone[-1], "http": http[-1], "overload": over[-1]}),
              file=sys.stderr, flush=True)
    return median_of(alone), median_of(http), median_of(over)


def result(args, alone, http, over):
    share, cpu = http["rate"] / alone["rate"], alone["cpu_us"] / http["cpu_us"]
    where = f"{args.mode}, {args.cores} cores"
    what = "HTTP against the same searches in process, " + where
    return {
        "title": f"The service under load, {args.label}", "order": 61,
        "command": f"tests/bench/run.sh --only http --collection {args.label}",
        "load": f"{args.load:.1f} before", "figures":
        {"in_process": alone, "http": http, "overload": over}, "notes": [
            "Generator: h2load (Debian nghttp2-client), one thread, on the cores of the server "
            f"and at the same priority; it took {http['generator_cores']:.2f} cores at full speed "
            f"and {over['generator_cores']:.2f} in the overload.",
            "In process: answers are not rendered; over HTTP they are, as JSON."],
        "bars": [
            {"bar": what + ", requests/s", "limit": "at least 0.80", "measured": f"{share:.2f}",
             "kept": share >= .8},
            {"bar": what + ", processor time", "limit": "at least 0.80", "measured": f"{cpu:.2f}",
             "kept": cpu >= .8},
            {"bar": f"open loop of {OVER} times the capacity, {where}: p99 of what is accepted",
             "limit": "at most 20 ms", "measured": f"{over['accepted_p99_ms']:.1f} ms",
             "kept": over["accepted_p99_ms"] <= 20},
            {"bar": f"the same: goodput, {where}", "limit": "at least 0.80 of the peak",
             "measured": f"{over['goodput']:.2f}", "kept": over["goodput"] >= .8}],
        "tables": [
            {"title": "Throughput", "head": ["", "searches/s", "processor us each", "p50 ms",
                                             "p99 ms"],
             "rows": [["in process", f"{alone['rate']:,.0f}", f"{alone['cpu_us']:,.0f}", "", ""],
                      ["HTTP", f"{http['rate']:,.0f}", f"{http['cpu_us']:,.0f} and "
                       f"{http['generator_us']:,.0f} of the generator", f"{http['p50_ms']:.2f}",
                       f"{http['p99_ms']:.2f}"]]},
            {"title": "Overload", "head": ["", "requests/s", "p50 ms", "p99 ms"],
             "rows": [["offered", f"{over['offered']:,.0f}", "", ""],
                      ["accepted", f"{over['accepted']:,.0f}", f"{over['accepted_p50_ms']:.2f}",
                       f"{over['accepted_p99_ms']:.2f}"],
                      ["refused with 503 and Retry-After", f"{over['refused']:,.0f}",
                       f"{over['refused_p50_ms']:.2f}", f"{over['refused_p99_ms']:.2f}"]]}]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("questions", type=pathlib.Path, nargs="+")
    parser.add_argument("--mode", default="hybrid", choices=("hybrid", "lexical", "dense"))
    parser.add_argument("--seconds", type=int, default=5, help="of one measurement")
    parser.add_argument("--overload-seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--label", default="quarter million", help="what the collection is called")
    parser.add_argument("--keep", metavar="NAME", help="write results/NAME.json")
    args = parser.parse_args()
    args.cores, args.load = len(os.sched_getaffinity(0)), measured.load()
    args.texts = read_questions(args.questions)
    with tempfile.TemporaryDirectory(prefix="medicus-bench-") as name:
        args.work = pathlib.Path(name)
        args.urls, args.questions_file = args.work / "urls", args.work / "questions"
        args.questions_file.write_text("\n".join(args.texts) + "\n", encoding="utf-8")
        found = result(args, *measure(args))
    for bar in found["bars"]:
        print(f"{bar['bar']}: {bar['measured']} ({bar['limit']})")
    if args.keep:
        print(measured.keep(args.keep, found))


main()
