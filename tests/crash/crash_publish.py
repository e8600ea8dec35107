#!/usr/bin/env python3
"""Publishes under load: no request fails, and every answer is of exactly one generation.

Usage: crash_publish.py MEDICUS

Generations of different content are built beforehand. The answers of each are recorded one after
the other; then searches arrive at a fixed rate, whatever the server does (an open loop: a late
answer delays no later request, and its latency counts from the moment at which it was due), while
one generation after the other is made current. Each answer must be, byte for byte, one of those
recorded for its question.

MEDICUS_SOAK=1: 50 publishes in ten minutes at 200 searches/s; the 99th percentile may be 1.5 times
that of a quiet server, and resident memory comes back within 5 %. Otherwise some seconds, and
nothing about time. MEDICUS_RATE, MEDICUS_SECONDS and MEDICUS_PUBLISHES say otherwise.
"""

import asyncio
import collections
import json
import os
import subprocess
import sys
import time

from crash_cli import (DIM, NO_GATE, SAMPLE, SECONDS_MAX, SOAK, Medicus, Server, few_or_many,
                       require, run_alone, write_records)

GENERATIONS = 5
CURSOR_SECONDS = 2  # how long a generation that was served stays open
IDLE_SECONDS_MAX = 20  # of a connection; the server's own limit is 60
DUE_LATE_MAX = 0.25  # seconds; more and this client was not an open loop


def setting(name, few, many):
    return int(os.environ.get("MEDICUS_" + name) or few_or_many(few, many))


def make_generations(program, rng, work):
    """A data folder with GENERATIONS generations, and words that each answers in its own way."""
    medicus = Medicus(program, os.path.join(work, "data"))
    path = os.path.join(work, "records.jsonl")
    words = set()
    for n in range(1, GENERATIONS + 1):
        count = few_or_many(200, 12000) if n == 1 else few_or_many(60, 2000)
        write_records(path, "base", count, rng)  # the same ids, other texts
        medicus.ingest([os.path.join(SAMPLE, "pubmed"), path])
        keep = ("--keep", str(GENERATIONS + 1))
        if n % 2:
            medicus.must("build", "--json", "--dim", DIM, *NO_GATE, *keep)
        else:
            medicus.must("update", "--json", *NO_GATE, *keep)
        with open(path, encoding="utf-8") as stream:
            words |= set(json.loads(next(stream))["title"].split())
    words = sorted(words)
    queries = words[:12] + [f"{a}+{b}" for a in words for b in words if a < b]
    queries = queries[:few_or_many(14, 400)]
    return medicus, ["/v1/search?limit=10&response_format=detailed&q=" + q for q in queries]


class Client:
    """Requests over kept connections, as many as are needed."""

    def __init__(self, address):
        self.host, port = address.removeprefix("http://").split(":")
        self.port = int(port)
        self.idle = collections.deque()  # the longest idle first

    async def get(self, path):
        """(status, body) of one request."""
        # What a burst opened is let go before the server closes it as idle, which the next request
        # could meet. One that is closed earlier is a failure.
        oldest = time.monotonic() - IDLE_SECONDS_MAX
        while self.idle and self.idle[0][2] < oldest:
            self.idle.popleft()[1].close()
        reader, writer, _ = self.idle.pop() if self.idle else \
            (*await asyncio.open_connection(self.host, self.port, limit=1 << 22), 0)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        body = await reader.readexactly(length)
        if "connection: close" in head:
            writer.close()
        else:
            self.idle.append((reader, writer, time.monotonic()))
        return int(head.split()[1]), body


class Load:
    """Searches at a fixed rate for some time."""

    def __init__(self, address, queries, expected):
        self.client, self.queries, self.expected = Client(address), queries, expected
        self.latencies, self.failures, self.latest_start = [], [], 0.0
        self.answered_by = {}

    async def one(self, path, due):
        self.latest_start = max(self.latest_start, time.monotonic() - due)
        try:
            status, body = await asyncio.wait_for(self.client.get(path), SECONDS_MAX)
        except (OSError, EOFError, asyncio.TimeoutError) as error:
            self.failures.append(repr(error))
            return
        self.latencies.append(time.monotonic() - due)
        if status != 200:
            self.failures.append(f"{status}: {body[:200]}")
        elif body not in self.expected[path]:
            self.failures.append(f"{path}: no generation answers so: {body[:300]}")
        else:
            generation = self.expected[path][body]
            self.answered_by[generation] = self.answered_by.get(generation, 0) + 1

    async def run(self, rate, until):
        """until() ends it; asked before each request."""
        start, tasks, sent = time.monotonic(), set(), 0
        while not until(time.monotonic() - start):
            due = start + sent / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(self.one(self.queries[sent % len(self.queries)], due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            sent += 1
        await asyncio.gather(*tasks)
        return self

    def percentile(self, share):
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def must_be_right(self, when):
        require(not self.failures, f"{when}: {len(self.failures)} of {len(self.latencies)} "
                f"requests failed: {self.failures[:3]}")
        if SOAK:
            require(self.latest_start < DUE_LATE_MAX, f"{when}: a request was sent "
                    f"{self.latest_start:.2f} s late: too little processor for this client")


def activate(medicus, server, number):
    medicus.must("generations", "activate", str(number))
    server.wait_for(lambda s: s["generation"] == number, f"generation {number}")


def record(medicus, server, queries):
    """question -> body -> generation; every generation is served once, the first one last."""
    expected = {path: {} for path in queries}
    for number in list(range(2, GENERATIONS + 1)) + [1]:
        activate(medicus, server, number)
        for path in queries:
            body = server.get(path)
            require(json.loads(body)["generation"] == number, "another generation answers")
            expected[path][body] = number
    for path, bodies in expected.items():
        require(len(bodies) == GENERATIONS, f"{path} does not tell generations apart")
    contents = {json.dumps([r["id"] for r in json.loads(body)["results"]])
                for bodies in expected.values() for body in bodies}
    require(len(contents) > len(queries), "all generations have the same content")
    return expected


def resident_mib(server):
    """After the generations that were kept for cursors are closed."""
    time.sleep(CURSOR_SECONDS + 2)
    with open(f"/proc/{server.child.pid}/status", encoding="ascii") as status:
        return int(next(s for s in status if s.startswith("VmRSS")).split()[1]) / 1024


async def publish_under_load(medicus, server, load, rate, seconds, publishes):
    """One publish after the other, evenly over the time; the last makes generation 1 current."""
    published = 0

    async def publisher():
        nonlocal published
        start = time.monotonic()
        for n in range(1, publishes + 1):
            await asyncio.sleep(max(0.0, start + n * seconds / publishes - time.monotonic()))
            number = 1 if n == publishes else n % GENERATIONS + 1
            process = await asyncio.create_subprocess_exec(
                *medicus.command("generations", "activate", str(number)),
                stdout=subprocess.DEVNULL)
            require(await process.wait() == 0, f"generation {number} is not activated")
            end = time.monotonic() + SECONDS_MAX
            while json.loads((await load.client.get("/readyz?verbose"))[1])["generation"] != number:
                require(time.monotonic() < end, f"generation {number} is never served")
                await asyncio.sleep(0.2)
            published += 1
    task = asyncio.create_task(publisher())
    await load.run(rate, lambda elapsed: task.done() and elapsed >= seconds)
    await task
    return published


def test_publish(program, rng, work):
    rate, seconds = setting("RATE", 20, 200), setting("SECONDS", 6, 600)
    publishes = setting("PUBLISHES", 5, 50)
    medicus, queries = make_generations(program, rng, work)
    flags = ["--cursor-seconds", str(CURSOR_SECONDS)]
    if SOAK:  # each answer costs a search: the cache would be full only on the quiet server
        flags += ["--cache-bytes", "0"]
    server = Server(medicus, *flags)
    try:
        expected = record(medicus, server, queries)
        quiet = Load(server.address, queries, expected)
        asyncio.run(quiet.run(rate, lambda elapsed: elapsed >= seconds / 6))
        quiet.must_be_right("quiet")
        before = resident_mib(server)
        swaps = server.state()["swaps"]
        busy = Load(server.address, queries, expected)
        published = asyncio.run(
            publish_under_load(medicus, server, busy, rate, seconds, publishes))
        busy.must_be_right("while publishing")
        after = resident_mib(server)
        swaps = server.state()["swaps"] - swaps
        server.stop()
    finally:
        if server.child.poll() is None:
            server.child.kill()
    require(published == publishes == swaps, f"{published} published, {swaps} served")
    require(set(busy.answered_by) == set(range(1, GENERATIONS + 1)),
            f"not all generations were seen: {busy.answered_by}")
    ratio = busy.percentile(.99) / quiet.percentile(.99)
    print(f"{publishes} publishes in {seconds} s, {len(busy.latencies)} searches at {rate}/s, "
          f"0 failed, by generation {dict(sorted(busy.answered_by.items()))}\n"
          f"p50 {quiet.percentile(.5):.2f} ms quiet and {busy.percentile(.5):.2f} ms meanwhile, "
          f"p99 {quiet.percentile(.99):.2f} and {busy.percentile(.99):.2f} ms, ratio {ratio:.2f}\n"
          f"resident {before:.1f} MiB before, {after:.1f} MiB after ({after / before - 1:+.1%})")
    if SOAK:
        require(ratio <= 1.5, f"p99 is {ratio:.2f} times that of a quiet server")
        require(after <= before * 1.05, f"resident memory: {before:.1f}, then {after:.1f} MiB")


if __name__ == "__main__":
    sys.exit(run_alone(test_publish, os.path.abspath(sys.argv[1])))
