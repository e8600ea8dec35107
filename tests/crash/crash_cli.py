#!/usr/bin/env python3
"""The real program, treated badly: killed and out of space. (crash_damage.py damages its files,
crash_publish.py publishes under load.)

Usage: crash_cli.py MEDICUS kill|full      (exit status 77 = skipped)

MEDICUS_SEED repeats a run, MEDICUS_SOAK=1 runs the full counts. Every folder is made below TMPDIR,
or in memory where there is such a place.

kill    SIGKILL at random moments of ingest, update, build, merging and activation. What was
        acknowledged is there, the last published generation answers, check is clean, a server gets
        ready, and the next run succeeds and tidies up.
full    the disk is full during ingest, update and build: exit status 7 and a sentence, nothing
        lost, a running server goes on, and a retry with space succeeds.
"""

import gzip
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLE = os.path.join(HERE, "..", "..", "deploy", "sample")
SOAK = bool(os.environ.get("MEDICUS_SOAK"))
SECONDS_MAX = 300  # for one command, under sanitizers, on a busy machine
SHELVES = 6  # so many inputs have ids of their own
MERGE_FANOUT, MERGE_FLOOR_PASSAGES = 8, 4096  # as in index/policy.h
DIM = "32"  # of the encoder: training is not what is tested here
NO_GATE = ("--gate-overlap", "0")  # made-up words rank by chance under a new encoder
EXIT_NO_INDEX, EXIT_CORRUPT, EXIT_NO_SPACE = 5, 6, 7
SKIPPED = 77

SYLLABLES = "ba ce di fo gu ha je ki lo mu na pe ri so tu va we xi yo zu".split()


class Broken(Exception):
    """A promise was not kept."""


def require(condition, sentence):
    if not condition:
        raise Broken(sentence)


def few_or_many(few, many):
    return many if SOAK else few


def spread(rng, count):
    """Invented words, some frequent and some rare."""
    return [SYLLABLES[int(rng.random() ** 2 * 20)] + rng.choice(SYLLABLES) for _ in range(count)]


def write_records(path, prefix, count, rng, shelf=None):
    """JSON Lines; every document carries the word `mark<prefix>`. Returns the ids, which begin with
    the shelf or the prefix."""
    shelf = shelf or prefix
    ids = []
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "wt", encoding="utf-8") as out:
        for i in range(count):
            words = spread(rng, rng.randint(20, 90))
            record = {"_id": f"{shelf}-{i}", "title": " ".join(spread(rng, 6)),
                      "text": f"mark{prefix} " + " ".join(words) + "."}
            out.write(json.dumps(record) + "\n")
            ids.append(f"doc:{shelf}-{i}")
    return ids


class Medicus:
    """The program and one data folder."""

    def __init__(self, program, data):
        self.program, self.data = program, data

    def command(self, name, *args):
        return [self.program, name, "--data", self.data, *args]

    def run(self, name, *args, file_bytes_max=None):
        """(exit status, stdout, stderr); a signal is never acceptable here."""
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes_max, file_bytes_max))
        done = subprocess.run(
            self.command(name, *args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            errors="replace", timeout=SECONDS_MAX, check=False,
            preexec_fn=limit if file_bytes_max is not None else None)
        self.sane(name, done.returncode, done.stderr)
        return done.returncode, done.stdout, done.stderr

    def sane(self, name, status, stderr):
        require(status >= 0, f"{name} died of signal {-status}:\n{stderr[-3000:]}")
        for report in ("Sanitizer", "runtime error", "Assertion"):
            require(report not in stderr, f"{name} (exit status {status}):\n{stderr[-3000:]}")
        require(status != 70, f"{name} reports a defect of its own: {stderr[-3000:]}")

    def must(self, name, *args):
        status, out, err = self.run(name, *args)
        require(status == 0, f"{name} ended with {status}: {err[-2000:]}")
        return out

    def info(self):
        return json.loads(self.must("info", "--json"))

    def search(self, query, *args):
        status, out, err = self.run("search", "--json", *args, query)
        return status, (json.loads(out) if status == 0 else None), err

    def ingest(self, paths):
        return json.loads(self.must("ingest", "--json", *paths))

    def build(self, *args):
        return json.loads(self.must("build", "--json", "--dim", DIM, *NO_GATE, *args))

    def update(self):
        return json.loads(self.must("update", "--json", *NO_GATE))


def manifests(data):
    """number -> manifest of every complete generation."""
    found = {}
    folder = os.path.join(data, "generations")
    for name in os.listdir(folder):
        path = os.path.join(folder, name, "MANIFEST")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as stream:
                found[int(name)] = json.loads(stream.read().rsplit("xxh3:", 1)[0])
    return found


def require_no_garbage(data, keep):
    """Only what manifests name, and no temporary files."""
    known = manifests(data)
    require(len(known) <= keep, f"{len(known)} generations are kept, {keep} asked for")
    segments = {s["id"] for m in known.values() for s in m["segments"]}
    encoders = {m["encoder"]["id"] for m in known.values() if m.get("encoder")}
    for folder, named in (("generations", {str(n) for n in known}), ("segments", segments),
                          ("encoders", encoders)):
        there = set(os.listdir(os.path.join(data, folder)))
        require(there == named, f"{folder} has {sorted(there - named)} too many, "
                f"{sorted(named - there)} are missing")
    for where, _, names in os.walk(data):
        for name in names:
            require("tmp" not in name, f"{os.path.join(where, name)} was left behind")


def copy_data(source, target):
    """A copy that shares no file with the source."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


# ---- kill ----

class Kills:
    """The state of the world as an outside observer may rely on it."""

    def __init__(self, medicus, rng, work):
        self.medicus, self.rng, self.work = medicus, rng, work
        self.acknowledged = {}    # id -> round of the newest version whose ingest succeeded
        self.seen_documents = 0   # once seen, never fewer
        self.seen_generation = 0
        self.searchable = None    # (prefix, shelf) of documents of the seen generation
        self.round = 0
        self.tiny = 0             # number of the last tiny update
        self.ready_seconds = 0.0  # the longest start of a server
        self.seconds = {}         # name -> how long it takes undisturbed
        self.outcomes, self.killed = {}, 0

    def new_input(self, count):
        """((prefix, shelf), id -> round, files): every SHELVES rounds the same ids again."""
        self.round += 1
        ids, paths, names = [], [], []
        for part, suffix in enumerate((".jsonl", ".jsonl.gz", ".jsonl")):
            prefix, shelf = f"r{self.round}p{part}", f"s{self.round % SHELVES}p{part}"
            path = os.path.join(self.work, shelf + suffix)
            ids += write_records(path, prefix, count // 3, self.rng, shelf)
            paths.append(path)
            names.append((prefix, shelf))
        return names[0], dict.fromkeys(ids, self.round), paths

    def timed(self, name, call, *args):
        start = time.monotonic()
        answer = call(*args)
        self.seconds[name] = time.monotonic() - start
        return answer

    def kill_during(self, name, command):
        """True when the command ended by itself before the signal came."""
        delay = self.rng.random() * self.seconds[name] * 1.1
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            try:
                _, err = child.communicate(timeout=delay)
                self.medicus.sane(name, child.returncode, err.decode(errors="replace"))
                require(child.returncode == 0, f"{name} failed: {err.decode(errors='replace')}")
                ended = True
            except subprocess.TimeoutExpired:
                child.kill()
                child.communicate()
                ended = child.returncode != -signal.SIGKILL
                self.killed += not ended
        key = name + (" ended before" if ended else " killed")
        self.outcomes[key] = self.outcomes.get(key, 0) + 1
        return ended

    def verify(self):
        self.medicus.must("check")
        info = self.medicus.info()
        documents = info["store"]["documents"]
        require(documents >= self.seen_documents,
                f"{documents} documents, {self.seen_documents} were there before")
        require(documents >= len(self.acknowledged),
                f"{documents} documents, {len(self.acknowledged)} were acknowledged")
        self.seen_documents = documents
        if self.acknowledged:
            every = list(self.acknowledged)
            self.must_fetch(dict.fromkeys(self.rng.sample(every, min(40, len(every))) + every[-5:]))
        generation = info["index"]["generation"] if info["index"] else 0
        require(generation >= self.seen_generation,
                f"generation {generation}, {self.seen_generation} was published before")
        if not self.seen_generation and not generation:
            status, _, err = self.medicus.search("anything")
            require(status == EXIT_NO_INDEX and err, f"search without an index: {status} {err}")
        elif generation == self.seen_generation:
            self.must_find(self.searchable, generation)
        else:
            status, _, err = self.medicus.search("beta blocker")
            require(status == 0, f"search in the new generation: {status} {err}")
        self.seen_generation = generation
        if generation:
            self.require_ready(generation)

    def must_fetch(self, ids):
        """What was acknowledged, or what came after it."""
        fetched = json.loads(self.medicus.must("fetch", "--json", *ids))["documents"]
        require([d["id"] for d in fetched] == list(ids), "fetch gives other documents")
        for document in fetched:
            found = re.search(r"mark(?:r|tiny)(\d+)", document["text"])
            require(found and int(found[1]) >= self.acknowledged[document["id"]],
                    f"{document['id']} is an older version than was acknowledged")

    def require_ready(self, generation):
        start = time.monotonic()
        server = Server(self.medicus)
        try:
            require(server.state()["generation"] == generation, "another generation is served")
            self.ready_seconds = max(self.ready_seconds, time.monotonic() - start)
        finally:
            server.stop()
        require(self.ready_seconds < 10 or not SOAK,
                f"it took {self.ready_seconds:.1f} s until a server was ready")

    def prepare_merge(self):
        """Tiny updates until the next one merges segments."""
        while self.small_segments() < MERGE_FANOUT - 1:
            self.ingest_tiny()
            self.seen_generation = self.medicus.update()["generation"]
            self.searchable = (f"tiny{self.tiny}", f"tiny{self.tiny}")
        self.ingest_tiny()

    def small_segments(self):
        current = self.medicus.info()["index"]["generation"]
        return sum(s["chunk_count"] < MERGE_FLOOR_PASSAGES
                   for s in manifests(self.medicus.data)[current]["segments"])

    def ingest_tiny(self):
        self.tiny += 1
        path = os.path.join(self.work, "tiny.jsonl")
        ids = write_records(path, f"tiny{self.tiny}", 3, self.rng)
        self.medicus.ingest([path])
        self.acknowledged.update(dict.fromkeys(ids, self.tiny))

    def kill_activation(self):
        """A roll back that is killed: the one or the other generation, whole."""
        newest = self.seen_generation
        older = self.rng.choice(sorted(manifests(self.medicus.data)))
        ended = self.kill_during(
            "activate", self.medicus.command("generations", "activate", str(older)))
        generation = self.medicus.info()["index"]["generation"]
        require(generation in (newest, older), f"generation {generation} instead of {older}")
        self.medicus.must("check")
        status, _, err = self.medicus.search("beta blocker")
        require(status == 0, f"search after a killed roll back: {status} {err}")
        self.require_ready(generation)
        self.medicus.must("generations", "activate", str(newest))
        return ended

    def must_find(self, searchable, generation):
        prefix, shelf = searchable
        status, answer, err = self.medicus.search(f"mark{prefix}", "--mode", "lexical")
        require(status == 0, f"search ended with {status}: {err}")
        require(answer["generation"] == generation, "another generation answered")
        require(answer["results"] and
                answer["results"][0]["document_id"].startswith(f"doc:{shelf}-"),
                f"generation {generation} does not know mark{prefix}")

    def settle(self, searchable, ids, paths):
        """The next ingest and build (or update) succeed, and nothing is left behind."""
        self.medicus.ingest(paths)
        self.acknowledged.update(ids)
        again = self.medicus.ingest(paths)
        require(again["unchanged"] == len(ids), f"ingesting again changed something: {again}")
        by_update = self.seen_generation and self.rng.random() < 0.5
        report = self.medicus.update() if by_update else self.medicus.build()
        require(report["documents"] >= len(self.acknowledged), f"the build lost some: {report}")
        self.searchable, self.seen_generation = searchable, report["generation"]
        self.must_find(searchable, report["generation"])
        require_no_garbage(self.medicus.data, 3)
        self.verify()


KILLED = ("ingest", "ingest", "ingest", "update", "update", "update", "build", "build", "retrain",
          "merge", "activate", "activate")


def test_kill(program, rng, work):
    medicus = Medicus(program, os.path.join(work, "data"))
    k = Kills(medicus, rng, work)
    per_input = few_or_many(900, 1500)

    # How long things take; in a folder of its own, so that the first kill meets an empty one.
    other = Kills(Medicus(program, os.path.join(work, "timing")), rng, work)
    _, _, paths = other.new_input(per_input)
    sources = [os.path.join(SAMPLE, "pubmed"), os.path.join(SAMPLE, "guidelines")]
    k.seconds["ingest"] = other.timed("ingest", other.medicus.ingest, sources + paths) and \
        other.seconds["ingest"]
    for name, args in (("build", ()), ("retrain", ("--retrain",))):
        other.timed(name, other.medicus.build, *args)
        k.seconds[name] = other.seconds[name]
    other.medicus.ingest(other.new_input(per_input)[2])
    other.timed("update", other.medicus.update)
    k.seconds["update"] = other.seconds["update"]
    other.timed("activate", other.medicus.must, "generations", "activate", "2")
    k.seconds["activate"] = other.seconds["activate"]
    k.seconds["merge"] = k.seconds["build"]  # about
    shutil.rmtree(other.medicus.data)

    kills = few_or_many(8, 200)
    pending = None
    tries = 0
    while k.killed < kills:
        tries += 1
        require(tries < 5 * kills, f"nothing can be killed in time: {k.outcomes}")
        if pending is None:
            pending = k.new_input(per_input)
        searchable, ids, paths = pending
        action = rng.choice(KILLED) if k.seen_generation else "ingest"
        print(f"kill {k.killed + 1}/{kills}: {action}", flush=True)
        if action == "merge":
            k.prepare_merge()
        if action == "ingest":
            command = medicus.command("ingest", "--json", *sources, *paths)
        elif action in ("update", "merge"):
            command = medicus.command("update", "--json", *NO_GATE)
        elif action != "activate":
            extra = ["--retrain"] if action == "retrain" else []
            command = medicus.command("build", "--json", "--dim", DIM, *NO_GATE, *extra)
        ended = k.kill_activation() if action == "activate" else k.kill_during(action, command)
        if os.path.isdir(os.path.join(medicus.data, "docs")):
            if ended and action == "ingest":
                k.acknowledged.update(ids)
                pending = None
            try:
                k.verify()
            except Broken as broken:
                if not (k.acknowledged or k.seen_documents) and "no store" in str(broken):
                    continue  # killed before there was anything
                raise
        if ended and action == "ingest":
            continue
        if rng.random() < 0.4 or k.killed == kills or not k.seen_generation:
            k.settle(searchable, ids, paths)
            pending = None
    print(f"{kills} kills: {k.outcomes}; {len(k.acknowledged)} documents acknowledged, none lost, "
          f"generation {k.seen_generation}, ready within {k.ready_seconds:.2f} s")


# ---- full ----

def bytes_used(folder):
    return sum(os.lstat(os.path.join(where, name)).st_blocks * 512
               for where, _, names in os.walk(folder) for name in names)


class SmallDisk:
    """A file system in memory whose size can be changed; needs a namespace of its own."""

    def __init__(self, path):
        self.path = path
        os.makedirs(path, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "medicus", path], check=True)

    def resize(self, spare):
        used = os.statvfs(self.path)
        taken = (used.f_blocks - used.f_bfree) * used.f_frsize
        subprocess.run(
            ["mount", "-o", f"remount,size={taken + spare}", self.path], check=True)


class Server:
    """`medicus serve`, asked over HTTP."""

    def __init__(self, medicus, *flags):
        self.medicus = medicus
        self.log = tempfile.TemporaryFile(mode="w+", errors="replace")
        self.child = subprocess.Popen(
            # Cursors would hold generations that require_no_garbage wants to see gone.
            medicus.command("serve", "--listen", "127.0.0.1:0", "--cursor-seconds", "0", *flags),
            stdout=self.log, stderr=self.log)
        end = time.monotonic() + SECONDS_MAX
        self.address = None
        while not self.address:
            at = self.said().find("http://")
            if at >= 0 and "\n" in self.said()[at:]:
                self.address = self.said()[at:].split()[0].rstrip("/")
            require(self.child.poll() is None, f"serve ended: {self.said()}")
            require(time.monotonic() < end, f"serve does not start: {self.said()}")
            time.sleep(0.05)

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def get(self, path):
        with urllib.request.urlopen(self.address + path, timeout=60) as answer:
            return answer.read()

    def state(self):
        return json.loads(self.get("/readyz?verbose"))

    def wait_for(self, condition, what):
        """Until condition(state) holds; returns the state."""
        end = time.monotonic() + SECONDS_MAX
        while not condition(state := self.state()):
            require(time.monotonic() < end, f"serve does not come to {what}: {state}")
            time.sleep(0.05)
        return state

    def search(self, query):
        url = f"{self.address}/v1/search?q={query}"
        for _ in range(50):
            try:
                with urllib.request.urlopen(url, timeout=60) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code != 503:
                    raise Broken(f"serve answered {error.code}: {error.read()[:500]}") from error
            except (urllib.error.URLError, ConnectionError):
                pass
            time.sleep(0.2)
        raise Broken(f"serve does not answer any more ({self.child.poll()})")

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        status = self.child.wait(timeout=SECONDS_MAX)
        self.medicus.sane("serve", status, self.said())
        require(status == 0, f"serve ended with {status}: {self.said()}")
        self.log.close()


def full_base(program, rng, data, work):
    medicus = Medicus(program, data)
    base = os.path.join(work, "base.jsonl")
    ids = write_records(base, "base", 600, rng)
    medicus.ingest([os.path.join(SAMPLE, "pubmed"), base])
    medicus.build()
    return medicus, ids


def require_old_answers(medicus, server, ids, documents):
    """Readers do not notice: the command line, the server, the check."""
    status, answer, err = medicus.search("markbase", "--mode", "lexical")
    require(status == 0 and answer["results"], f"search on a full disk: {status} {err}")
    if server:
        require(server.search("markbase")["results"], "serve finds nothing on a full disk")
    medicus.must("fetch", "--json", *ids[-10:])
    medicus.must("check")
    require(medicus.info()["store"]["documents"] >= documents, "documents were lost")


def try_full(medicus, server, ids, name, args, limit):
    """Runs with little space; True when it was too little."""
    documents = medicus.info()["store"]["documents"]
    status, _, err = medicus.run(name, *args, file_bytes_max=limit)
    if status == 0:
        return False
    require(status == EXIT_NO_SPACE, f"{name} on a full disk ended with {status}: {err[-1500:]}")
    require(len(err.strip()) > 20, f"{name} says too little: {err!r}")
    print(f"  {name}: {err.strip().splitlines()[-1]}", flush=True)
    require_old_answers(medicus, server, ids, documents)
    return True


def test_full(program, rng, work, disk):
    medicus, ids = full_base(program, rng, os.path.join(work, "data"), work)
    inputs = os.path.join(os.path.dirname(work.rstrip("/")), "inputs") if disk else work
    os.makedirs(inputs, exist_ok=True)
    size = bytes_used(medicus.data)
    largest = max(os.path.getsize(os.path.join(where, name))
                  for where, _, names in os.walk(medicus.data) for name in names)
    failures = {"ingest": 0, "update": 0, "build": 0}
    server = Server(medicus)
    try:
        for i in range(few_or_many(4, 40)):
            more = os.path.join(inputs, f"more{i}.jsonl")
            # The same ids now and then: a small encoder cannot tell very many made-up texts apart.
            new_ids = write_records(more, f"more{i}", 800, rng, f"more{i % 4}")
            for name, args in (("ingest", ("--json", more)), ("update", ("--json", *NO_GATE)),
                               ("build", ("--json", "--dim", DIM, "--retrain", *NO_GATE))):
                needed = {"ingest": 120000, "update": 500000, "build": size * 0.7}[name]  # about
                spare = int(needed * rng.random()) if i else 0
                if disk:
                    disk.resize(spare)
                limit = None if disk else max(4096, int(largest * rng.random()))
                print(f"round {i + 1}: {name}, "
                      f"{'spare' if disk else 'files up to'} {spare if disk else limit}",
                      flush=True)
                failures[name] += try_full(medicus, server, ids, name, args, limit)
                if disk:
                    disk.resize(size * 4 + (64 << 20))
                medicus.must(name, *args)
            ids += new_ids
            require(server.search(f"markmore{i}") is not None, "serve is gone")
            require_no_garbage(medicus.data, 4)  # and one that the server may be leaving
        server.stop()
    finally:
        if server.child.poll() is None:
            server.child.kill()
    require(failures["ingest"] and failures["build"] and (failures["update"] or not disk),
            f"space never ran out: {failures}")
    print(f"out of space: {failures}")


def run_full(program, seed):
    """In namespaces of its own where that is allowed, with limits on files otherwise."""
    if shutil.which("unshare"):
        probe = "mkdir -p $0 && mount -t tmpfs -o size=1m x $0 && mount -o remount,size=2m $0"
        with tempfile.TemporaryDirectory() as folder:
            can = subprocess.run(["unshare", "-rm", "sh", "-c", probe, folder],
                                 stderr=subprocess.DEVNULL, check=False).returncode == 0
        if can:
            environment = dict(os.environ, MEDICUS_SEED=str(seed))
            return subprocess.run(
                ["unshare", "-rm", sys.executable, os.path.abspath(__file__), program,
                 "full-mounted"], env=environment, check=False).returncode
    print("no privilege to make a small disk: files are limited instead")
    return run_test(lambda rng, work: test_full(program, rng, work, None), seed)


# ---- main ----

def run_test(test, seed):
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    base = os.environ.get("TMPDIR") or memory
    if base == memory and memory and shutil.disk_usage(memory).free < 1 << 30:
        base = None
    with tempfile.TemporaryDirectory(prefix="medicus-crash-", dir=base) as work:
        try:
            test(random.Random(seed), work)
        except Broken as broken:
            print(f"FAIL (MEDICUS_SEED={seed}): {broken}")
            return 1
        except subprocess.TimeoutExpired as late:
            print(f"FAIL (MEDICUS_SEED={seed}): {late}")
            return 1
    return 0


def full_mounted(program, rng, work):
    disk = SmallDisk(os.path.join(work, "disk"))
    try:
        test_full(program, rng, disk.path, disk)
    finally:
        subprocess.run(["umount", "-l", disk.path], check=False)


def seed_of_run():
    seed = int(os.environ.get("MEDICUS_SEED") or time.time_ns() % 1000000007)
    print(f"MEDICUS_SEED={seed}", flush=True)
    return seed


def run_alone(test, program):
    """The exit status of one test(program, rng, work)."""
    return run_test(lambda rng, work: test(program, rng, work), seed_of_run())


def main():
    program, name = os.path.abspath(sys.argv[1]), sys.argv[2]
    if name == "full":
        return run_full(program, seed_of_run())
    return run_alone({"kill": test_kill, "full-mounted": full_mounted}[name], program)


if __name__ == "__main__":
    sys.exit(main())
