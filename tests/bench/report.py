#!/usr/bin/env python3
"""Makes RESULTS.md of results/*.json, which the benchmarks write.

Usage: tests/bench/report.py [--check]

A result holds, each part optional: title, order (of its section), command, machine, date, load,
notes (sentences), bars ({bar, limit, stretch, measured, kept, why}) and tables ({title, head,
rows}). All bars come first in one table. scale-SIZE.json holds raw figures; their sections are made
here. --check only says (exit status 1) whether RESULTS.md is what the results give.
"""

import json
import os
import re
import sys

import measured

TEXT_FILES = ("data.mdb",)
STAGES = ("analyse", "lexical", "train", "encode", "graph", "calibrate", "verify")
BUILD_SECONDS_MAX, BUILD_GIB_MAX, SERVE_GIB_MAX = 480, 6, 1.2
DISK_BYTES_MAX, START_SECONDS_MAX = 1800, 1
KIND_FIGURES = (("chosen_by_itself", "ef or nprobe chosen by itself"),
                ("recall_of_chosen", "recall@10 of that"),
                ("ef_or_nprobe", "least ef or nprobe for .98"),
                ("recall_at_10", "recall@10 with that"),
                ("microseconds_10", "microseconds, k = 10"),
                ("microseconds_200", "microseconds, k = 200"),
                ("graph_bytes_per_row", "bytes per vector beside it"))
HYBRID_MS = {"p50": (3, 1.5), "p99": (10, 6)}
GIB = 1 << 30


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows] + [""]


def bar(name, limit, value, kept, stretch="", why=""):
    return {"bar": name, "limit": limit, "measured": value, "kept": kept, "stretch": stretch,
            "why": why}


# --- the sizes that scale.py measured ---

def passages_of(result):
    return result["report"]["passages"]


def beside_text(result):
    """Bytes per passage on disk without the docstore, which holds the text."""
    return sum(size for name, size in result["disk"].items()
               if name not in TEXT_FILES) / passages_of(result)


def encode_rate(result):
    """Passages per second and core."""
    threads = int(re.match(r"\d+", result["machine"]).group())
    return passages_of(result) / result["report"]["seconds"]["encode"] / threads


def scale_bars(result):
    """The bars are set at a million passages; smaller sizes have no bars."""
    n, seconds = passages_of(result), result["report"]["seconds"]["total"]
    if n < 990_000 or n > 1_010_000:
        return []
    build, serve = result["build"]["anonymous_peak"] / GIB, result["serve_anonymous_peak"] / GIB
    disk, start = beside_text(result), result["first_answer_seconds"]
    hybrid = result["latency"]["hybrid"]["whole"]
    bars = [
        bar("build of a million passages, two cores", "at most 480 s", f"{seconds:.0f} s",
            seconds <= BUILD_SECONDS_MAX),
        bar("the build's anonymous memory", "at most 6 GiB", f"{build:.2f} GiB",
            build <= BUILD_GIB_MAX),
        bar("a server's anonymous memory", "at most 1.2 GiB", f"{serve:.2f} GiB",
            serve <= SERVE_GIB_MAX),
        bar("disk beside the text", "at most 1,800 bytes per passage", f"{disk:,.0f}",
            disk <= DISK_BYTES_MAX),
        bar("process start to first answer, warm page cache", "at most 1 s", f"{start:.2f} s",
            start <= START_SECONDS_MAX)]
    for name, (limit, stretch) in HYBRID_MS.items():
        bars.append(bar(f"hybrid search, a million passages, one core, {name}",
                        f"at most {limit} ms", f"{hybrid[name]:.2f} ms", hybrid[name] <= limit,
                        f"{stretch} ms"))
    return bars


def scale_tables(results):
    names = [f"{passages_of(r):,}" for r in results]

    def rows(*figures):
        return [[name, *(figure(r) for r in results)] for name, figure in figures]

    def per_passage(name):
        return lambda r: f"{r['disk'].get(name, 0) / passages_of(r):,.1f}"

    def latency(mode, stage, what):
        return lambda r: f"{r['latency'][mode][stage][what]:.3f}"

    overview = rows(
        ("documents", lambda r: f"{r['report']['documents']:,}"),
        ("distinct terms", lambda r: f"{r['report']['terms']:,}"),
        ("text, MB", lambda r: f"{r['report']['text_bytes'] / 1e6:,.1f}"),
        ("recall@10 of the dense index", lambda r: f"{r['report']['recall_at_10']:.4f}"),
        ("ingest, records/s", lambda r: f"{r['ingest']['records'] / r['ingest']['seconds']:,.0f}"),
        ("build, s", lambda r: f"{r['report']['seconds']['total']:,.1f}"),
        ("build, processor s", lambda r: f"{r['build']['processor_seconds']:,.1f}"),
        ("build, anonymous MiB", lambda r: f"{r['build']['anonymous_peak'] / measured.MIB:,.0f}"),
        ("check, s", lambda r: f"{r['check']['seconds']:.2f}"),
        ("serve, anonymous MiB when open",
         lambda r: f"{r['serve_anonymous_opened'] / measured.MIB:,.0f}"),
        ("serve, anonymous MiB after 2,000 questions",
         lambda r: f"{r['serve_anonymous_peak'] / measured.MIB:,.0f}"),
        ("start to first answer, warm, s", lambda r: f"{r['first_answer_seconds']:.2f}"),
        ("start to first answer, cold, s", lambda r: f"{r['first_answer_cold_seconds']:.2f}"),
        ("encoding, passages/s per core", lambda r: f"{encode_rate(r):,.0f}"))
    stages = rows(*((s, lambda r, s=s: f"{r['report']['seconds'].get(s, 0):,.1f}")
                    for s in STAGES))
    largest = results[-1]
    files = sorted(name for name in largest["disk"]
                   if largest["disk"][name] / passages_of(largest) >= .05)
    disk = rows(*((name, per_passage(name)) for name in files),
                ("all beside the text", lambda r: f"{beside_text(r):,.1f}"))
    modes = results[0]["latency"]
    def dense(kind, key):
        return lambda r: f"{r['kinds'][kind][key]:,.4g}"

    kinds = rows(*((f"{kind}, {name}", dense(kind, key)) for kind in ("hnsw", "ivf")
                   for key, name in KIND_FIGURES),
                 ("seconds to build the other kind",
                  lambda r: f"{r['kinds']['other_build_seconds']:,.0f}"))
    search = rows(*((f"{mode}, {stage}, {what}", latency(mode, stage, what))
                    for mode in modes for stage in modes[mode] for what in ("mean", "p50", "p99")
                    if stage == "whole" or what == "mean"))
    return [{"title": "Overview", "head": ["passages", *names], "rows": overview},
            {"title": "Stages of the build, seconds", "head": ["passages", *names], "rows": stages},
            {"title": "Disk, bytes per passage by file", "head": ["passages", *names],
             "rows": disk},
            {"title": "Graph and inverted lists over the same vectors, real questions, one thread",
             "head": ["passages", *names], "rows": kinds},
            {"title": "Search in one process and thread, 10 results with snippets, ms",
             "head": ["passages", *names], "rows": search}]


def scale_section(results):
    results = sorted(results, key=passages_of)
    loads = ", ".join(f"{r['ingest']['load_before']:.1f} to {r['load_after']:.1f}" for r in results)
    sizes = " ".join(str(r["size"]) for r in results)
    return {"title": "Build, memory, disk, start and search by size", "order": 80,
            "command": f"tests/bench/scale.py BUILD {sizes}", "machine": results[-1]["machine"],
            "date": results[-1]["date"], "load": loads,
            "notes": ["`quarter` is real; larger collections are generated from it "
                      "(README.md, Collections). Memory is the process's own (RssAnon), looked at "
                      "every 20 ms."],
            "bars": [b for r in results for b in scale_bars(r)], "tables": scale_tables(results)}


# --- the page ---

def read_results():
    sections, sizes = [], []
    for path in sorted(measured.RESULTS.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        (sizes if path.name.startswith("scale-") else sections).append(result)
    if sizes:
        sections.append(scale_section(sizes))
    return sorted(sections, key=lambda s: (s.get("order", 90), s.get("title", "")))


def bars_of(sections):
    lines, missed = [], []
    for section in sections:
        for b in section.get("bars", []):
            stretch = f" (stretch: {b['stretch']})" if b.get("stretch") else ""
            lines.append((b["bar"], b["limit"] + stretch, b["measured"],
                          "yes" if b["kept"] else "**no**", f"`{section['command']}`"))
            if not b["kept"] and b.get("why"):
                missed.append(f"- {b['bar']}: {b['why']}")
    page = ["## Bars", ""] + table(("what", "bar", "measured", "kept", "command"), lines)
    return page + (["Missed, and why:", "", *missed, ""] if missed else [])


def section_lines(section):
    page = [f"## {section['title']}", ""]
    about = [f"{name} {section[key]}" for key, name in
             (("machine", "Measured on"), ("date", "on"), ("load", "load average")) if
             section.get(key)]
    if section.get("command"):
        page += [f"    {section['command']}", ""]
    if about:
        page += [", ".join(about) + ".", ""]
    for note in section.get("notes", []):
        page += [note, ""]
    for part in section.get("tables", []):
        if part.get("title"):
            page += [f"### {part['title']}", ""]
        page += table(part["head"], part["rows"])
    return page


def render():
    sections = read_results()
    page = ["# Measured", "",
            "Made by `tests/bench/report.py` from `results/*.json`, which each benchmark writes.",
            "BUILD is a release build's folder, S the shared development data (`MEDICUS_SHARED`).",
            "Ratios are of one run, in turns, medians of several rounds. A load average above the",
            "number of threads in use means that other work had a share of the same cores.", ""]
    page += bars_of(sections)
    for section in sections:
        page += section_lines(section)
    return "\n".join(page).rstrip() + "\n"


def main():
    path = measured.HERE / "RESULTS.md"
    page = render()
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if path.read_text(encoding="utf-8") == page else 1)
    path.write_text(page, encoding="utf-8")
    print(os.path.relpath(path))


if __name__ == "__main__":
    main()
