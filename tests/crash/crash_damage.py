#!/usr/bin/env python3
"""Damaged files: found before the first answer, and the generation before goes on serving.

Usage: crash_damage.py MEDICUS

Bits are flipped, files cut off, exchanged, overwritten, made longer and removed, in turn in every
file that a published generation reads: segments, patches, overlay, thesaurus, encoder, MANIFEST,
CURRENT. Each time `check` and `search` refuse with exit status 6 and a sentence; a server that runs
is pointed at the damaged generation, keeps the one before, answers from it as it did, and says so
in /readyz?verbose and in a metric, until all is well again; a server that is started finds an
intact generation or refuses.

MEDICUS_SEED repeats a run, MEDICUS_SOAK=1 runs the full counts.
"""

import concurrent.futures
import os
import random
import shutil
import sys

from crash_cli import (EXIT_CORRUPT, SOAK, Medicus, Server, few_or_many, full_base,
                       manifests, require, run_alone, write_records)

# kind -> how often
FEW = {"flip": 24, "cut": 6, "swap": 6, "zeros": 2, "longer": 2, "gone": 2}
MANY = {"flip": 2000, "cut": 300, "swap": 100, "zeros": 50, "longer": 50, "gone": 50}
OLD = 1  # the generation that serves meanwhile
QUERY = "/v1/search?q=beta+blocker+markbase&limit=20&response_format=detailed"


def published_files(data, number):
    """Everything that a generation reads, by path."""
    manifest = manifests(data)[number]
    paths = ["CURRENT", f"generations/{number}/MANIFEST"]
    for segment in manifest["segments"]:
        paths += [f"segments/{segment['id']}/{f['name']}" for f in segment["files"]]
    for part in (manifest.get("overlay"), manifest.get("thesaurus"),
                 *(segment.get("patch") for segment in manifest["segments"])):
        paths += [f"generations/{number}/{f['name']}" for f in part["files"]] if part else []
    encoder = manifest["encoder"]
    return paths + [f"encoders/{encoder['id']}/{f['name']}" for f in encoder["files"]]


def every_file(data):
    """The files of all generations."""
    return sorted(os.path.relpath(os.path.join(where, name), data)
                  for folder in ("generations", "segments", "encoders")
                  for where, _, names in os.walk(os.path.join(data, folder)) for name in names)


def read(data, path):
    with open(os.path.join(data, path), "rb") as stream:
        return stream.read()


def write(data, path, content):
    """Replaces a file (None: removes it); who has mapped the old one keeps it, as after a repair
    from a backup."""
    full = os.path.join(data, path)
    if content is None:
        os.unlink(full)
        return
    with open(full + ".new", "wb") as stream:
        stream.write(content)
    os.rename(full + ".new", full)


def plan(paths, rng):
    """(kind, path, a seed of its own), each kind in turn over all files."""
    counts = few_or_many(FEW, MANY)
    todo = []
    for kind, count in counts.items():
        order = [p for p in paths if not (kind == "gone" and p == "CURRENT")]
        rng.shuffle(order)  # without CURRENT there is no index, which is no damage
        todo += [(kind, order[i % len(order)], rng.random()) for i in range(count)]
    rng.shuffle(todo)
    return todo


def damage(data, kind, path, rng):
    """What is done, in words, and the new content of each file that it touches."""
    content = read(data, path)
    if kind == "flip" and content:
        bit = rng.randrange(len(content) * 8)
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        return f"{path}: bit {bit} flipped", {path: bytes(changed)}
    if kind == "cut" and content:
        length = rng.randrange(len(content))
        return f"{path}: cut to {length} bytes", {path: content[:length]}
    if kind == "swap":
        others = [p for p in every_file(data) if p != path and read(data, p) != content]
        name = os.path.basename(path)
        other = rng.choice([p for p in others if os.path.basename(p) == name] or others)
        return (f"{path}: exchanged with {other}", {path: read(data, other), other: content})
    if kind == "zeros" and any(content):
        start = rng.randrange(len(content))
        length = min(4096, len(content) - start)
        if any(content[start:start + length]):
            zeroed = content[:start] + bytes(length) + content[start + length:]
            return f"{path}: {length} zeros at {start}", {path: zeroed}
    if kind == "gone":
        return f"{path}: removed", {path: None}
    return f"{path}: made longer", {path: content + bytes(rng.randrange(1, 100))}


class Patient:
    """A copy of the good data folder whose server serves the old generation."""

    def __init__(self, program, good, folder):
        self.good, self.new = good, max(manifests(good))
        shutil.copytree(good, folder)
        self.medicus = Medicus(program, folder)
        self.medicus.must("generations", "activate", str(OLD))
        self.server = Server(self.medicus)
        self.old_current, self.new_current = read(folder, "CURRENT"), read(good, "CURRENT")
        self.answer = self.server.get(QUERY)

    def treat(self, what, changes, rng):
        """One damage, looked at from all sides, and healed."""
        folder = self.medicus.data
        for path in sorted(changes, key=lambda p: p == "CURRENT"):
            write(folder, path, changes[path])
        if "CURRENT" not in changes:
            write(folder, "CURRENT", self.new_current)
        self.require_refused(what)
        if SOAK or rng.random() < 0.25:
            self.require_old_serves(what)
        if rng.random() < 0.1:
            self.require_careful_start(what, changes)
        write(folder, "CURRENT", self.old_current)
        for path in changes:
            if path != "CURRENT":
                write(folder, path, read(self.good, path))
        self.server.wait_for(lambda s: not s["failed_generation"], "health")

    def require_refused(self, what):
        status, out, err = self.medicus.run("check")
        require(status == EXIT_CORRUPT, f"{what}: check ends with {status}: {err}{out}")
        require(len(err.strip()) > 20, f"{what}: check says too little: {err!r}")
        status, out, err = self.medicus.run("search", "--json", "beta blocker")
        require(status == EXIT_CORRUPT, f"{what}: search ends with {status}: {err}")
        require(not out and len(err.strip()) > 20, f"{what}: search says {err!r} and {out!r}")

    def require_old_serves(self, what):
        state = self.server.wait_for(lambda s: s["failed_generation"], f"noticing {what}")
        require(state["status"] == "ready" and state["generation"] == OLD, f"{what}: {state}")
        require(state["failed_generation"]["reason"], f"{what}: no reason is given")
        require(b"\nmedicus_generation_failed 1\n" in self.server.get("/metrics"),
                f"{what}: the metric does not tell")
        require(self.server.get(QUERY) == self.answer, f"{what}: another answer is given")

    def require_careful_start(self, what, changes):
        """A second server: the newest older generation that is intact, and it says so."""
        expected = [n for n in manifests(self.good) if n != self.new and "CURRENT" not in changes
                    and not set(changes) & set(published_files(self.good, n))]
        if not expected:
            status, _, err = self.medicus.run("serve", "--listen", "127.0.0.1:0")
            require(status == EXIT_CORRUPT, f"{what}: serve ends with {status}: {err}")
            return
        server = Server(self.medicus)
        try:
            state = server.state()
            require(state["generation"] == max(expected), f"{what}: {state}")
            require(state["failed_generation"]["generation"] == self.new, f"{what}: {state}")
        finally:
            server.stop()


def make_good(program, rng, work):
    """Three generations: an old one, another, and an update of that with patches."""
    medicus, _ = full_base(program, rng, os.path.join(work, "good"), work)
    names = os.path.join(work, "names.tsv")
    with open(names, "w", encoding="utf-8") as out:
        out.write("X1\tAdrenergic beta-Antagonists\tbeta blocker|beta blockers\n")
    medicus.must("vocab", "add", names)
    medicus.build("--retrain")
    changed = os.path.join(work, "changed.jsonl")
    write_records(changed, "base", 60, rng)  # the same ids with other texts
    medicus.ingest([changed])
    report = medicus.update()
    require(report["changed"] == 60, "the update took nothing up")
    paths = published_files(medicus.data, report["generation"])
    for name in ("patch-", "overlay", "thesaurus", "statements", "corpus.enc"):
        require(any(name in path for path in paths), f"{name} is not among the files")
    return medicus, paths


def test_damage(program, rng, work):
    medicus, paths = make_good(program, rng, work)
    todo = plan(paths, rng)
    count, patients = len(todo), few_or_many(2, 12)
    done = {}

    def nurse(number):
        patient = Patient(program, medicus.data, os.path.join(work, f"bad{number}"))
        try:
            while todo:
                kind, path, seed = todo.pop()
                own = random.Random(seed)
                what, changes = damage(medicus.data, kind, path, own)
                patient.treat(what, changes, own)
                done[kind] = done.get(kind, 0) + 1
                if sum(done.values()) % 100 == 0:
                    print(f"{sum(done.values())} of {count}", flush=True)
            patient.medicus.must("check")
            patient.server.stop()
        finally:
            todo.clear()  # one failure is enough
            if patient.server.child.poll() is None:
                patient.server.child.kill()

    with concurrent.futures.ThreadPoolExecutor(patients) as pool:
        for future in [pool.submit(nurse, n) for n in range(patients)]:
            future.result()
    require(sum(done.values()) == count, f"{done} of {count}")
    print(f"{done} in {len(paths)} files, each found; the generation before served on")


if __name__ == "__main__":
    sys.exit(run_alone(test_damage, os.path.abspath(sys.argv[1])))
