#!/usr/bin/env python3
"""Makes SCALE.md and its plots (scale-*.svg) of what scale.py measured at several sizes: what all
of PubMed would take.

Usage: tests/bench/scale_page.py
"""

import json
import math
import re

import measured
from plot import Plot
from report import STAGES, beside_text, passages_of, table

CITATIONS, TARGET = 37e6, 45e6
PUBMED_WORDS = 122  # per passage: see the page
FIELD_BYTES = 500   # of a real citation's fields and attributes: index/README.md
LEAST_BYTES = 900   # of memory per document, below which a build refuses: index/memory.c
SERVER_CORES = 16
MEMORY_STAGES = ("analyse", "train", "graph", "calibrate")
GIB = 1 << 30
BYTES_PER_WORD = 6.7  # bench_collection compare
BOUNDED = ("train", "corpus.enc")  # by common/limits.h, not by the collection
BY_WORDS = ("data.mdb", "postings", "lexicon", "analyse", "lexical")
HOT_FILES = ("lexicon", "postings", "lengths", "chunks", "documents", "graph", "vectors")


class Curve:
    """A quantity at the sizes measured, and its power law y = c x^b: b from all sizes by least
    squares, the line through the last point; low and high from the growth between neighbouring
    sizes that was least and greatest, none above `most`."""

    def __init__(self, name, points, bounded=False, most=2):
        self.name, self.points = name, sorted(p for p in points if p[1] > 0)
        logs = [(math.log(x), math.log(y)) for x, y in self.points]
        steps = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in zip(logs, logs[1:]) if b[0] > a[0]]
        if bounded or not steps:
            self.exponents = (0, 0, 0)
            return
        steps = [min(b, most) for b in steps]
        mx, my = (sum(v) / len(logs) for v in zip(*logs))
        fit = sum((x - mx) * (y - my) for x, y in logs) / sum((x - mx) ** 2 for x, _ in logs)
        fit = min(fit, most)
        self.exponents = min(steps + [fit]), fit, max(steps + [fit])

    def at(self, x):
        """(low, expected, high)"""
        if not self.points:
            return 0, 0, 0
        last_x, last_y = self.points[-1]
        return tuple(last_y * (x / last_x) ** max(b, 0) for b in self.exponents)

    def line(self):
        first = self.points[-1][0]
        xs = [first * (TARGET / first) ** (i / 12) for i in range(13)]
        return [(x, *self.at(x)) for x in xs]

    def series(self):
        return self.name, self.points, self.line()


class Line(Curve):
    """A quantity with a part that does not depend on the size, y = a + b x: b by least squares,
    through the last size; low and high from the least and the greatest slope."""

    def __init__(self, name, points):
        super().__init__(name, points)
        steps = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in zip(self.points, self.points[1:])]
        mx, my = (sum(v) / len(self.points) for v in zip(*self.points))
        fit = (sum((x - mx) * (y - my) for x, y in self.points) /
               sum((x - mx) ** 2 for x, _ in self.points))
        self.slopes = [max(b, 0) for b in (min(steps + [fit]), fit, max(steps + [fit]))]

    def at(self, x):
        last_x, last_y = self.points[-1]
        return tuple(last_y + b * (x - last_x) for b in self.slopes)


def read_sizes():
    results = [json.loads(path.read_text(encoding="utf-8"))
               for path in measured.RESULTS.glob("scale-*.json")]
    generated = [r for r in results if r["size"] != "quarter"]
    if len(generated) < 2:
        raise SystemExit("measure two generated sizes at least: scale.py BUILD 200000 500000")
    return sorted(generated, key=passages_of)


def curve(results, name, figure, most=2):
    return Curve(name, [(passages_of(r), figure(r)) for r in results], name in BOUNDED, most)


def latency(mode, stage, what):
    return lambda r: r["latency"][mode][stage][what]


def words_of(result):
    """The collections are alike (README.md, Collections): words per passage as compared there."""
    return result["report"]["text_bytes"] / passages_of(result) / BYTES_PER_WORD


def scaled(values, factor):
    return tuple(v * factor for v in values)


def total(parts):
    return tuple(sum(column) for column in zip(*parts))


def span(values, form="{:,.0f}"):
    low, expected, high = (form.format(v) for v in values)
    return expected if low == high else f"{expected} ({low} to {high})"


def page_of(sizes):
    last = sizes[-1]
    factor = PUBMED_WORDS / words_of(last)
    names = [f"{passages_of(r):,}" for r in sizes]
    files = sorted((n for n, size in last["disk"].items() if size / passages_of(last) >= .5),
                   key=lambda n: -last["disk"][n])
    disk = {n: curve(sizes, n, lambda r, n=n: r["disk"].get(n, 0)) for n in files}
    stages = {s: curve(sizes, s, lambda r, s=s: r["report"]["seconds"].get(s, 0)) for s in STAGES
              if last["report"]["seconds"].get(s, 0) >= .5}
    times = {f"{mode} {what}": curve(sizes, f"{mode} {what}", latency(mode, "whole", what), most=1)
             for mode in ("lexical", "dense", "hybrid") for what in ("p50", "p99")}
    memory = {f"build, {s}": Line(f"build, {s}", [
        (passages_of(r), r["build"]["anonymous_by_stage"].get(s, 0)) for r in sizes])
              for s in last["build"]["anonymous_by_stage"] if s in MEMORY_STAGES}
    memory["serve"] = Line("serve", [(passages_of(r), r["serve_anonymous_peak"]) for r in sizes])
    build_memory = tuple(max(part) / GIB for part in
                         zip(*(c.at(TARGET) for n, c in memory.items() if n != "serve")))
    kinds = {f"{kind}, k = {k}": curve(sizes, f"{kind}, k = {k}", lambda r, kind=kind, k=k:
                                       r["kinds"][kind][f"microseconds_{k}"] / 1e3, most=1)
             for kind in ("hnsw", "ivf") for k in (10, 200)}
    start = Line("start", [(passages_of(r), r["first_answer_seconds"]) for r in sizes])

    def factor_of(name):
        return factor if name in BY_WORDS else 1

    at = {n: scaled(c.at(TARGET), factor_of(n) / GIB) for n, c in disk.items()}
    at_stage = {n: scaled(c.at(TARGET), factor_of(n) / 3600) for n, c in stages.items()}
    fields = (CITATIONS * FIELD_BYTES / GIB,) * 3
    hot = total([at[n] for n in files if n in HOT_FILES])
    values = {
        "machine": last["machine"], "sizes": ", ".join(names), "factor": f"{factor:.1f}",
        "own_words": f"{words_of(last):.0f}", "words": PUBMED_WORDS,
        "largest": f"{TARGET / passages_of(last):.0f}",
        "disk_table": "\n".join(table(
            ["file", *(f"{n} passages, bytes each" for n in names), "growth", "at 45 M, GiB"],
            [(n, *(f"{r['disk'].get(n, 0) / passages_of(r):,.1f}" for r in sizes),
              f"N^{disk[n].exponents[1]:.2f}", span(at[n], "{:,.1f}")) for n in files] +
            [("fields of real citations", *("" for _ in names), "N", f"{fields[0]:,.1f}"),
             ("**all**", *(f"{sum(r['disk'].values()) / passages_of(r):,.0f}" for r in sizes), "",
              span(total([*at.values(), fields])))])),
        "stage_table": "\n".join(table(
            ["stage", *(f"{n}, s" for n in names), "growth", "at 45 M, hours"],
            [(n, *(f"{r['report']['seconds'].get(n, 0):,.1f}" for r in sizes),
              f"N^{stages[n].exponents[1]:.2f}", span(at_stage[n], "{:,.2f}")) for n in stages] +
            [("**all**", *(f"{r['report']['seconds']['total']:,.1f}" for r in sizes), "",
              span(total(at_stage.values()), "{:,.1f}"))])),
        "time_table": latency_table(sizes, names, times),
        "kinds_table": latency_table(sizes, names, kinds),
        "memory_table": "\n".join(table(
            ["anonymous MiB", *names, "bytes per passage more", "at 45 M, GiB"],
            [(n, *(f"{dict(c.points).get(passages_of(r), 0) / measured.MIB:,.0f}" for r in sizes),
              f"{c.slopes[1]:,.0f}", span(scaled(c.at(TARGET), 1 / GIB), "{:,.1f}"))
             for n, c in memory.items()] +
            [("start to first answer, s", *(f"{r['first_answer_seconds']:.2f}" for r in sizes),
              "", span(start.at(TARGET), "{:,.0f}") + " s")])),
        "hot": span(hot), "disk_all": f"{total([*at.values(), fields])[1]:,.0f}",
        "disk_high": f"{total([*at.values(), fields])[2]:,.0f}",
        "hours": span(total(at_stage.values()), "{:,.0f}"),
        "hours_many": f"{many_cores(at_stage):,.1f}", "cores": SERVER_CORES,
        "serve": span(scaled(memory["serve"].at(TARGET), 1 / GIB), "{:,.1f}"),
        "build": span(build_memory), "least": f"{CITATIONS * LEAST_BYTES / GIB:,.0f}",
        "hybrid": span(times["hybrid p50"].at(TARGET), "{:,.0f}"),
        "hybrid99": span(times["hybrid p99"].at(TARGET), "{:,.0f}"),
        "beside": f"{beside_text(last):,.0f}"}
    draw(disk, stages, {**times, "IVF alone, k = 200": kinds["ivf, k = 200"]}, memory)
    text = (measured.HERE / "scale_page.md.in").read_text(encoding="utf-8")
    return re.sub(r"\{(\w+)\}", lambda m: str(values[m.group(1)]), text)


def latency_table(sizes, names, curves):
    return "\n".join(table(
        ["ms", *names, "growth", "at 45 M"],
        [(n, *(f"{dict(c.points)[passages_of(r)]:.2f}" for r in sizes),
          f"N^{c.exponents[1]:.2f}", span(c.at(TARGET), "{:,.1f}")) for n, c in curves.items()]))


def many_cores(at_stage):
    """Hours with more cores: all stages but training share their work out."""
    return sum(v[1] if n in BOUNDED else v[1] * 2 / SERVER_CORES for n, v in at_stage.items())


def draw(disk, stages, times, memory):
    def write(name, title, y_label, curves):
        svg = Plot(title, "passages", y_label, [c.series() for c in curves]).svg()
        (measured.HERE / f"scale-{name}.svg").write_text(svg, encoding="utf-8")

    def divided(c, by):
        points = [(x, y / by) for x, y in c.points]
        return Line(c.name, points) if isinstance(c, Line) else Curve(
            c.name, points, c.name in BOUNDED)

    largest = sorted(disk.values(), key=lambda c: -c.points[-1][1])[:7]
    write("disk", "Disk by file", "GiB", [divided(c, GIB) for c in largest])
    write("build", "Build by stage, two cores", "seconds", stages.values())
    write("latency", "Search, one core", "milliseconds", times.values())
    write("memory", "Anonymous memory", "GiB", [divided(c, GIB) for c in memory.values()])


def main():
    page = page_of(read_sizes())
    path = measured.HERE / "SCALE.md"
    path.write_text(page, encoding="utf-8")
    print(path.name)


if __name__ == "__main__":
    main()
