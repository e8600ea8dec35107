#!/usr/bin/env python3
"""PubMed XML to docstore, beside what unpacking and parsing alone cost, in one run.

    bench_ingest.py --build RELEASE_BUILD_FOLDER [--rounds N] [--citations N] [--keep NAME]

Multiplies the real PubMed files (MEDICUS_SHARED, default ../shared) by gen_pubmed (seeded), then
runs alternately, `--rounds` times: zlib, libdeflate, libxml2 and expat alone (bench_ingest_peers,
on one core, the time of their calls), and `medicus ingest` as a whole process, start and end
included, into a new data folder, on one core and on two. Checks that the store has every citation,
and that titles, abstracts, authors, MeSH headings and journals of a sample are what ElementTree
reads from the file. Prints medians as a table; --keep writes results/NAME.json. With --input
FILE... those files are taken instead of generated ones.
"""
import argparse
import gzip
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import unicodedata
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import measured

ROOT = Path(__file__).resolve().parents[2]
PEERS = ["zlib", "libdeflate", "libxml2", "expat"]
SAMPLE = 40
WHY_ONE_CORE = (
    "on one core libxml2 takes .25 of the time, zstd .23 (level 3 with a dictionary; levels 1 and "
    "2 are no faster, negative ones pack 1.3 to 1.6 instead of 2.3), unpacking .13: with nothing "
    "else to do these three would reach .41")


def cores(count):
    """The last `count` processors this process may use: the first ones get more interrupts."""
    return sorted(os.sched_getaffinity(0))[-count:]


def run(command, processors):
    """Standard output, seconds and peak resident MiB of one process, kept to `processors`."""
    watch = "import os,sys,time,json,subprocess\n" \
            "start=time.monotonic()\n" \
            "done=subprocess.run(sys.argv[1:],stdout=subprocess.PIPE)\n" \
            "seconds=time.monotonic()-start\n" \
            "import resource\n" \
            "peak=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss/1024\n" \
            "print(json.dumps([done.returncode,done.stdout.decode(),seconds,peak]))"
    allowed = ",".join(map(str, processors))
    words = ["taskset", "-c", allowed, sys.executable, "-c", watch, *map(str, command)]
    out = subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout
    code, text, seconds, peak = json.loads(out)
    if code != 0:
        sys.exit(f"failed with status {code}: {' '.join(map(str, command))}")
    return text, seconds, peak


def clean(element):
    text = "".join(element.itertext()) if element is not None else ""
    return unicodedata.normalize("NFC", re.sub("[\\x00-\\x20\\x7f]+", " ", text).strip(" "))


def sample_of(path, count):
    """Citations spread evenly over the file, each parsed by itself."""
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        records = stream.read().split("<PubmedArticle>")[1:]
    for record in records[:: max(1, len(records) // count)]:
        yield ElementTree.fromstring("<PubmedArticle>" + record.split("</PubmedArticle>")[0] +
                                     "</PubmedArticle>")


def check_sample(medicus, data, path):
    checked = 0
    for citation in sample_of(path, SAMPLE):
        pmid = clean(citation.find("MedlineCitation/PMID"))
        words = [medicus, "fetch", "--data", data, "--json", f"pmid:{pmid}"]
        out = subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout
        found = json.loads(out)
        article = citation.find("MedlineCitation/Article")
        title = clean(article.find("ArticleTitle")) or clean(article.find("VernacularTitle"))
        abstract = [clean(part) for part in article.findall("Abstract/AbstractText")]
        families = [clean(name) for name in article.findall("AuthorList/Author/LastName")]
        mesh = [clean(name) for name in citation.findall(
            "MedlineCitation/MeshHeadingList/MeshHeading/DescriptorName")]
        stored = json.dumps(found.get("metadata", found), ensure_ascii=False)
        wrong = [what for what in [title, *abstract] if what not in found["text"]]
        wrong += [what for what in [*families, *mesh, clean(article.find("Journal/Title"))]
                  if json.dumps(what, ensure_ascii=False)[1:-1] not in stored]
        if wrong:
            sys.exit(f"pmid:{pmid}: the store lacks {wrong[0]!r}")
        checked += 1
    return checked


def ingest(args, work, files, processors, citations):
    data = work / "data"
    shutil.rmtree(data, ignore_errors=True)
    program = args.build / "service/medicus"
    out, seconds, peak = run([program, "ingest", "--quiet", "--json", "--data", data, *files],
                             processors)
    added = json.loads(out)["added"]
    if citations and added != citations:
        sys.exit(f"{added} of {citations} citations were added")
    return seconds, peak, added


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--citations", type=int, default=30000, help="in each of two files")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", metavar="NAME", help="write results/NAME.json")
    parser.add_argument("--input", type=Path, nargs="*")
    parser.add_argument("--work", type=Path, help="an empty folder (default: a temporary one)")
    args = parser.parse_args()
    args.load = measured.load()
    subprocess.run(["ninja", "-C", args.build, "service/medicus", "tests/bench/gen_pubmed",
                    "tests/bench/bench_ingest_peers"], check=True, stdout=subprocess.DEVNULL)
    work = Path(tempfile.mkdtemp(prefix="medicus-ingest-", dir=args.work))
    try:
        measure(args, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def measure(args, work):
    files, citations = args.input, 0
    if not files:
        shared = Path(os.environ.get("MEDICUS_SHARED", ROOT.parent / "shared"))
        subprocess.run([args.build / "tests/bench/gen_pubmed", "--seed", str(args.seed),
                        "--citations", str(args.citations), "--files", "2", work / "xml",
                        *sorted((shared / "data/pubmed").glob("*.xml.gz"))],
                       check=True, stdout=subprocess.DEVNULL)
        files, citations = sorted((work / "xml").iterdir()), 2 * args.citations
    one, two = cores(1), cores(2)
    times = {name: [] for name in [*PEERS, "medicus, 1 core", "medicus, 2 cores"]}
    peaks = {name: 0 for name in times}
    xml_bytes = added = 0
    for _ in range(args.rounds):
        for peer in PEERS:
            program = args.build / "tests/bench/bench_ingest_peers"
            out, _, peaks[peer] = run([program, peer, *files], one)
            result = json.loads(out)
            xml_bytes = result["bytes"]
            times[peer].append(result["seconds"])
        for name, processors in (("medicus, 1 core", one), ("medicus, 2 cores", two)):
            seconds, peak, added = ingest(args, work, files, processors, citations)
            times[name].append(seconds)
            peaks[name] = max(peaks[name], peak)
    program = args.build / "service/medicus"
    checked = sum(check_sample(program, work / "data", path) for path in files)
    report(args, times, peaks, xml_bytes, added, checked, work, len(two))


def report(args, times, peaks, xml_bytes, added, checked, work, two):
    store = (work / "data/docs/data.mdb").stat().st_size
    medians = {name: statistics.median(values) for name, values in times.items()}
    parser = medians["libxml2"]
    rows = {name: {"seconds": round(seconds, 4), "mb_per_s": round(xml_bytes / seconds / 1e6, 1),
                   "citations_per_s": round(added / seconds),
                   "of_libxml2": round(parser / seconds, 3), "peak_rss_mib": round(peaks[name], 1)}
            for name, seconds in medians.items()}
    about = (f"{added:,} citations, {xml_bytes / 1e6:.0f} MB of XML, median of {args.rounds} "
             f"rounds; {checked} citations compared; docstore {store / 1e6:.0f} MB.")
    if two < 2:
        about += " This machine gave one core only."
    head = ["", "MB/s of XML", "citations/s", "of libxml2's speed", "peak RSS, MiB"]
    cells = [[name, f"{row['mb_per_s']:.0f}", f"{row['citations_per_s']:,}",
              f"{row['of_libxml2']:.2f}", f"{row['peak_rss_mib']:.0f}"]
             for name, row in rows.items()]
    print(f"{about}\n\n| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for row in cells:
        print("| " + " | ".join(row) + " |")
    if not args.keep:
        return
    share = rows["medicus, 1 core"]["of_libxml2"]
    rate = rows["medicus, 2 cores"]["citations_per_s"]
    both = rows["medicus, 2 cores"]["of_libxml2"]
    bars = [{"bar": "PubMed XML to docstore, one core, against the XML parser alone",
             "limit": "at least 0.40", "measured": f"{share:.2f}", "kept": share >= .4},
            {"bar": "PubMed XML to docstore, two cores, against the XML parser alone on one",
             "limit": "at least 0.40", "measured": f"{both:.2f}", "kept": both >= .4},
            {"bar": "PubMed XML to docstore, two cores", "limit": "at least 15,000 citations/s",
             "measured": f"{rate:,}", "kept": rate >= 15000}]
    if share < .4:
        bars[0]["why"] = WHY_ONE_CORE
    measured.keep(args.keep, {
        "title": "PubMed XML to docstore", "order": 70, "load": f"{args.load:.1f} before",
        "command": "tests/bench/bench_ingest.py --build BUILD --keep ingest", "notes": [about],
        "bars": bars, "tables": [{"head": head, "rows": cells}], "figures": rows})


if __name__ == "__main__":
    main()
