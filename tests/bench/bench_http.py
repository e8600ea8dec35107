#!/usr/bin/env python3
"""What HTTP costs beside the search itself: medicus against a minimal libmicrohttpd server.

    ninja -C build service/medicus tests/bench/bench_http_min
    tests/bench/bench_http.py [--build build] [--seconds 3] [--rounds 5] [--json FILE]

Both answer the same bytes with the same number of I/O threads and workers, both suspend every
request, hand it to a pool and resume it. wrk (Debian) measures them in turns, several rounds;
medians are told. Cases:

  not found     a document that is not there: everything but a few look-ups in the store
  not modified  a search with If-None-Match: a 304 before the search begins
  ten results   a whole answer of a search, one connection: of each request's time the stages of
                the search are subtracted that its own Server-Timing tells (server_timing.lua)

"times" is the minimal server's rate divided by medicus's (of ten results, the times per request);
"CPU" is the quotient of the processor time that each server's process took for a request: on a
machine that is not quiet that is the steadier.

The last part opens 2,000 connections that send one byte a second and measures again.
"""
import argparse
import http.client
import json
import os
import pathlib
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONNECTIONS = (1, 16, 256)
NOT_SENT = {"connection", "content-length", "date"}  # libmicrohttpd writes these itself
SLOW_CLIENTS = 2000
MICROSECONDS = {"us": 1, "ms": 1e3, "s": 1e6}


class Process:
    """A server that prints its address."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        for line in self.process.stdout:
            found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", line)
            if found:
                self.port = int(found.group(1))
                threading.Thread(target=self.process.stdout.read, daemon=True).start()
                return
        sys.exit(f"{command[0]} did not start")

    def stop(self):
        self.process.terminate()
        self.process.wait()


def fetch(port, target, headers):
    c = http.client.HTTPConnection("127.0.0.1", port)
    c.request("GET", target, headers=headers)
    r = c.getresponse()
    body = r.read()
    c.close()
    return r.status, r.getheaders(), body


def peer_of(args, folder, case, target, headers):
    """The minimal server with the answer that medicus gives."""
    status, fields, body = fetch(args.port, target, headers)
    path = folder / (case.replace(" ", "-") + ".answer")
    text = f"{status}\n" + "".join(f"{name}: {value}\n" for name, value in fields
                                   if name.lower() not in NOT_SENT)
    path.write_bytes(text.encode() + b"\n" + body)
    return Process(args.build / "tests/bench/bench_http_min", path, "2", str(args.workers)), body


def wrk(args, port, target, headers, connections):
    """Requests per second and the median latency in microseconds."""
    command = ["wrk", "--latency", "--timeout", "10s", "-d", f"{args.seconds}s",
               "-t", "1" if connections == 1 else "2", "-c", str(connections)]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    out = subprocess.run([*command, f"http://127.0.0.1:{port}{target}"], capture_output=True,
                         text=True, check=True).stdout
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))
    amount, unit = re.search(r"50%\s+([\d.]+)(us|ms|s)", out).groups()
    requests = int(re.search(r"(\d+) requests in", out).group(1))
    errors = re.search(r"Socket errors: (.*)", out)
    return {"rate": rate, "requests": requests, "p50_us": float(amount) * MICROSECONDS[unit],
            "errors": errors.group(1) if errors else ""}


def without_search(args, peer, target):
    """The whole answer, in turns: microseconds of a request beside the search."""
    runs = {"medicus": [], "minimal": []}
    for _ in range(args.rounds):
        for name, port, flag in (("medicus", args.port, "subtract"),
                                 ("minimal", peer.port, "all")):
            out = subprocess.run(
                ["wrk", "-t", "1", "-c", "1", "-d", f"{args.seconds}s", "-s",
                 ROOT / "tests/bench/server_timing.lua", f"http://127.0.0.1:{port}{target}", "--",
                 flag], capture_output=True, text=True, check=True).stdout
            runs[name].append(float(re.search(r"median of \d+: ([\d.]+) us", out).group(1)))
    row = {name + "_us": statistics.median(values) for name, values in runs.items()}
    return {**row, "ratio": row["medicus_us"] / row["minimal_us"]}


def cpu_seconds(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def alternate(args, peer, target, headers, connections):
    runs = {"medicus": [], "minimal": []}
    for _ in range(args.rounds):
        for name, server in (("medicus", args.server), ("minimal", peer)):
            before = cpu_seconds(server.process)
            run = wrk(args, server.port, target, headers, connections)
            run["cpu_us"] = (cpu_seconds(server.process) - before) / run["requests"] * 1e6
            runs[name].append(run)
    row = {"connections": connections}
    for name, results in runs.items():
        row[name + "_rate"] = statistics.median(r["rate"] for r in results)
        row[name + "_p50_us"] = statistics.median(r["p50_us"] for r in results)
        row[name + "_cpu_us"] = statistics.median(r["cpu_us"] for r in results)
        errors = [r["errors"] for r in results if r["errors"]]
        if errors:
            row[name + "_errors"] = errors
    row["ratio"] = row["minimal_rate"] / row["medicus_rate"]
    row["cpu_ratio"] = row["medicus_cpu_us"] / row["minimal_cpu_us"]
    return row


def measure(args, folder):
    rows = []
    search = "/v1/search?q=beta-blockers+after+myocardial+infarction"
    etag = dict(fetch(args.port, search, {})[1])["ETag"]
    for case, target, headers in (("not found", args.not_found, {}),
                                  ("not modified", search, {"If-None-Match": etag})):
        peer, body = peer_of(args, folder, case, target, headers)
        for connections in CONNECTIONS:
            rows.append({"case": case, "bytes": len(body),
                         **alternate(args, peer, target, headers, connections)})
            print_row(rows[-1])
        peer.stop()
    peer, body = peer_of(args, folder, "ten results", search, {})
    rows.append({"case": "ten results", "bytes": len(body), "connections": 1,
                 **without_search(args, peer, search)})
    print("\nten results, {bytes:,} bytes, 1 connection: {medicus_us:.1f} us beside the search, "
          "{minimal_us:.1f} us minimal: {ratio:.2f} times".format(**rows[-1]), flush=True)
    peer.stop()
    return rows


COLUMNS = (("case", "{case}"), ("bytes", "{bytes:,}"), ("connections", "{connections}"),
           ("medicus, requests/s", "{medicus_rate:,.0f}"), ("minimal", "{minimal_rate:,.0f}"),
           ("medicus p50 us", "{medicus_p50_us:,.0f}"), ("minimal", "{minimal_p50_us:,.0f}"),
           ("medicus CPU us", "{medicus_cpu_us:,.1f}"), ("minimal", "{minimal_cpu_us:,.1f}"),
           ("times", "{ratio:.2f}"), ("CPU", "{cpu_ratio:.2f}"))


def print_row(row):
    cells = [form.format(**row) for _, form in COLUMNS]
    errors = [row[name] for name in ("medicus_errors", "minimal_errors") if name in row]
    print("| " + " | ".join(cells) + " |", *errors, flush=True)


class SlowClients(threading.Thread):
    """Connections that send a byte of their header every second, and come back when closed."""

    def __init__(self, port, count):
        super().__init__(daemon=True)
        self.port, self.count, self.end = port, count, threading.Event()
        self.sockets = []

    def connect(self):
        sock = socket.create_connection(("127.0.0.1", self.port))
        sock.setblocking(False)
        sock.send(b"GET /livez HTTP/1.1\r\nHost: a\r\nX: ")
        return sock

    def run(self):
        self.sockets = [self.connect() for _ in range(self.count)]
        while not self.end.wait(1):
            for i, sock in enumerate(self.sockets):
                try:
                    sock.send(b"a")
                except OSError:
                    sock.close()
                    self.sockets[i] = self.connect()
        for sock in self.sockets:
            sock.close()

    def settle(self):
        while len(self.sockets) < self.count:
            time.sleep(0.1)


def slow(args):
    """The same with and without, in turns."""
    results = {"alone": [], "beside": []}
    for _ in range(args.rounds):
        results["alone"].append(wrk(args, args.port, args.not_found, {}, 16))
        clients = SlowClients(args.port, SLOW_CLIENTS)
        clients.start()
        clients.settle()
        results["beside"].append(wrk(args, args.port, args.not_found, {}, 16))
        clients.end.set()
        clients.join()
    row = {"slow_clients": SLOW_CLIENTS, "connections": 16}
    for name, runs in results.items():
        row[name + "_rate"] = statistics.median(r["rate"] for r in runs)
        row[name + "_p50_us"] = statistics.median(r["p50_us"] for r in runs)
    row["ratio"] = row["alone_rate"] / row["beside_rate"]
    print(f"\n{SLOW_CLIENTS:,} slow clients: {row['beside_rate']:,.0f} requests/s at p50 "
          f"{row['beside_p50_us']:,.0f} us beside them, {row['alone_rate']:,.0f} at "
          f"{row['alone_p50_us']:,.0f} us without: {row['ratio']:.2f} times slower", flush=True)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--seconds", type=int, default=3, help="of one run of wrk")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=pathlib.Path, help="write the figures there too")
    args = parser.parse_args()
    args.not_found = "/v1/documents/pmid:1"
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    medicus = args.build / "service/medicus"
    with tempfile.TemporaryDirectory(prefix="medicus-bench-") as name:
        folder = pathlib.Path(name)
        sample = [ROOT / "deploy/sample/pubmed", ROOT / "deploy/sample/guidelines"]
        subprocess.run([medicus, "ingest", "--data", folder / "data", "--quiet", *sample],
                       check=True, stdout=subprocess.DEVNULL)
        subprocess.run([medicus, "build", "--data", folder / "data", "--quiet"], check=True,
                       stdout=subprocess.DEVNULL)
        server = Process(medicus, "serve", "--data", folder / "data", "--listen", "127.0.0.1:0",
                         "--io-threads", "2", "--threads", str(args.workers),
                         "--cache-bytes", "0",
                         "--queue-ms", "60000")  # 256 connections that wait are no overload here
        args.server, args.port = server, server.port
        print("| " + " | ".join(name for name, _ in COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
        rows = measure(args, folder)
        beside = slow(args)
        server.stop()
    if args.json:
        args.json.write_text(json.dumps({"cpus": os.cpu_count(), "rows": rows, "slow": beside},
                                        indent=1) + "\n", encoding="ascii")


main()
