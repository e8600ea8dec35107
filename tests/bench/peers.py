#!/usr/bin/env python3
"""medicus beside its peers on one collection: lexical search, indexing, dense search.

run.sh prepares everything and calls this. Every engine is given the same passages, questions and
vectors (bench_extract writes them) and is a process that waits for the next round, so that rounds
of all engines alternate; a query's time is the median of its rounds. Results are checked (medicus
against exhaustive scoring, peers against the same with their own formula); a wrong one is exit
status 1.
"""

import argparse
import contextlib
import datetime
import glob
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

import measured

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS = ("lexical", "indexing", "dense")
JAVA = ["java", "-Xms1g", "-Xmx1g", "-XX:+UseSerialGC"]
QUICK_QUERIES = 50
FAISS_VECTORS_MAX = 500_000  # Debian's FAISS has scalar distances: building takes its time
SLOW_QUERIES = 40  # of FTS5, which takes a tenth of a second for each

# Peer -> the least share of the best possible sum of scores that its answers must reach. Lucene
# keeps the length of a passage in one byte.
LEAST_SCORE = {"lucene": 0.97, "xapian": 0.9999, "fts5": 0.9999}


class Server:
    """An engine that answers rounds (engines/README.md has the protocol)."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit(f"error: {command[0]} did not start")

    def ask(self, command, lines=1):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = [self.process.stdout.readline() for _ in range(lines)]
        if not answer[-1]:
            raise SystemExit(f"error: no answer to {command.splitlines()[0]!r}")
        return answer

    def round(self, count):
        """Milliseconds of each of the first `count` queries."""
        return [int(ns) / 1e6 for ns in self.ask(f"round {count}")[0].split()]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Bench:
    def __init__(self, args):
        self.args = args
        self.engines = os.path.join(args.build, "tests", "bench", "engines")
        self.work = args.work or os.path.join(args.build, "bench", args.name)
        self.failures = []
        os.makedirs(self.work, exist_ok=True)
        self.extract()
        self.java = self.compile_lucene()

    def path(self, name):
        return os.path.join(self.work, name)

    def binary(self, name):
        return os.path.join(self.engines, name)

    def extract(self):
        """Texts, questions and vectors of the collection, unless they are there already."""
        wanted = {"data": os.path.realpath(self.args.data), "queries": self.args.queries,
                  "current": read(os.path.join(self.args.data, "CURRENT"))}
        if os.path.exists(self.path("wanted.json")) and \
                json.loads(read(self.path("wanted.json"))) == wanted:
            self.meta = json.loads(read(self.path("meta.json")))
            return
        for name in glob.glob(self.path("index-*")) + glob.glob(self.path("dense-*")):
            shutil.rmtree(name)
        say("extracting texts, questions and vectors")
        subprocess.run([self.binary("bench_extract"), self.args.data, self.work,
                        str(self.args.queries), *self.args.questions], check=True)
        self.meta = json.loads(read(self.path("meta.json")))
        with open(self.path("wanted.json"), "w", encoding="utf-8") as file:
            json.dump(wanted, file)

    def compile_lucene(self):
        """The command that runs Lucene.java, or None where there is no Lucene."""
        jars = [jar for part in ("core", "analyzers-common")
                for jar in glob.glob(f"/usr/share/java/lucene-{part}-8*.jar")]
        if len(jars) != 2 or not shutil.which("javac"):
            say("Lucene is not installed: left out")
            return None
        classes = os.path.join(self.args.build, "bench", "java")
        subprocess.run(["javac", "-d", classes, "-cp", ":".join(jars),
                        os.path.join(HERE, "engines", "Lucene.java")], check=True)
        return [*JAVA, "-cp", ":".join([classes, *jars]), "Lucene"]

    def fail(self, sentence):
        self.failures.append(sentence)
        say(f"FAILED: {sentence}")

    # --- indexing ---

    def build_index(self, engine, kind, folder):
        """One index; what the engine says about it."""
        shutil.rmtree(folder, ignore_errors=True)
        source = self.path("terms.txt" if kind == "terms" else "raw.txt")
        if engine == "medicus":
            command = [self.binary("engine_medicus"), "index", source, folder]
        elif engine == "lucene":
            command = [*self.java, "index", kind, source, folder]
        else:
            command = [self.binary(f"engine_{engine}"), "index", kind, source, folder]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        shutil.rmtree(f"{folder}.loose", ignore_errors=True)
        return json.loads(done.stdout)

    def has(self, engine):
        return self.java is not None if engine == "lucene" else \
            os.path.exists(self.binary(f"engine_{engine}"))

    def wanted(self, engine):
        return engine == "medicus" or not self.args.peers or engine in self.args.peers.split(",")

    def usable(self, rows):
        return [row for row in rows if self.has(row[1]) and self.wanted(row[1])]

    @contextlib.contextmanager
    def one_core(self):
        """What is started meanwhile shares one core with its own threads (compiler, collector)."""
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(cores)})
        yield
        os.sched_setaffinity(0, cores)

    def indexing(self):
        """Passages per second from text in memory to an index on disk, analysis included."""
        rows = self.usable([
            ("medicus", "medicus", "raw"), ("Lucene, English", "lucene", "raw"),
            ("Lucene, English, with positions", "lucene", "positions"),
            ("Lucene, Standard (no stems)", "lucene", "standard"),
            ("Xapian, English", "xapian", "raw"), ("SQLite FTS5, Porter", "fts5", "raw")])
        rounds = min(3, self.args.rounds)
        reports = {label: [] for label, _, _ in rows}
        for r in range(rounds):
            for label, engine, kind in rows:
                if r > 0 and engine in ("xapian", "fts5"):
                    continue  # no bar depends on them, and Xapian takes a minute
                say(f"indexing, round {r + 1} of {rounds}: {label}")
                with self.one_core():
                    report = self.build_index(engine, kind, self.path("index-raw"))
                reports[label].append(report)
        shutil.rmtree(self.path("index-raw"), ignore_errors=True)
        figures = {}
        for label, of_label in reports.items():
            for report in of_label:
                if report["documents"] != self.meta["passages"]:
                    self.fail(f"{label} indexed {report['documents']} passages")
            seconds = statistics.median(report["seconds"] for report in of_label)
            figures[label] = {"passages_per_s": round(self.meta["passages"] / seconds),
                              "index_bytes": of_label[-1]["bytes"],
                              "index_per_text": of_label[-1]["bytes"] / self.meta["text_bytes"]}
        own = figures["medicus"]
        for row in figures.values():
            row["medicus_speed_ratio"] = own["passages_per_s"] / row["passages_per_s"]
        bars = [bar("index without positions beside its text", "at most 15 %",
                    f"{own['index_per_text'] * 100:.1f} %", own["index_per_text"] <= .15)]
        if "Lucene, English" in figures:
            ratio = figures["Lucene, English"]["medicus_speed_ratio"]
            bars.append(bar("indexing, passages/s beside Lucene's, one core", "at least 3 times",
                            f"{ratio:.2f} times", ratio >= 3))
        table = {"title": "", "head": ["engine", "passages/s", "index MB", "index / text",
                                       "medicus is so many times as fast"],
                 "rows": [[label, f"{row['passages_per_s']:,}", f"{row['index_bytes'] / 1e6:.1f}",
                           f"{row['index_per_text']:.3f}", f"{row['medicus_speed_ratio']:.2f}"]
                          for label, row in figures.items()]}
        notes = ["From text in memory to an index on disk that is synced, analysis included, one "
                 "thread; the whole process, Java's compiler and collector too, has one core. "
                 "Lucene and Xapian index without positions unless it says so, Lucene has indexed "
                 "50,000 passages before (its compiler is warm), and nobody's time for merging "
                 "into one segment is counted."]
        return {"title": f"Indexing beside peers, {self.about()}", "order": 30, "notes": notes,
                "bars": bars, "tables": [table], "figures": figures}

    def about(self):
        return f"{self.args.name}: {self.meta['passages']:,} passages"

    # --- lexical search ---

    def serve(self, label, engine, kind):
        folder = self.path(f"index-{engine}-{'raw' if kind == 'raw' else 'terms'}")
        if (engine, kind) == ("medicus", "plain") or not os.path.isdir(folder):
            say(f"index of {label}")
            self.build_index(engine, kind, folder)
        queries, k = self.path("queries.txt"), str(self.args.k)
        if engine == "medicus":
            return Server([self.binary("engine_medicus"), "serve", folder, queries, k, kind])
        if engine == "lucene":
            return Server([*self.java, "serve", folder, queries, k, kind])
        return Server([self.binary(f"engine_{engine}"), "serve", folder, queries, k])

    def check_answers(self, servers, rows, counts):
        """medicus against exhaustive scoring, a peer's answers against that by its own formula."""
        checks = {}
        for label, engine, kind in rows:
            if engine == "medicus":
                differ = int(servers[label].ask(f"verify {counts[label]}")[0])
                checks[label] = "identical to exhaustive scoring"
                if differ:
                    self.fail(f"{label}: {differ} answers are not those of exhaustive scoring")
            elif kind == "terms":
                answers = "".join(servers[label].ask(f"answers {counts[label]}", counts[label]))
                same, score = map(float, servers["medicus"].ask(
                    f"judge {engine} {counts[label]}\n" + answers[:-1])[0].split())
                checks[label] = f"{same * 100:.1f} % the same, {score * 100:.2f} % of the scores"
                if score < LEAST_SCORE[engine]:
                    self.fail(f"{label} reaches {score} of the best sum of scores")
        return checks

    def rounds(self, servers, rows, counts):
        """label -> the median milliseconds of each query, rounds of all engines in turns."""
        say("warming up")
        for label, engine, _ in rows:
            for _ in range(1 if self.args.quick or engine != "lucene" else 10):
                servers[label].round(counts[label])
        time.sleep(1)  # what Java still compiles
        rounds = {label: [] for label in servers}
        for r in range(self.args.rounds):
            for label, engine, _ in rows:
                if engine != "fts5" or r == 0:
                    rounds[label].append(servers[label].round(counts[label]))
        return {label: [statistics.median(ms) for ms in zip(*rounds[label])] for label in servers}

    def lexical_bars(self, figures):
        large = self.meta["passages"] > 500_000
        limits = {"Lucene": (2.5, 3.6) if large else (4, 8), "Xapian": (8, None)}
        bars = []
        for label, (limit, stretch) in limits.items():
            for what in ("mean", "p99"):
                if label not in figures:
                    continue
                ratio = figures[label][f"medicus_{what}_ratio"]
                bars.append(bar(f"lexical search, {what}, beside {label}'s, {self.about()}",
                                f"at most 1/{limit}", f"1/{ratio:.1f}", ratio >= limit,
                                f"1/{stretch}" if stretch else ""))
        return bars

    def lexical(self):
        rows = self.usable([
            ("medicus", "medicus", "plain"), ("medicus, as it serves", "medicus", "weighed"),
            ("Lucene", "lucene", "terms"), ("Lucene, EnglishAnalyzer", "lucene", "raw"),
            ("Xapian", "xapian", "terms"), ("SQLite FTS5", "fts5", "terms")])
        servers = {label: self.serve(label, engine, kind) for label, engine, kind in rows}
        count = min(self.meta["queries"], QUICK_QUERIES if self.args.quick else 1 << 30)
        counts = {label: min(count, SLOW_QUERIES) if engine == "fts5" else count
                  for label, engine, _ in rows}
        checks = self.check_answers(servers, rows, counts)
        times = self.rounds(servers, rows, counts)
        for server in servers.values():
            server.close()
        figures = {}
        for label, ms in times.items():
            own, row = summary(times["medicus"][:counts[label]]), summary(ms)
            figures[label] = {"queries": counts[label],
                              **{f"{what}_ms": row[what] for what in row},
                              **{f"medicus_{what}_ratio": row[what] / own[what] for what in row}}
        table = {"title": "", "head": ["engine", "mean ms", "p50", "p99", "mean / medicus's",
                                       "p99 / medicus's", "queries", "answers"],
                 "rows": [[label, *(f"{row[f'{what}_ms']:.3f}" for what in ("mean", "p50", "p99")),
                           f"{row['medicus_mean_ratio']:.2f}", f"{row['medicus_p99_ratio']:.2f}",
                           row["queries"], checks.get(label, "")]
                          for label, row in figures.items()]}
        notes = [f"k = {self.args.k}, one thread, page cache warm, real questions. All index the "
                 "same terms with the same k1 and b (FTS5's are its own); analysing the question "
                 "is part of medicus's time and not of the peers'. `As it serves`: function words "
                 "weigh a tenth. `EnglishAnalyzer`: Lucene on the text itself, without stop words, "
                 "so its answers are others. Peers' answers are judged by exhaustive scoring with "
                 "their own formula: Lucene keeps lengths in a byte."]
        return {"title": f"Lexical search beside peers, {self.about()}", "order": 20,
                "notes": notes, "bars": self.lexical_bars(figures), "tables": [table],
                "figures": figures}

    # --- dense search ---

    def dense(self):
        program = os.path.join(self.args.build, "tests", "bench", "bench_dense")
        if not os.path.exists(program) or not self.meta["vectors"]:
            say("hnswlib is not installed, or there are no vectors: dense search left out")
            return None
        sets = {"of the index": ["files", self.path("vectors.f32"), self.path("queries.f32"),
                                 str(self.meta["dim"])]}
        if not self.args.quick:
            sets["made up"] = ["drawn", "50000", "384"]
        engines = "medicus,hnswlib"
        if self.meta["passages"] <= FAISS_VECTORS_MAX:
            engines += ",FAISS"
        figures, rows = {}, []
        for name, source in sets.items():
            keep = self.path("dense-" + source[0])
            if not self.args.reuse:
                shutil.rmtree(keep, ignore_errors=True)
            os.makedirs(keep, exist_ok=True)
            say(f"dense search, vectors {name}")
            done = subprocess.run([program, *source, str(self.args.threads), keep, engines],
                                  check=True, stdout=subprocess.PIPE, text=True)
            of_set = json.loads(done.stdout.strip().splitlines()[-1])
            figures[name] = of_set
            own = of_set["medicus"]
            if not own["queries_per_s"]:
                self.fail(f"vectors {name}: recall {of_set['recall']} is not reached")
            for engine in engines.split(","):
                row = of_set[engine]
                row["medicus_speed_ratio"] = own["queries_per_s"] / (row["queries_per_s"] or 1)
                row["medicus_bytes_ratio"] = own["bytes_per_vector"] / row["bytes_per_vector"]
                row["medicus_build_ratio"] = row["build_s"] / own["build_s"]
                rows.append([f"{name}: {of_set['rows']:,} x {of_set['dim']}", engine, row["ef"],
                             f"{row['queries_per_s']:,}", f"{row['medicus_speed_ratio']:.2f}",
                             f"{row['bytes_per_vector']:.0f}", f"{row['build_s']:.1f}",
                             f"{row['build_processor_s']:.1f}"])
        table = {"title": "", "rows": rows,
                 "head": ["vectors", "engine", "ef or lists", "queries/s at recall .98",
                          "medicus's / its", "bytes per vector", "build s", "processor s"]}
        reused = " The graphs are those of a run before this one." if self.args.reuse else ""
        notes = ["Queries per second of one thread where recall@10 against an exact scan is .98, "
                 "between the two efs around it. Queries of the index's vectors are encoded "
                 "questions. Graphs: M = 24, ef of building 160. "
                 f"{self.args.threads} threads build; medicus measures recall meanwhile.{reused}"]
        return {"title": f"Dense search beside peers, {self.about()}", "order": 40, "notes": notes,
                "bars": self.dense_bars(figures["of the index"]["hnswlib"]), "tables": [table],
                "figures": figures}

    def dense_bars(self, peer):
        speed, size, build = (peer[f"medicus_{what}_ratio"] for what in ("speed", "bytes", "build"))
        return [bar(f"dense search at recall .98 beside hnswlib's, {self.about()}",
                    "at least 1.2 times", f"{speed:.2f} times", speed >= 1.2),
                bar(f"bytes per vector beside hnswlib's, {self.about()}", "at most 60 %",
                    f"{size * 100:.0f} %", size <= .6),
                bar(f"building the graph beside hnswlib, {self.about()}", "at least as fast",
                    f"{build:.2f} times", build >= 1)]


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def say(sentence):
    print(f"peers: {sentence}", file=sys.stderr, flush=True)


def summary(ms):
    """The 99th percentile is the smallest time that 99 % of the queries do not exceed."""
    ordered = sorted(ms)
    return {"mean": statistics.fmean(ms), "p50": statistics.median(ms),
            "p99": ordered[-(-len(ordered) * 99 // 100) - 1]}


def bar(name, limit, value, kept, stretch=""):
    return {"bar": name, "limit": limit, "measured": value, "kept": kept, "stretch": stretch}


def priority():
    """A load average says little where this comparison goes before all other work."""
    if os.sched_getscheduler(0) == os.SCHED_OTHER:
        return ""
    return f" (run at real-time priority on {len(os.sched_getaffinity(0))} of the cores)"


def keep_result(path, result):
    """The reason why a bar is missed is written by hand: a new run keeps it."""
    if os.path.exists(path):
        reasons = {b["bar"]: b["why"] for b in json.loads(read(path)).get("bars", []) if "why" in b}
        for b in result["bars"]:
            if not b["kept"] and b["bar"] in reasons:
                b["why"] = reasons[b["bar"]]
    with open(path, "w", encoding="utf-8") as file:
        json.dump(measured.rounded(result), file, indent=1, ensure_ascii=False)
        file.write("\n")


def print_result(result):
    print(f"\n{result['title']}\n")
    for table in result["tables"]:
        lines = [table["head"], ["---"] * len(table["head"]), *table["rows"]]
        print("\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines))
    print()
    for b in result["bars"]:
        stretch = f", stretch {b['stretch']}" if b["stretch"] else ""
        print(f"{'kept  ' if b['kept'] else 'MISSED'} {b['bar']}: {b['measured']} "
              f"({b['limit']}{stretch})")


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, help="folder of a release build")
    parser.add_argument("--data", required=True, help="data folder with a generation")
    parser.add_argument("--name", default="quarter", help="of the collection, in the results")
    parser.add_argument("--questions", nargs="+", required=True, help="JSON Lines with `text`")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--peers", help="only these of lucene, xapian, fts5")
    parser.add_argument("--queries", type=int, default=300, help="questions asked")
    parser.add_argument("--rounds", type=int, default=7,
                        help="of lexical search (default: 7); of indexing at most 3")
    parser.add_argument("--k", type=int, default=10, help="results per query")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="to build graphs")
    parser.add_argument("--quick", action="store_true", help="one round, 50 questions")
    parser.add_argument("--reuse", action="store_true", help="the graphs of the run before")
    parser.add_argument("--work", help="folder for indexes (default: in the build folder)")
    parser.add_argument("--results", default=os.path.join(HERE, "results"), help="folder for JSON")
    args = parser.parse_args()
    if args.quick:
        args.rounds = 1
    args.only = args.only.split(",")
    unknown = set(args.only) - set(PARTS)
    if unknown:
        parser.error(f"unknown part: {', '.join(sorted(unknown))}")
    return args


def main():
    args = parse()
    bench = Bench(args)
    os.makedirs(args.results, exist_ok=True)
    for part in (part for part in PARTS if part in args.only):
        load = measured.load()
        result = getattr(bench, part)()
        if result is None:
            continue
        result = {"command": f"tests/bench/run.sh --collection {args.name} --only {part}",
                  "machine": measured.machine(), "date": datetime.date.today().isoformat(),
                  "load": f"{load:.1f} before, {measured.load():.1f} after{priority()}", **result}
        print_result(result)
        keep_result(os.path.join(args.results, f"{part}-{args.name}.json"), result)
    return 1 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main())
